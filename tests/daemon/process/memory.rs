//! The peak memory of the program while the API sends answers that are far too large.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, SyncSender};

use flate2::Compression;
use flate2::write::GzEncoder;
use uuid::Uuid;
use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN};

use super::rig::{Program, TIMEOUT};
use crate::program::program;

const MIB: usize = 1 << 20;

/// No answer may take more than this.
const MOST: usize = 64 * MIB;

/// The requests after which an answer is certainly processed: events with unknown behaviors wait for two others.
const PROCESSED_AFTER: u32 = 4;

const ENVELOPE: &str = r#"{"success":true,"errors":[],"messages":[],"result":"#;

/// An answer: what it is to, and its bytes.
struct Answer {
    /// The last segment of the path, or `USER` for the events of a new user.
    resource: &'static str,
    head: String,
    body: Box<dyn Iterator<Item = Vec<u8>> + Send>,
}

const USER: &str = "user";

/// JSON after `before`: `element(0)`, `element(1)` and so on, then `after`.
fn list(
    resource: &'static str,
    before: &str,
    count: usize,
    element: impl Fn(usize) -> String + Send + 'static,
    after: &'static str,
) -> Answer {
    let first = format!("{ENVELOPE}{before}").into_bytes();
    let elements = (0..count).map(move |index| {
        let comma = if index == 0 { "" } else { "," };
        format!("{comma}{}", element(index)).into_bytes()
    });
    let body = std::iter::once(first).chain(elements).chain(std::iter::once(after.as_bytes().to_vec()));
    Answer { resource, head: "HTTP/1.1 200 OK\r\n".to_owned(), body: Box::new(body) }
}

fn events(count: usize, id: usize, name: usize) -> Answer {
    let (id, name) = ("i".repeat(id), "n".repeat(name));
    let event = move |index: usize| {
        format!(
            r#"{{"id":"{index}{id}","name":"{name}","risk_level":"low","timestamp":"2024-05-06T07:08:09Z"}}"#
        )
    };
    list(USER, r#"{"name":"","email":"","events":["#, count, event, "]}}")
}

fn users(count: usize, name: usize, email: usize) -> Answer {
    let (name, email) = ("n".repeat(name), "e".repeat(email));
    let user = move |index: usize| {
        let id = Uuid::from_u128(index as u128 + 1);
        format!(
            r#"{{"user_id":"{id}","name":"{name}","email":"{email}","max_risk_level":"low","event_count":0,"last_event":"2024-05-06T07:08:09Z"}}"#
        )
    };
    list("summary", r#"{"users":["#, count, user, "]}}")
}

/// A little less than 1 MiB of the values that take most memory for their length: nested objects with one key.
fn values(resource: &'static str, before: &str, after: &'static str) -> Answer {
    let nested = format!("{}0{}", r#"{"":"#.repeat(40), "}".repeat(40));
    list(resource, before, MIB / (nested.len() + 1) - 2, move |_| nested.clone(), after)
}

fn compressed(resource: &'static str, before: &str, bytes: usize) -> Answer {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(format!("{ENVELOPE}{before}").as_bytes()).expect("memory");
    let spaces = vec![b' '; MIB];
    for _ in 0..bytes / MIB {
        gzip.write_all(&spaces).expect("memory");
    }
    let body = gzip.finish().expect("memory");
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n".to_owned();
    Answer { resource, head, body: Box::new(std::iter::once(body)) }
}

/// Answers of any kind, each much larger than [`MOST`] when it is read without bounds.
fn answers() -> Vec<(&'static str, Answer)> {
    let refused = |answer: Answer| Answer { head: "HTTP/1.1 400 Bad Request\r\n".to_owned(), ..answer };
    let long_header = |answer: Answer, header: &str| Answer { head: answer.head + header, ..answer };
    let long = "x".repeat(300 << 10);
    let text = format!("\"{}\"", "x".repeat(100_000));
    let same = text.clone();
    vec![
        ("events with ids of 100 kB", events(1_500, 100_000, 10)),
        ("many small events", events(600_000, 8, 8)),
        ("events with long ids and names", events(60_000, 1_000, 1_000)),
        ("events with names of 100 kB", events(1_500, 8, 100_000)),
        ("values around the users", values("summary", r#"{"x":["#, r#"],"users":[]}}"#)),
        ("values around the events", values(USER, r#"{"x":["#, r#"],"events":[]}}"#)),
        ("values in behaviors", values("behaviors", r#"{"behaviors":{"a":["#, "]}}}")),
        ("values in integrations", values("integrations", "[", "]}")),
        ("values in errors", refused(values("integrations", r#"null,"errors":[{"error_chain":["#, "]}]}"))),
        ("integrations of 100 MB", list("integrations", "[", 1_000, move |_| text.clone(), "]}")),
        ("behaviors of 100 MB", list("behaviors", "[", 1_000, move |_| same.clone(), "]}")),
        (
            "an element that never ends",
            list("summary", r#"{"users":[{"name":""#, 1_000_000, |_| "0".repeat(100), ""),
        ),
        ("spaces around the list", list("summary", "{", 1, |_| " ".repeat(100 * MIB), "")),
        ("compressed spaces in the list", compressed("summary", r#"{"users":["#, 100 * MIB)),
        ("compressed spaces in behaviors", compressed("behaviors", "{", 100 * MIB)),
        ("a long header", long_header(users(1, 1, 1), &format!("X-Long: {long}\r\n"))),
        ("a long link", long_header(users(1, 1, 1), &format!("Link: </?page={long}>; rel=\"next\"\r\n"))),
        // Last, because the users are no longer listed afterwards: reading them once more takes the whole budget.
        ("users with names of 100 kB", users(300, 100_000, 10)),
        ("users with long names and addresses", users(50_000, 1_000, 300)),
    ]
}

/// Sends an answer. The client may close the connection before it has everything.
fn send(mut stream: &TcpStream, answer: Answer) -> io::Result<()> {
    stream.write_all(answer.head.as_bytes())?;
    stream.write_all(b"Content-Type: application/json\r\nConnection: close\r\n\r\n")?;
    let mut stream = io::BufWriter::with_capacity(MIB, stream);
    answer.body.into_iter().try_for_each(|part| stream.write_all(&part))?;
    stream.flush()
}

/// The last segment of the path of a request.
fn requested(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length == 1) {
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Serves small answers, and each answer that comes through `answers` once. Confirms it when the client has processed it,
/// which is when it sends further requests: one poller sends them all.
fn serve(listener: &TcpListener, answers: &Receiver<Answer>, processed: &SyncSender<()>) {
    let mut next: Option<Answer> = None;
    let (mut listed, mut further) = (vec![Uuid::from_u128(1)], None);
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if next.is_none() && further.is_none() {
            next = answers.try_recv().ok();
            if next.as_ref().is_some_and(|answer| answer.resource == USER) {
                listed.push(Uuid::from_u128(1_000_000 + listed.len() as u128));
            }
        }
        let name = requested(&stream);
        let resource = if Uuid::try_parse(&name).is_ok() { USER } else { &name };
        // Failures are expected: the client stops reading.
        if let Some(answer) = next.take_if(|answer| answer.resource == resource) {
            let _ = send(&stream, answer);
            further = Some(PROCESSED_AFTER);
            continue;
        }
        let row = |id: &Uuid| {
            format!(
                r#"{{"user_id":"{id}","max_risk_level":"low","event_count":1,"last_event":"2024-05-06T07:08:09Z"}}"#
            )
        };
        let rows = listed.iter().map(row).collect::<Vec<_>>().join(",");
        let result = match resource {
            USER => r#"{"events":[]}"#.to_owned(),
            "summary" => format!(r#"{{"users":[{rows}]}}"#),
            "behaviors" => r#"{"behaviors":{}}"#.to_owned(),
            "integrations" => "[]".to_owned(),
            _ => r#"{"status":"active"}"#.to_owned(),
        };
        let _ = send(&stream, list("", &result, 0, |_| String::new(), "}"));
        further = match further {
            Some(1) => processed.send(()).map(|()| None).unwrap_or(None),
            further => further.map(|further| further - 1),
        };
    }
}

/// Resets the kernel's measurement of the peak.
fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("a process of the same user may be reset");
}

/// The most memory that the process has used since [`forget_peak`], in bytes.
fn peak(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    peak.and_then(|kib| kib.trim().parse::<usize>().ok()).expect("a peak") << 10
}

#[test]
fn no_answer_takes_more_than_64_mib() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("its address");
    let (send_answer, next_answers) = mpsc::sync_channel(1);
    let (send_processed, processed) = mpsc::sync_channel(1);
    std::thread::spawn(move || serve(&listener, &next_answers, &send_processed));
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("config.yaml");
    let text = format!(
        "accounts: [{{ id: {GENERATED_ACCOUNT}, token: {GENERATED_TOKEN}, budget_share: 0.9 }}]\n\
         intervals: {{ summary: 1s, behaviors: 1s, integrations: 1s }}\nusers: {{ identity: email }}\n\
         cloudflare: {{ base_url: \"http://{address}/client/v4\" }}\nstate: {{ path: {} }}\n",
        directory.path().join("state.redb").display()
    );
    fs::write(&config, text).expect("a file");
    let mut command = program();
    command.arg("--config.file").arg(&config);
    let mut program = Program::start(command.args(["--web.listen-address", "127.0.0.1:0"]));
    let _log = program.drained_log();
    let process = program.id();

    let give = |what: &str, answer: Answer| {
        send_answer.send(answer).expect("the server runs");
        processed.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("{what} is not processed"));
    };
    give("a user", users(1, 10, 10));
    give("an event", events(1, 10, 10));
    for (what, answer) in answers() {
        forget_peak(process);
        let before = peak(process);
        give(what, answer);
        let more = peak(process).saturating_sub(before);
        assert!(more < MOST, "{what}: {} MiB", more / MIB);
    }
}
