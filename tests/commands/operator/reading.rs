//! Reading users: the list, its order and formats, and the ways to name a user.

use serde_json::{Value, json};
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::internals::collector::user_label::UserLabel;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule};

use super::rig::{ACCOUNT, ANN, BOB, CEM, DAN, EVE, Ended, Rig, SCENARIO, program, texts};
use crate::canned::{Canned, bad, good};

#[test]
fn users_are_filtered_sorted_and_limited() {
    let rig = Rig::new();
    let table: [(&[&str], &[&str]); 19] = [
        (&[], &[ANN, CEM, BOB, EVE]),
        (&["--sort", "risk"], &[ANN, CEM, BOB, EVE]),
        (&["--sort", "last-event"], &[BOB, ANN, EVE, CEM]),
        (&["--sort", "events"], &[CEM, ANN, BOB, EVE]),
        (&["--sort", "name"], &[EVE, ANN, BOB, CEM]),
        (&["--level", "high"], &[ANN]),
        (&["--level", "low,medium"], &[CEM, BOB, EVE]),
        (&["--level", "low", "--level", "high"], &[ANN, BOB, EVE]),
        (&["--level", "unknown"], &[]),
        (&["--since", "2h"], &[BOB]),
        (&["--since", "1h"], &[]),
        (&["--since", "2020-01-02T09:00:00Z"], &[ANN, BOB, EVE]),
        (&["--since", "2020-01-02T10:00:00+01:00", "--level", "low"], &[BOB, EVE]),
        (&["lee"], &[ANN, CEM]),
        (&["EVE@example"], &[EVE]),
        (&["33333333-3333"], &[CEM]),
        (&["nobody at all"], &[]),
        (&["--limit", "2"], &[ANN, CEM]),
        (&["--behavior", "high_dlp", "--sort", "name"], &[ANN, CEM]),
    ];
    for (arguments, wanted) in table {
        let found = rig.json(&[&["users"], arguments].concat());
        assert_eq!(texts(&found["users"], "id"), wanted, "{arguments:?}");
    }
}

#[test]
fn users_are_printed_as_a_stable_document_as_csv_and_as_a_table() {
    let rig = Rig::new();
    let found = rig.json(&["users", "--behavior", "high_dlp", "--limit", "1"]);
    let wanted = json!({
        "account": ACCOUNT,
        "users": [{
            "id": ANN, "name": "Ann Lee", "email": "ann@example.com", "risk_level": "high", "event_count": 2,
            "last_event": "2020-01-03T08:00:00Z", "behavior_events": 1, "account": ACCOUNT,
        }],
        "omitted": 0,
        "unread": 3,
        "whole": true,
        "unread_accounts": [],
    });
    assert_eq!(found, wanted);
    let found = rig.json(&["users", "--level", "high"]);
    assert_eq!(found["users"][0]["behavior_events"], Value::Null);

    let csv = rig.run(&[
        "users",
        "--since",
        "2020-01-02T09:00:00Z",
        "--sort",
        "name",
        "--limit",
        "2",
        "--output",
        "csv",
    ]);
    let header = "id,name,email,risk_level,event_count,last_event,behavior_events,account";
    let eve =
        format!("{EVE},'=Eve\\u{{1b}}[31m\\u{{202e}},eve@example.com,low,1,2020-01-02T09:00:00Z,,{ACCOUNT}");
    let ann = format!("{ANN},Ann Lee,ann@example.com,high,2,2020-01-03T08:00:00Z,,{ACCOUNT}");
    assert_eq!(csv.out, format!("{header}\n{eve}\n{ann}\n"));
    assert_eq!(csv.err, "zt-risk-exporter: showing 2 of 3 users; raise --limit to see more\n");

    let narrow = "LEVEL  EVENTS  LAST    NAME     EMAIL";
    let ann = "high        2  6y ago  Ann Lee  ann@example.com";
    for (flags, wanted) in [
        (&[][..], format!("account {ACCOUNT}\n{narrow}\n{ann}\n")),
        (
            &["-o", "wide"],
            format!(
                "account {ACCOUNT}\n{narrow}            ID                                    LAST EVENT\n\
                 {ann}  {ANN}  2020-01-03T08:00:00Z\n"
            ),
        ),
    ] {
        let table = rig.run(&[&["users", "--level", "high"], flags].concat());
        let age = years_ago("2020-01-03T08:00:00Z");
        let wanted = wanted.replace("6y ago", &age);
        assert_eq!((table.out.as_str(), table.err.as_str(), table.code), (wanted.as_str(), "", Some(0)));
    }
}

/// How long ago a date is, in whole years.
fn years_ago(date: &str) -> String {
    let date: jiff::Timestamp = date.parse().unwrap();
    let seconds = Clock::system().date().millis() / 1_000 - date.as_second();
    format!("{}y ago", seconds / 31_556_952)
}

#[test]
fn without_e_mail_addresses_the_id_tells_users_apart() {
    let rig = Rig::new();
    let row = format!(
        r#"{{"user_id":"{ANN}","max_risk_level":"low","event_count":1,"last_event":"2020-01-01T00:00:00Z"}}"#
    );
    let list = format!(r#"{{"users":[{row}]}}"#);
    let (_server, ended) = rig.scripted(&[&list, r#"{"users":[]}"#], &["users"]);
    assert!(ended.out.contains(ANN), "{ended:?}");
}

#[test]
fn a_search_that_stops_at_the_limit_says_how_many_are_shown() {
    let rig = Rig::new();
    let ended = rig.run(&["users", "--behavior", "high_dlp", "--limit", "1"]);
    let said = "showing 1 user; 3 users were not checked; raise --limit to see more\n";
    assert!(ended.err.ends_with(said), "{}", ended.err);
}

#[test]
fn control_characters_in_names_never_reach_the_terminal() {
    let rig = Rig::new();
    for command in [&["users"][..], &["user", "eve@example.com"], &["reset", EVE, "--yes"]] {
        for output in ["table", "json", "csv"] {
            let ended = rig.run(&[command, &["--output", output]].concat());
            let all = ended.out + &ended.err;
            assert!(!all.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{command:?} {output}: {all:?}");
        }
    }
    let found = rig.json(&["user", EVE]);
    assert_eq!(found["name"], "=Eve\u{1b}[31m\u{202e}", "in JSON nothing is lost");
}

#[test]
fn names_are_shown_whatever_users_identity_is() {
    let rig = Rig::new();
    for identity in ["id", "email", "none"] {
        let mut command = program(&rig.upstream(), "everything", &["users", "ann", "--output", "csv"]);
        let output = command.env("ZT_RISK_EXPORTER__USERS__IDENTITY", identity).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains("Ann Lee,ann@example.com"), "{identity}: {printed}");
    }
}

#[test]
fn a_list_has_at_most_fifty_users_unless_another_limit_is_given() {
    let rig = Rig::playing(&SCENARIO.replace("generated_users: 30", "generated_users: 60"));
    let config = format!(
        "accounts: [{{ id: fedcba9876543210fedcba9876543210, token: everything }}]\ncloudflare: {{ base_url: '{}' }}\n",
        rig.upstream()
    );
    let config = rig.file("config.yaml", &config);
    let arguments = ["users", "--output", "json", "--config.file", config.to_str().unwrap()];
    let listed = rig.ground_truth().accounts["fedcba9876543210fedcba9876543210"].listed;
    for (limit, shown) in [(&[][..], 50), (&["--limit", "1000"], listed)] {
        let ended = rig.run(&[&arguments[..], limit].concat());
        let found: Value = serde_json::from_str(&ended.out).unwrap();
        let seen = (found["users"].as_array().unwrap().len() as u64, found["omitted"].as_u64());
        assert_eq!(seen, (shown, Some(listed - shown)), "{limit:?}");
        let remark = format!("showing 50 of {listed} users; raise --limit to see more");
        assert_eq!(ended.err.contains(&remark), shown == 50, "{}", ended.err);
    }
}

#[test]
fn a_user_is_found_by_id_address_name_and_part_of_it() {
    let rig = Rig::new();
    for (text, wanted) in [
        (ANN, ANN),
        (&ANN.replace('-', ""), ANN),
        (&CEM.to_uppercase(), CEM),
        ("ann@example.com", ANN),
        ("ANN@Example.com", ANN),
        ("Ann Lee", ANN),
        ("bob", BOB),
        ("cem", CEM),
        (DAN, DAN),
    ] {
        assert_eq!(rig.json(&["user", text])["id"], wanted, "{text}");
    }
}

#[test]
fn a_user_is_found_by_the_hash_from_the_metrics() {
    let rig = Rig::new();
    let key = rig.file("hash.key", "0123456789abcdef\n");
    let hash = UserLabel::hash(b"0123456789abcdef").label(BOB.parse().unwrap()).unwrap();
    for (identity, code) in [("hash", 0), ("id", 1)] {
        let mut command = program(&rig.upstream(), "everything", &["user", &hash, "--output", "json"]);
        command.env("ZT_RISK_EXPORTER__USERS__IDENTITY", identity);
        command.env("ZT_RISK_EXPORTER__USERS__HASH_KEY_FILE", &key);
        let output = command.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        // Read as an id, it belongs to no user.
        assert_eq!(output.status.code() == Some(0), code == 0, "{identity}: {printed}");
        assert_eq!(printed.contains(BOB), code == 0, "{identity}: {printed}");
    }
}

#[test]
fn a_user_is_shown_with_events_details_and_last_reset() {
    let rig = Rig::new();
    let found = rig.json(&["user", ANN]);
    let events = [
        ("a-3", "imp_travel", "Impossible Travel", "high", "2020-01-03T08:00:00Z"),
        ("a-2", "high_dlp", "High Number of DLP Policies Triggered", "medium", "2020-01-02T08:00:00Z"),
    ];
    assert_eq!(found["events"].as_array().unwrap().len(), 2);
    for (event, (id, behavior, name, level, timestamp)) in
        found["events"].as_array().unwrap().iter().zip(events)
    {
        let mut event = event.clone();
        let details = event.as_object_mut().unwrap().remove("details");
        assert!(details.is_some(), "{event}");
        let wanted = json!({
            "id": id, "behavior": behavior, "name": name, "risk_level": level, "timestamp": timestamp,
        });
        assert_eq!(event, wanted);
    }
    let mut rest = found;
    rest.as_object_mut().unwrap().remove("events");
    let wanted = json!({
        "account": ACCOUNT, "id": ANN, "name": "Ann Lee", "email": "ann@example.com", "risk_level": "high",
        "last_reset": "2020-01-01T12:00:00Z", "whole": true,
    });
    assert_eq!(rest, wanted);
    let table = rig.run(&["user", ANN]).out;
    let age = years_ago("2020-01-03T08:00:00Z");
    let heading = format!(
        "account {ACCOUNT}\nuser {ANN}\nAnn Lee <ann@example.com>\n\
         risk level high, 2 events, last reset {} (2020-01-01T12:00:00Z)\n\
         WHEN    LEVEL   BEHAVIOR    DETAILS\n{age}  high    imp_travel",
        years_ago("2020-01-01T12:00:00Z")
    );
    assert!(table.starts_with(&heading), "{table}");
    assert_eq!(table.lines().count(), 7, "an event is one line: {table}");
    let wide = rig.run(&["user", ANN, "--output", "wide"]).out;
    let row = format!("{age}  2020-01-03T08:00:00Z  high    imp_travel  Impossible Travel");
    assert!(wide.contains(&row) && wide.contains("  a-3\n"), "{wide}");
    let dan = rig.run(&["user", DAN]).out;
    let age = years_ago("2020-02-02T08:00:00Z");
    let ends = format!("risk level none, 0 events, last reset {age} (2020-02-02T08:00:00Z)\nnone\n");
    assert!(dan.ends_with(&ends), "{dan}");
}

#[test]
fn details_are_shown_whatever_json_they_are() {
    let rig = Rig::new();
    let event = |id: &str, details: &str| {
        format!(
            r#"{{"id":"{id}","name":"n","risk_level":"low","timestamp":"2020-01-0{id}T00:00:00Z"{details}}}"#
        )
    };
    let events = [
        event("1", ""),
        event("2", r#", "event_details":null"#),
        event("3", r#", "event_details": {"b":[1,{"c":"x\u001b[31m"}],"a":true} "#),
        event("4", r#","event_details":"a, \"b\"""#),
    ];
    let user = format!(r#"{{"name":"N","email":"n@example.com","events":[{}]}}"#, events.join(","));
    let wanted =
        [json!("a, \"b\""), json!({ "a": true, "b": [1, { "c": "x\u{1b}[31m" }] }), Value::Null, Value::Null];
    let (_server, ended) = rig.scripted(&[&user, r#"{"behaviors":{}}"#], &["user", ANN, "--output", "json"]);
    let found: Value = serde_json::from_str(&ended.out).unwrap();
    let details: Vec<_> =
        found["events"].as_array().unwrap().iter().map(|event| event["details"].clone()).collect();
    assert_eq!(details, wanted);
    assert_eq!(found["risk_level"], Value::Null, "where Cloudflare says none");
    let (_server, ended) = rig.scripted(&[&user, r#"{"behaviors":{}}"#], &["user", ANN, "--output", "csv"]);
    let cells = [
        "\"\"\"a, \\\"\"b\\\"\"\"\"\"",
        "\"{\"\"a\"\":true,\"\"b\"\":[1,{\"\"c\"\":\"\"x\\u001b[31m\"\"}]}\"",
        "",
        "",
    ];
    let rows = [("4", cells[0]), ("3", cells[1]), ("2", cells[2]), ("1", cells[3])]
        .map(|(id, cell)| format!("2020-01-0{id}T00:00:00Z,n,n,low,{id},{cell},{ACCOUNT}\n"));
    assert_eq!(
        ended.out,
        format!("timestamp,behavior,name,risk_level,id,details,account\n{}", rows.concat())
    );
}

#[test]
fn behaviors_have_the_names_of_events_if_the_list_may_not_be_read() {
    let rig = Rig::new();
    let ended = rig.run_as("pii", &["user", ANN, "--output", "json"]);
    let found: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(found["events"][0]["behavior"], "Impossible Travel");
    assert!(ended.err.contains("add \"Zero Trust Read\""), "{}", ended.err);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn no_match_and_several_matches_print_no_address() {
    let rig = Rig::new();
    let several = rig.run(&["user", "lee", "--output", "json"]);
    assert_eq!(
        (several.code, several.err.as_str()),
        (Some(4), "zt-risk-exporter: \"lee\" matches 2 users; name one by id\n")
    );
    let candidates: Value = serde_json::from_str(&several.out).unwrap();
    assert_eq!(texts(&candidates["users"], "id"), [ANN, CEM]);
    for (text, shown) in [("nobody", "\"nobody\""), ("no@example.com", "the e-mail address given")] {
        let ended = rig.run(&["user", text]);
        let wanted = format!("zt-risk-exporter: no user on the risk list of {ACCOUNT} matches {shown}\n");
        assert_eq!((ended.code, ended.out.as_str(), ended.err), (Some(4), "", wanted));
    }
    let unknown = rig.run(&["user", "99999999-9999-4999-8999-999999999999"]);
    assert_eq!(unknown.code, Some(4));
    assert!(unknown.err.contains("user: the account has no such user"), "{}", unknown.err);
}

#[test]
fn an_incomplete_list_cannot_confirm_a_name() {
    let rig = Rig::new();
    rig.inject(FaultRule::at(Endpoint::Summary, Fault::LyingTotals { by: 3 }));
    let listed = rig.run(&["users", "--output", "json"]);
    let found: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((found["whole"].as_bool(), listed.code), (Some(false), Some(0)));
    let why = "the list of users is incomplete: page 2 repeats earlier pages";
    assert!(listed.err.contains(why), "{}", listed.err);
    for (user, code) in [("bob", 4), ("nobody", 4), (BOB, 0), ("bob@example.com", 0)] {
        let ended = rig.run(&["user", user]);
        assert_eq!(ended.code, Some(code), "{user}: {ended:?}");
        assert_eq!(ended.err.contains(why), code == 4, "{user}: {}", ended.err);
    }
    let ended = rig.run(&["reset", "bob", "--yes"]);
    assert_eq!((ended.code, rig.resets().len()), (Some(4), 0), "{ended:?}");
}

#[test]
fn a_search_by_behavior_stops_with_the_budget_and_counts_unchecked_users() {
    let rig = Rig::playing(&format!("limit: {{ quota: 1200 }}{SCENARIO}"));
    let token = rig.file("token", "everything");
    let text = "accounts: [{ id: fedcba9876543210fedcba9876543210, token_file: token, budget_share: 0.01 }]";
    let config =
        rig.file("config.yaml", &format!("{text}\ncloudflare: {{ base_url: '{}' }}\n", rig.upstream()));
    assert!(token.exists());
    let arguments = ["users", "--behavior", "imp_travel", "--output", "json", "--config.file"];
    let ended = rig.run(&[&arguments[..], &[config.to_str().unwrap()]].concat());
    let found: Value = serde_json::from_str(&ended.out).unwrap();
    // Two of the 12 requests are for the behaviors and the list.
    let listed = rig.ground_truth().accounts["fedcba9876543210fedcba9876543210"].listed;
    assert_eq!(found["unread"].as_u64(), Some(listed - 10), "{ended:?}");
    assert!(ended.err.contains("not checked: the request budget is spent"), "{}", ended.err);
    assert_eq!(rig.requests("GET"), 12);
}

#[test]
fn users_found_before_a_search_fails_are_shown() {
    let rig = Rig::new();
    let row = |id: &str| {
        format!(
            r#"{{"user_id":"{id}","name":"n","email":"n@example.com","max_risk_level":"low","event_count":1,
                "last_event":"2020-01-01T00:00:00Z"}}"#
        )
    };
    let list = format!(r#"{{"users":[{},{},{}]}}"#, row(ANN), row(BOB), row(CEM));
    let server = rig.runtime().block_on(Canned::start(move |_, asked| match asked.line.rsplit_once('/') {
        Some((_, "behaviors")) => {
            good(r#"{"behaviors":{"a":{"name":"A","description":"","enabled":true,"risk_level":"low"}}}"#)
        }
        Some((_, "summary")) => good(&list),
        _ if asked.line.contains(BOB) => bad(429, 971, "Please wait"),
        _ => good(
            r#"{"name":"n","email":"n@example.com","risk_level":"low","last_reset_time":null,
                "events":[{"id":"e","name":"A","risk_level":"low","timestamp":"2020-01-01T00:00:00Z"},
                    {"id":"f","name":"A","risk_level":"low","timestamp":"soon"}]}"#,
        ),
    }));
    let upstream = format!("http://{}/client/v4", server.address);
    let arguments = ["users", "--behavior", "a", "--output", "json"];
    let ended = Ended::from(program(&upstream, "everything", &arguments).output().unwrap());
    let found: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert_eq!(texts(&found["users"], "id"), [ANN]);
    assert_eq!((ended.code, found["unread"].as_u64()), (Some(1), Some(2)));
    for remark in ["2 users were not checked\n", "not all events of 1 user could be read\n"] {
        assert!(ended.err.contains(remark), "{remark}: {}", ended.err);
    }
    assert!(ended.err.contains("user: cloudflare's rate limit is reached"), "{}", ended.err);
    let of_a_user = |line: &String| [ANN, BOB, CEM].iter().any(|id| line.contains(id));
    let users: Vec<_> = server.lines().into_iter().filter(of_a_user).collect();
    assert!(users.last().is_some_and(|line| line.contains(BOB)), "nobody is asked for after the refusal");
}

#[test]
fn errors_while_reading_say_what_to_do() {
    for (fault, printed) in [
        (
            Fault::Limited { retry_after: Some("20".to_owned()) },
            "summary: cloudflare's rate limit is reached; retry in 20 s",
        ),
        (Fault::MissingResult, "summary: unexpected response: it has no result"),
    ] {
        let rig = Rig::new();
        rig.inject(FaultRule::at(Endpoint::Summary, fault));
        let ended = rig.run(&["users"]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
        assert!(ended.err.contains(printed), "{}", ended.err);
        assert_eq!(rig.requests("GET"), 1, "a person is told at once");
        rig.clear_faults();
        assert_eq!(rig.run(&["users"]).code, Some(0), "a person's command leaves nothing behind");
    }
    let rig = Rig::new();
    let nowhere = program(&format!("{}/nowhere", rig.upstream()), "everything", &["users"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(1), "an address that leads nowhere is no user who is not there");
    let ended = rig.run_as("nonsense", &["users"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("summary: the credentials were rejected"), "{}", ended.err);
}
