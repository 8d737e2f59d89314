//! Resetting users: each at most once, each with a log line, and none after the first failure.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::{Value, json};
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule};

use super::rig::{ACCOUNT, ADDRESSES, ANN, BOB, CEM, EVE, Ended, Rig, program, texts};
use crate::canned::{Canned, bad, good};
use crate::program::signal;

const LOGGED: [&str; 4] = ["--yes", "--log.format", "json", "--output"];

fn log(line: &Value) -> (&str, &str, &str, &str) {
    let text = |field: &str| line[field].as_str().unwrap_or_default();
    (text("operation"), text("subject"), text("outcome"), text("level"))
}

#[test]
fn users_are_reset_once_each_and_every_reset_is_logged() {
    let rig = Rig::new();
    let users = ["cem@example.com", "bob", ANN, "Ann Lee"];
    let ended = rig.run(&[&["reset"], &users[..], &LOGGED, &["json"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(rig.resets(), [CEM, BOB, ANN], "in the order given, and nobody twice");
    let document: Value = serde_json::from_str(&ended.out).unwrap();
    let rays = texts(&document["resets"], "cf_ray");
    let reset = |id: &str, name: &str, email: &str, level: &str, events: u32, ray: &str| {
        json!({
            "id": id, "name": name, "email": email, "risk_level": level, "event_count": events,
            "outcome": "done", "cf_ray": ray, "risk_level_after": "none", "account": ACCOUNT,
        })
    };
    let wanted = json!({ "account": ACCOUNT, "resets": [
        reset(CEM, "Cem Lee", ADDRESSES[2], "medium", 3, rays[0]),
        reset(BOB, "Bob Ray", ADDRESSES[1], "low", 1, rays[1]),
        reset(ANN, "Ann Lee", ADDRESSES[0], "high", 2, rays[2]),
    ]});
    assert_eq!(document, wanted);

    let lines = ended.changes();
    let wanted = [CEM, BOB, ANN].map(|user| ("reset_user", user, "done", "INFO"));
    assert_eq!(lines.iter().map(log).collect::<Vec<_>>(), wanted);
    let logged: Vec<_> =
        lines.iter().map(|line| (line["account"].as_str(), line["cf_ray"].as_str())).collect();
    let wanted: Vec<_> = rays.iter().map(|ray| (Some(ACCOUNT), Some(*ray))).collect();
    assert_eq!(logged, wanted);
    assert!(ended.err.contains("resetting user 3 of 3\n"), "{}", ended.err);
    let sentence = "zt-risk-exporter: done: 3 users were reset; see it with `zt-risk-exporter users`";
    assert_eq!(ended.err.lines().last(), Some(sentence));
    for private in ADDRESSES.into_iter().chain(["Lee", "everything"]) {
        assert!(!ended.err.contains(private), "{private} in {}", ended.err);
    }
    assert_eq!(texts(&rig.json(&["users"])["users"], "id"), [EVE]);
}

#[test]
fn a_reset_is_written_as_csv_and_as_a_table_too() {
    let rig = Rig::new();
    let csv = rig.run(&["reset", BOB, "--yes", "--output", "csv"]);
    let (header, row) = csv.out.trim_end().split_once('\n').unwrap();
    assert_eq!(header, "id,name,email,risk_level,event_count,outcome,cf_ray,risk_level_after,account");
    assert!(
        row.starts_with(&format!("{BOB},Bob Ray,bob@example.com,low,1,done,"))
            && row.ends_with(&format!(",none,{ACCOUNT}")),
        "{row}"
    );
    let line = csv.err.lines().find(|line| line.contains("zt_risk_exporter::operator")).unwrap();
    let fields =
        format!("account=\"{ACCOUNT}\" operation=\"reset_user\" subject=\"{BOB}\" outcome=\"done\" os_user=");
    assert!(line.contains(" INFO ") && line.contains(&fields), "{line}");
    let table = rig.run(&["reset", CEM, "--yes"]).out;
    let wanted = format!(
        "account {ACCOUNT}\nOUTCOME  BEFORE  AFTER  EVENTS  NAME     EMAIL\n\
         done     medium  none        3  Cem Lee  Cem@example.com\n"
    );
    assert_eq!(table, wanted);
    let wide = rig.run(&["reset", EVE, "--yes", "-o", "wide"]).out;
    assert!(wide.contains("  ID ") && wide.contains(EVE) && wide.contains("CF-RAY"), "{wide}");
}

#[test]
fn a_level_that_stays_or_cannot_be_read_after_the_reset_is_shown_so() {
    let rig = Rig::new();
    let row = format!(
        r#"{{"user_id":"{ANN}","name":"ann","email":"ann@example.com","max_risk_level":"high","event_count":1,
            "last_event":"2020-01-01T00:00:00Z"}}"#
    );
    let list = format!(r#"{{"users":[{row}]}}"#);
    for (broken, after, remark) in
        [(0, json!("high"), ""), (1, Value::Null, "the level after the reset could not be read: summary: ")]
    {
        let (list, was_reset) = (list.clone(), std::sync::atomic::AtomicUsize::new(0));
        let server = rig.runtime().block_on(Canned::start(move |_, asked| {
            use std::sync::atomic::Ordering::Relaxed;
            if asked.line.ends_with("/reset") {
                was_reset.store(broken, Relaxed);
                return good("{}");
            }
            match asked.line.rsplit_once('/') {
                Some((_, "summary")) if was_reset.load(Relaxed) == 1 => bad(500, 1, "no"),
                Some((_, "summary")) => good(&list),
                Some((_, query)) if query.starts_with("summary?") => good(r#"{"users":[]}"#),
                _ => good("{}"),
            }
        }));
        let upstream = format!("http://{}/client/v4", server.address);
        let arguments = ["reset", ANN, "--yes", "--output", "json"];
        let ended = Ended::from(program(&upstream, "everything", &arguments).output().unwrap());
        let resets: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!((ended.code, &resets["resets"][0]["risk_level_after"]), (Some(0), &after), "{ended:?}");
        assert!(ended.err.contains(remark), "{}", ended.err);
    }
}

#[test]
fn the_events_are_saved_before_the_reset_to_a_new_file_of_its_owner() {
    let rig = Rig::new();
    let path = rig.file("here", "").with_file_name("saved.json");
    let path = path.to_str().unwrap();
    let ended = rig.run(&["reset", ANN, BOB, "--yes", "--save", path]);
    assert_eq!((ended.code, rig.resets().len()), (Some(0), 2), "{ended:?}");
    let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((&saved["account"], texts(&saved["users"], "id")), (&json!(ACCOUNT), vec![ANN, BOB]));
    assert_eq!(texts(&saved["users"][0]["events"], "id"), ["a-3", "a-2"], "in the order of the API");
    assert_eq!(saved["users"][0]["last_reset"], "2020-01-01T12:00:00Z");
    assert_eq!(saved["users"][0]["events"][1]["details"], "seen \"twice\"");

    let before = std::fs::read(path).unwrap();
    let ended = rig.run(&["reset", CEM, "--yes", "--save", path]);
    assert_eq!((ended.code, rig.resets().len()), (Some(2), 2), "{ended:?}");
    assert!(
        ended.err.contains("nothing was reset: ") && ended.err.contains("is not overwritten"),
        "{}",
        ended.err
    );
    assert_eq!(std::fs::read(path).unwrap(), before);
}

#[test]
fn a_user_whose_events_cannot_be_saved_is_not_reset() {
    let rig = Rig::new();
    let path = rig.file("here", "").with_file_name("saved.json");
    for fault in [Fault::BadGateway, Fault::NullResult] {
        rig.inject(FaultRule::at(Endpoint::User, fault));
        let ended = rig.run(&["reset", ANN, "--yes", "--save", path.to_str().unwrap()]);
        assert_eq!((ended.code, rig.resets().len()), (Some(1), 0), "{ended:?}");
        assert!(ended.err.contains("nothing was reset: user "), "{}", ended.err);
        assert!(!path.exists());
        rig.clear_faults();
    }
}

/// A reset that meets `fault`.
fn struck(fault: Fault) -> (Rig, Ended) {
    let rig = Rig::new();
    rig.inject(FaultRule::at(Endpoint::Reset, fault));
    let ended = rig.run(&[&["reset", ANN, BOB][..], &LOGGED, &["json"]].concat());
    (rig, ended)
}

#[test]
fn a_reset_that_fails_is_not_repeated_and_says_whether_it_may_have_happened() {
    let status = |status| Fault::Status { status, code: 1000, message: "ann@example.com oops".to_owned() };
    let may = "the change may have happened anyway: check with `zt-risk-exporter user 11111111-1111-4111-8111-111111111111`";
    for (fault, outcome, happened, message) in [
        (Fault::Reset, "unknown", 0, may),
        (Fault::TruncatedBody, "unknown", 1, may),
        (Fault::BadGateway, "unknown", 0, may),
        (status(500), "unknown", 0, may),
        (Fault::WrongContentType, "unknown", 1, may),
        (
            Fault::Limited { retry_after: Some("1".to_owned()) },
            "not_done",
            0,
            "rate limit is reached; retry in 1 s",
        ),
        (Fault::Limited { retry_after: None }, "not_done", 0, "rate limit is reached; retry in 300 s"),
        (status(400), "not_done", 0, "the request was rejected"),
        (status(403), "not_done", 0, "add \"Zero Trust Write\" to the token"),
    ] {
        let what = format!("{fault:?}");
        let (rig, ended) = struck(fault);
        assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
        assert_eq!((rig.requests("POST"), rig.resets().len()), (1, happened), "{what}");
        let resets: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(texts(&resets["resets"], "outcome"), [outcome, "not_tried"], "{what}");
        let lines = ended.changes();
        assert_eq!(
            lines.iter().map(log).collect::<Vec<_>>(),
            [("reset_user", ANN, outcome, "WARN")],
            "{what}"
        );
        let last = ended.err.lines().last().unwrap();
        assert!(last.contains(message), "{what}: {last}");
        assert_eq!(last.contains("may have happened"), outcome == "unknown", "{what}: {last}");
        assert!(last.ends_with("0 of 2 users were reset, and the command stopped"), "{what}: {last}");
        assert!(!ended.err.contains('@'), "{what}: {}", ended.err);
    }
}

#[test]
fn resets_before_the_first_refusal_stay_and_are_reported() {
    let rig = Rig::new();
    let row = |id: &str, name: &str| {
        format!(
            r#"{{"user_id":"{id}","name":"{name}","email":"{name}@example.com","max_risk_level":"low",
                "event_count":1,"last_event":"2020-01-01T00:00:00Z"}}"#
        )
    };
    let list = format!(r#"{{"users":[{},{},{}]}}"#, row(ANN, "ann"), row(BOB, "bob"), row(CEM, "cem"));
    let server = rig.runtime().block_on(Canned::start(move |_, asked| match asked.line.rsplit_once('/') {
        Some((_, "summary")) => good(&list),
        Some((_, query)) if query.starts_with("summary?") => good(r#"{"users":[]}"#),
        _ if asked.line.contains(BOB) => bad(403, 10000, "Authentication error"),
        _ => good("{}"),
    }));
    let upstream = format!("http://{}/client/v4", server.address);
    let arguments = [&["reset", "ann", "bob", "cem"][..], &LOGGED, &["json"]].concat();
    let ended = Ended::from(program(&upstream, "everything", &arguments).output().unwrap());
    let resets: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(texts(&resets["resets"], "outcome"), ["done", "not_done", "not_tried"]);
    let wanted = [("reset_user", ANN, "done", "INFO"), ("reset_user", BOB, "not_done", "WARN")];
    assert_eq!(ended.changes().iter().map(log).collect::<Vec<_>>(), wanted);
    let last = ended.err.lines().last().unwrap();
    assert!(
        last.starts_with(&format!(
            "zt-risk-exporter: user {BOB}: reset: the credentials lack a permission; add \"Zero Trust Write\""
        )),
        "{last}"
    );
    assert!(last.ends_with("1 of 3 users were reset, and the command stopped"), "{last}");
    assert_eq!(ended.code, Some(1));
    let posts: Vec<_> = server.lines().into_iter().filter(|line| line.starts_with("POST")).collect();
    assert_eq!(posts, [format!("POST /{ANN}/reset"), format!("POST /{BOB}/reset")]);
}

#[test]
fn a_signal_finishes_the_current_reset_and_starts_no_other() {
    let rig = Rig::new();
    let row = |id: &str| {
        format!(
            r#"{{"user_id":"{id}","max_risk_level":"low","event_count":1,"last_event":"2020-01-01T00:00:00Z"}}"#
        )
    };
    let list = format!(r#"{{"users":[{},{}]}}"#, row(ANN), row(BOB));
    let (sender, receiver) = std::sync::mpsc::sync_channel::<u32>(1);
    let server = rig.runtime().block_on(Canned::start(move |_, asked| {
        if asked.line.ends_with("summary") {
            return good(&list);
        }
        if asked.line.contains("summary?") {
            return good(r#"{"users":[]}"#);
        }
        if asked.line.ends_with("/tokens/verify") {
            return good("{}");
        }
        // The answer goes out after the signal.
        signal(receiver.recv().unwrap(), "INT");
        good("{}")
    }));
    let upstream = format!("http://{}/client/v4", server.address);
    let arguments = [&["reset", ANN, BOB][..], &LOGGED, &["json"]].concat();
    let mut command = program(&upstream, "everything", &arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sender.send(child.id()).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let resets: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(texts(&resets["resets"], "outcome"), ["done", "not_tried"]);
    assert_eq!(ended.changes().iter().map(log).collect::<Vec<_>>(), [("reset_user", ANN, "done", "INFO")]);
    let last = "zt-risk-exporter: stopped by a signal; 1 of 2 users were reset\n";
    assert!(ended.err.ends_with(last), "{}", ended.err);
}

#[test]
fn a_reset_of_more_users_than_the_budget_allows_does_not_start() {
    let rig = Rig::playing(&format!("limit: {{ quota: 4 }}{}", super::rig::SCENARIO));
    let ended = rig.run(&["reset", ANN, BOB, CEM, "--yes"]);
    // Cloudflare reports three remaining requests; a quarter of them, rounded up, is ours.
    let wanted = "zt-risk-exporter: 3 users to reset, and the request budget has 1 request left; name fewer, or raise \
                  budget_share\n";
    assert_eq!((ended.code, ended.err.as_str(), rig.resets().len()), (Some(1), wanted, 0));
}

#[test]
fn the_result_of_a_reset_is_reported_even_if_standard_output_is_full() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (fault, message) in [
        (None, "zt-risk-exporter: standard output: No space left on device (os error 28)\n"),
        (Some(Fault::BadGateway), "before you repeat it\n"),
    ] {
        let rig = Rig::new();
        if let Some(fault) = fault {
            rig.inject(FaultRule::at(Endpoint::Reset, fault));
        }
        let mut command = program(&rig.upstream(), "everything", &["reset", ANN, "--yes"]);
        let ended = Ended::from(command.stdout(full()).output().unwrap());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.ends_with(message), "{}", ended.err);
    }
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_a_reset() {
    let no_reader = || Stdio::from(std::io::pipe().unwrap().1);
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    for (what, stream) in [("a pipe without a reader", no_reader()), ("a full disk", full())] {
        let rig = Rig::new();
        let arguments = ["reset", ANN, BOB, CEM, "--yes", "--output", "json"];
        let ended =
            Ended::from(program(&rig.upstream(), "everything", &arguments).stderr(stream).output().unwrap());
        assert_eq!(ended.code, Some(0), "{what}: {ended:?}");
        let resets: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(texts(&resets["resets"], "outcome"), ["done"; 3], "{what}");
        assert_eq!(rig.resets(), [ANN, BOB, CEM], "{what}");
    }
}
