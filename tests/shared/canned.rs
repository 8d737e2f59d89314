//! A server that returns scripted responses, byte for byte, and records the requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::cloudflare::{Client, Credentials, Options, Report};

pub(crate) const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const TOKEN: &str = "t0ken-of-the-tests";

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends this and closes.
    Send(Vec<u8>),
    /// Closes the connection without a response.
    Close,
    /// Sends this and then nothing, with the connection open.
    Stall(Vec<u8>),
    /// Sends the first, then the second again and again.
    Endless(Vec<u8>, Vec<u8>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct DetailRequest {
    /// Method and target.
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Canned {
    pub(crate) address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<DetailRequest>>>,
}

impl Canned {
    /// Answers each request by `answer`, which is told how many came before.
    pub(crate) async fn start(
        mut answer: impl FnMut(usize, &DetailRequest) -> Step + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = read(&mut stream).await else {
                    continue;
                };
                let step = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    answer(seen.len() - 1, &request)
                };
                match step {
                    Step::Send(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
                    Step::Close => {}
                    Step::Stall(bytes) => {
                        stream.write_all(&bytes).await.unwrap();
                        open.push(stream);
                    }
                    Step::Endless(head, part) => {
                        tokio::spawn(async move {
                            stream.write_all(&head).await.unwrap();
                            while stream.write_all(&part).await.is_ok() {}
                        });
                    }
                }
            }
        });
        Self { address, asked }
    }

    /// Answers with these in their order, the last again and again.
    pub(crate) async fn script(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps: Vec<Step> = steps.into_iter().collect();
        Self::start(move |index, _| steps[index.min(steps.len() - 1)].clone()).await
    }

    pub(crate) fn requests(&self) -> Vec<DetailRequest> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let prefix = format!("/client/v4/accounts/{ACCOUNT}/zt_risk_scoring");
        self.requests().into_iter().map(|asked| asked.line.replace(&prefix, "")).collect()
    }

    pub(crate) fn options(&self) -> Options {
        Options { base_url: format!("http://{}/client/v4", self.address), ..Options::default() }
    }

    pub(crate) fn client(&self) -> Client {
        client(self.options(), &budget())
    }

    /// A client and its reports.
    pub(crate) fn observed(&self) -> (Client, Arc<Mutex<Vec<Report>>>) {
        observed(self.options())
    }
}

pub(crate) fn observed(mut options: Options) -> (Client, Arc<Mutex<Vec<Report>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&reports);
    options.observer = Some(Arc::new(move |report: &Report| {
        kept.lock().unwrap().push(report.clone());
    }));
    (client(options, &budget()), reports)
}

/// Everything that Cloudflare allows, on a clock whose seconds pass in milliseconds.
pub(crate) fn budget() -> Budget {
    Budget::new(1.0, Clock::scaled(Timestamp::from_seconds(1_445_412_420), 1_000.0))
}

pub(crate) fn client(options: Options, budget: &Budget) -> Client {
    let token = Credentials::Token(SecretString::from(TOKEN));
    Client::new(ACCOUNT, token, budget.clone(), options).unwrap()
}

/// An answer with this status, these further lines of its head, and this body.
pub(crate) fn answer(status: u16, lines: &[&str], body: impl AsRef<[u8]>) -> Step {
    let body = body.as_ref();
    let mut bytes = head(status, lines, body.len());
    bytes.extend_from_slice(body);
    Step::Send(bytes)
}

/// The head of an answer that promises `length` bytes.
pub(crate) fn head(status: u16, lines: &[&str], length: usize) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\nCF-Ray: 8f00ba4-FRA\r\n"
    );
    if !lines.iter().any(|line| line.to_lowercase().starts_with("content-type")) {
        head.push_str("Content-Type: application/json; charset=UTF-8\r\n");
    }
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// A good answer with this result.
pub(crate) fn good(result: &str) -> Step {
    answer(200, &[], format!(r#"{{"success":true,"errors":[],"messages":[],"result":{result}}}"#))
}

/// An answer that reports one error.
pub(crate) fn bad(status: u16, code: i64, message: &str) -> Step {
    let body =
        format!(r#"{{"success":false,"errors":[{{"code":{code},"message":"{message}"}}],"result":null}}"#);
    answer(status, &[], body)
}

async fn read(stream: &mut TcpStream) -> Option<DetailRequest> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    Some(DetailRequest { line, head: head.to_owned(), body: body.to_owned() })
}

/// Long enough for anything that ends, short enough to notice what does not.
pub(crate) async fn within_seconds<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it ends")
}
