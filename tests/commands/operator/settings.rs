//! Behaviors and integrations: shown, compared, and changed without undoing concurrent changes.

use serde_json::{Value, json};

use super::rig::{ACCOUNT, INTEGRATION, Rig, texts};

#[test]
fn behaviors_are_listed_in_every_format() {
    let rig = Rig::new();
    let found = rig.json(&["behaviors"]);
    assert_eq!(found, rig.json(&["behaviors", "list"]));
    assert_eq!(found["account"], ACCOUNT);
    let ids = texts(&found["behaviors"], "id");
    assert_eq!(ids.len(), 8);
    assert!(ids.is_sorted(), "{ids:?}");
    let travel = ids.iter().position(|id| *id == "imp_travel").unwrap();
    let wanted = json!({
        "id": "imp_travel", "name": "Impossible Travel", "enabled": true, "risk_level": "high",
        "description": found["behaviors"][travel]["description"],
    });
    assert_eq!(found["behaviors"][travel], wanted);
    assert!(wanted["description"].as_str().is_some_and(|text| text.len() > 20));
    let csv = rig.run(&["behaviors", "--output", "csv"]).out;
    assert!(csv.starts_with("id,name,description,enabled,risk_level\n"), "{csv}");
    assert!(
        csv.lines()
            .any(|line| line.starts_with("imp_travel,Impossible Travel,") && line.ends_with(",true,high"))
    );
    let table = rig.run(&["behaviors"]).out;
    assert!(table.contains("\nimp_travel              true     high    Impossible Travel\n"), "{table}");
}

/// The settings of one behavior.
fn setting(rig: &Rig, id: &str) -> (bool, String) {
    let found = rig.json(&["behaviors"]);
    let behavior = found["behaviors"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap();
    (behavior["enabled"].as_bool().unwrap(), behavior["risk_level"].as_str().unwrap().to_owned())
}

#[test]
fn only_the_given_settings_of_one_behavior_change() {
    let rig = Rig::new();
    let before = rig.json(&["behaviors"]);
    let table = [
        (&["--disable"][..], (false, "high"), "enabled true -> false"),
        (&["--level", "low"], (false, "low"), "risk_level high -> low"),
        (
            &["--enable", "--level", "medium"],
            (true, "medium"),
            "enabled false -> true, risk_level low -> medium",
        ),
        (&["--level", "high"], (true, "high"), "risk_level medium -> high"),
    ];
    for (flags, (enabled, level), change) in table {
        let ended =
            rig.run(&[&["behaviors", "set", "imp_travel", "--yes", "--log.format", "json"], flags].concat());
        assert_eq!(ended.code, Some(0), "{flags:?}: {ended:?}");
        assert_eq!(setting(&rig, "imp_travel"), (enabled, level.to_owned()), "{flags:?}");
        let lines = ended.changes();
        let fields =
            |line: &Value| ["operation", "subject", "change", "outcome"].map(|name| line[name].clone());
        let logged: Vec<_> = lines.iter().map(fields).collect();
        assert_eq!(logged, [["set_behavior", "imp_travel", change, "done"].map(Value::from)]);
        let sentence = format!(
            "zt-risk-exporter: done: the behavior imp_travel was changed: {change}; see it with `zt-risk-exporter behaviors`"
        );
        assert_eq!(ended.err.lines().last(), Some(sentence.as_str()));
    }
    assert_eq!(rig.json(&["behaviors"]), before, "put back, and all others as they were");
    let ended = rig.run(&["behaviors", "set", "imp_travel", "--enable", "--yes"]);
    assert_eq!((ended.code, rig.requests("PUT")), (Some(0), 4), "nothing to change is not sent");
    assert!(ended.err.contains("there is nothing to change"), "{}", ended.err);
}

const BASELINE: &str =
    "imp_travel: { enabled: false, risk_level: low }\nhigh_dlp: { enabled: true, risk_level: medium }\n";

#[test]
fn a_difference_from_the_baseline_exits_with_3_until_it_is_applied() {
    let rig = Rig::new();
    let file = rig.file("baseline.yaml", BASELINE);
    let file = file.to_str().unwrap();
    let undeclared = [
        "crowdstrike_low_zta",
        "crowdstrike_medium_zta",
        "high_risk_domain",
        "malicious_file",
        "security_domain",
        "sentinel_one",
    ];
    let document = |outcome: &str| {
        json!({
            "account": ACCOUNT,
            "differences": [{
                "id": "imp_travel", "enabled": true, "enabled_wanted": false, "risk_level": "high",
                "risk_level_wanted": "low",
            }],
            "undeclared": undeclared,
            "outcome": outcome,
        })
    };
    let remark = format!("zt-risk-exporter: not in the baseline: {}\n", undeclared.join(", "));
    let differs = rig.run(&["behaviors", "diff", file, "--output", "json"]);
    let found: Value = serde_json::from_str(&differs.out).unwrap();
    assert_eq!((differs.code, found), (Some(3), document("found")));
    let table = rig.run(&["behaviors", "diff", file]).out;
    let wanted = "ID          ENABLED        LEVEL\nimp_travel  true -> false  high -> low\n";
    assert_eq!(table, format!("account {ACCOUNT}\n{wanted}"));
    assert_eq!(differs.err, format!("{remark}zt-risk-exporter: 1 behavior differs from {file}\n"));
    let csv = rig.run(&["behaviors", "diff", file, "--output", "csv"]);
    let header = "id,enabled,enabled_wanted,risk_level,risk_level_wanted";
    assert_eq!((csv.code, csv.out), (Some(3), format!("{header}\nimp_travel,true,false,high,low\n")));

    assert_eq!(rig.json(&["behaviors", "apply", file, "--yes"]), document("done"));
    assert_eq!(setting(&rig, "imp_travel"), (false, "low".to_owned()));
    let same = rig.run(&["behaviors", "diff", file]);
    assert_eq!((same.code, same.out, same.err), (Some(0), format!("account {ACCOUNT}\nnone\n"), remark));
    let again = rig.json(&["behaviors", "apply", file, "--yes"]);
    assert_eq!((again["outcome"].as_str(), rig.requests("PUT")), (Some("nothing_done"), 1));
}

#[test]
fn an_unknown_behavior_is_refused_with_the_known_ones() {
    let rig = Rig::new();
    let good = "high_dlp: { enabled: false, risk_level: low }";
    let unknown =
        rig.file("unknown.yaml", &format!("{good}\nnonsense: {{ enabled: true, risk_level: low }}\n"));
    let empty = rig.file("empty.yaml", "{}");
    let broken = rig.file("broken.yaml", "high_dlp: { enabled: false, risk_level: low, level: low }");
    let [unknown, empty, broken] = [&unknown, &empty, &broken].map(|path| path.to_str().unwrap());
    let known = "no such behavior: nonsense; the behaviors are: crowdstrike_low_zta, crowdstrike_medium_zta, high_dlp, \
                 high_risk_domain, imp_travel, malicious_file, security_domain, sentinel_one\n";
    for (code, arguments, said) in [
        (4, &["behaviors", "set", "nonsense", "--disable", "--yes"][..], known),
        (2, &["behaviors", "diff", unknown], known),
        (2, &["behaviors", "apply", unknown, "--yes"], known),
        (4, &["users", "--behavior", "nonsense"], known),
        (
            2,
            &["behaviors", "diff", empty],
            "empty.yaml:1: the baseline has no behaviors, but must have from 1 to 256\n",
        ),
        (
            2,
            &["behaviors", "diff", broken],
            "broken.yaml:1: high_dlp.level is not a known key; known keys: enabled, risk_level\n",
        ),
        (2, &["behaviors", "diff", "/none/such"], "the baseline /none/such: No such file or directory"),
        (
            2,
            &["behaviors", "diff"],
            "give a FILE: no baseline is configured for the account with behaviors.baseline\n",
        ),
        (2, &["behaviors", "apply", "--yes"], "give a FILE: no baseline is configured"),
    ] {
        let ended = rig.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{arguments:?}");
        assert!(ended.err.contains(said), "{arguments:?}: {}", ended.err);
    }
    assert_eq!(rig.requests("PUT"), 0);
}

#[test]
fn what_is_exported_or_listed_is_a_baseline_without_a_difference() {
    let rig = Rig::new();
    let exported = rig.run(&["behaviors", "export"]);
    assert_eq!((exported.code, exported.err.as_str()), (Some(0), ""), "{exported:?}");
    assert!(
        exported.out.contains("\n# Impossible Travel\nimp_travel: { enabled: true, risk_level: high }\n"),
        "{exported:?}"
    );
    let listed = rig.run(&["behaviors", "list", "--output", "json"]).out;
    rig.run(&["behaviors", "set", "imp_travel", "--disable", "--yes"]);
    let difference = "imp_travel  false -> true  high\n";
    for (name, text) in [("exported.yaml", &exported.out), ("listed.json", &listed)] {
        let file = rig.file(name, text);
        let file = file.to_str().unwrap();
        let differs = rig.run(&["behaviors", "diff", file]);
        assert!(differs.code == Some(3) && differs.out.ends_with(difference), "{name}: {differs:?}");
        let applied = rig.run(&["behaviors", "apply", file, "--yes"]);
        let sentence = "zt-risk-exporter: done: the behavior imp_travel was changed: enabled false -> true; see it with \
                        `zt-risk-exporter behaviors`";
        assert_eq!((applied.code, applied.err.lines().last()), (Some(0), Some(sentence)), "{name}");
        let same = rig.run(&["behaviors", "diff", file]);
        let wanted = (Some(0), format!("account {ACCOUNT}\nnone\n"), String::new());
        assert_eq!((same.code, same.out, same.err), wanted, "{name}");
        rig.run(&["behaviors", "set", "imp_travel", "--disable", "--yes"]);
    }
}

#[test]
fn diff_and_apply_use_the_configured_baseline_and_say_what_was_done() {
    let rig = Rig::new();
    let text =
        "imp_travel: { enabled: false, risk_level: low }\nhigh_dlp: { enabled: false, risk_level: medium }\n";
    let baseline = rig.file("baseline.yaml", text);
    rig.secret("token", "everything");
    let config = rig.file(
        "zt.yaml",
        &format!(
            "cloudflare: {{ base_url: \"{}\" }}\naccounts:\n\
             - {{ id: {ACCOUNT}, alias: acme, token_file: token, behaviors_baseline: baseline.yaml }}\n",
            rig.upstream()
        ),
    );
    let config = config.to_str().unwrap();
    let differs = rig.run(&["behaviors", "diff", "--config.file", config]);
    let said = format!("zt-risk-exporter: 2 behaviors differ from {}\n", baseline.display());
    assert!(differs.code == Some(3) && differs.err.ends_with(&said), "{differs:?}");
    let applied = rig.run(&["behaviors", "apply", "--yes", "--config.file", config]);
    let sentence = format!(
        "zt-risk-exporter: done: 2 behaviors were changed: high_dlp (enabled true -> false), imp_travel (enabled true -> \
         false, risk_level high -> low); see it with `zt-risk-exporter behaviors --config.file {config}`"
    );
    assert_eq!((applied.code, applied.err.lines().last()), (Some(0), Some(sentence.as_str())), "{applied:?}");
    // A baseline that cannot be used does not keep other commands from working.
    std::fs::write(&baseline, "imp_travel: { enabled: maybe }\nhigh_dlp: 1\n").unwrap();
    assert_eq!(rig.run(&["behaviors", "list", "--config.file", config]).code, Some(0));
    let refused = rig.run(&["behaviors", "diff", "--config.file", config]);
    let path = baseline.display();
    let wanted = format!(
        "the baseline {path} has 3 errors:\n{path}:1: imp_travel has no risk_level\n\
         {path}:1: imp_travel.enabled is \"maybe\", but must be true or false\n\
         {path}:2: high_dlp is a single value, but must be a map of enabled and risk_level\n"
    );
    assert_eq!(refused.code, Some(2));
    for line in wanted.lines() {
        assert!(refused.err.contains(line), "{line}\n{}", refused.err);
    }
}

fn behaviors(enabled: bool) -> String {
    format!(
        r#"{{"behaviors":{{"a":{{"name":"A","description":"","enabled":{enabled},"risk_level":"low"}},
            "b":{{"name":"B","description":"","enabled":true,"risk_level":"high"}},
            "odd":{{"name":"O","description":"","enabled":true,"risk_level":"severe"}}}}}}"#
    )
}

#[test]
fn only_differences_are_sent_and_nothing_after_a_concurrent_change() {
    let rig = Rig::new();
    let (before, after) = (behaviors(true), behaviors(false));
    let set =
        ["behaviors", "set", "a", "--level", "high", "--yes", "--log.format", "json", "--output", "json"];
    let changed = r#"{"behaviors":{"a":{"enabled":true,"risk_level":"high"}}}"#;
    for (results, code, sent, outcome, said) in [
        ([before.as_str(), &before, changed], 0, 1, Some("done"), ""),
        (
            [&before, &after, changed],
            1,
            0,
            None,
            "nothing was changed: a was changed meanwhile; review it and try again",
        ),
    ] {
        let (server, ended) = rig.scripted(&results, &set);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.err.contains(said), "{}", ended.err);
        let found: Option<Value> = serde_json::from_str(&ended.out).ok();
        let logged = ended.changes();
        assert_eq!(found.as_ref().and_then(|found| found["outcome"].as_str()), outcome);
        assert_eq!(logged.first().and_then(|line| line["outcome"].as_str()), outcome, "{logged:?}");
        let asked = server.requests();
        let puts: Vec<_> = asked.iter().filter(|asked| asked.line.starts_with("PUT")).collect();
        assert_eq!(puts.len(), sent);
        assert!(puts.iter().all(|put| put.body == changed), "{puts:?}");
    }
    let (_server, ended) = rig.scripted(&[&before], &["behaviors", "set", "odd", "--disable", "--yes"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.err.contains("the level of odd is unknown and cannot be sent back; give --level"),
        "{}",
        ended.err
    );
}

#[test]
fn a_change_of_behaviors_without_a_clear_result_is_verified_by_reading_again() {
    let rig = Rig::new();
    let before = behaviors(true);
    let after = before.replacen(r#""risk_level":"low""#, r#""risk_level":"high""#, 1);
    let other = before.replacen(r#""risk_level":"low""#, r#""risk_level":"medium""#, 1);
    let contradicts = r#"{"behaviors":{"a":{"enabled":true,"risk_level":"low"}}}"#;
    let set =
        ["behaviors", "set", "a", "--level", "high", "--yes", "--log.format", "json", "--output", "json"];
    for answer in ["null", contradicts] {
        for (now, code, outcome, logged, said) in [
            (&after, 0, "done", "done", ""),
            (&before, 1, "nothing_done", "not_done", "cloudflare accepted the change, but a has not changed"),
            (
                &other,
                1,
                "unknown",
                "unknown",
                "it is unclear whether a has changed: check with `zt-risk-exporter behaviors`",
            ),
        ] {
            let (_server, ended) = rig.scripted(&[&before, &before, answer, now], &set);
            assert_eq!(ended.code, Some(code), "{answer}: {ended:?}");
            assert!(ended.err.contains(said), "{answer}: {}", ended.err);
            let found: Value = serde_json::from_str(&ended.out).unwrap();
            assert_eq!(found["outcome"], outcome, "{answer}");
            let lines = ended.changes();
            assert_eq!(lines.iter().map(|line| &line["outcome"]).collect::<Vec<_>>(), [logged], "{answer}");
        }
    }
}

#[test]
fn a_change_of_integrations_without_a_result_is_verified_by_reading_again() {
    let rig = Rig::new();
    let one = |id: &str, active: bool| {
        format!(
            r#"{{"id":"{id}","integration_type":"Okta","reference_id":"hr","tenant_url":"https://a.okta.com",
                "well_known_url":"","active":{active},"created_at":"2020-01-01T00:00:00Z"}}"#
        )
    };
    let (on, off) = (one(INTEGRATION, true), one(INTEGRATION, false));
    let update = ["integrations", "update", INTEGRATION, "--deactivate", "--yes"];
    for (now, code) in [(&off, 0), (&on, 1)] {
        let (_server, ended) = rig.scripted(&[&on, &on, "null", now], &update);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(ended.err.contains("may have happened"), code == 1, "{}", ended.err);
    }
    let create =
        ["integrations", "create", "--tenant-url", "https://a.okta.com", "--yes", "--output", "json"];
    let (old, new) =
        (format!("[{on}]"), format!("[{on},{}]", one("00000000-0000-4000-8000-000000000001", true)));
    for (now, code) in [(&new, 0), (&old, 1)] {
        let (_server, ended) = rig.scripted(&[&old, "null", now], &create);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(ended.out.contains("00000000-0000-4000-8000-000000000001"), code == 0, "{}", ended.out);
    }
}

#[test]
fn a_change_is_logged_with_who_made_it_at_every_level() {
    let rig = Rig::new();
    let (before, changed) = (behaviors(true), r#"{"behaviors":{"a":{"enabled":true,"risk_level":"high"}}}"#);
    for level in ["off", "error", "info", "zt_risk_exporter=off"] {
        let set = [
            "behaviors",
            "set",
            "a",
            "--level",
            "high",
            "--yes",
            "--log.format",
            "json",
            "--log.level",
            level,
        ];
        let (_server, ended) = rig.scripted(&[&before, &before, changed], &set);
        let lines = ended.changes();
        let [line] = lines.as_slice() else { panic!("{level}: {ended:?}") };
        assert_eq!(
            (&line["outcome"], &line["token_id"]),
            (&json!("done"), &json!("ed17574386854bf78a67040be0a770b0"))
        );
        let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
        assert!(line["os_user"].as_str().is_some_and(|user| user.contains(&uid.to_string())), "{line}");
    }
}

#[test]
fn integrations_are_listed_found_created_changed_and_deleted() {
    let rig = Rig::new();
    let one = json!({
        "id": INTEGRATION, "integration_type": "Okta", "reference_id": "hr/1",
        "tenant_url": "https://example.okta.com", "active": true, "created_at": "2020-01-01T00:00:00Z",
        "well_known_url": format!("https://ssf.risk-score.teams.cloudflare.com/.well-known/sse-configuration/{INTEGRATION}"),
    });
    let document = |integration: &Value, outcome: &str| json!({ "account": ACCOUNT, "integrations": [integration], "outcome": outcome });
    for arguments in [
        &["integrations"][..],
        &["integrations", "list"],
        &["integrations", "get", INTEGRATION],
        &["integrations", "by-reference", "hr/1"],
    ] {
        assert_eq!(rig.json(arguments), document(&one, "read"), "{arguments:?}");
    }
    let csv = rig.run(&["integrations", "--output", "csv"]).out;
    assert!(
        csv.starts_with("id,integration_type,reference_id,tenant_url,well_known_url,active,created_at\n"),
        "{csv}"
    );
    let listed = rig.run(&["integrations"]).out;
    let row = format!("true    https://example.okta.com  {INTEGRATION}\n");
    assert_eq!(listed, format!("account {ACCOUNT}\nACTIVE  TENANT                    ID\n{row}"));
    assert!(rig.run(&["integrations", "--output", "wide"]).out.contains("  hr/1 "));
    let shown = rig.run(&["integrations", "get", INTEGRATION]).out;
    let url = one["well_known_url"].as_str().unwrap();
    assert!(shown.contains(&format!("\nwell-known URL  {url}\n")), "{shown}");

    let update = ["integrations", "update", INTEGRATION, "--yes"];
    let mut wanted = one;
    for (flags, field, value) in [
        (&["--deactivate"][..], "active", json!(false)),
        (&["--reference-id", "hr/2"], "reference_id", json!("hr/2")),
        (&["--tenant-url", "https://other.okta.com"], "tenant_url", json!("https://other.okta.com")),
        (&["--activate"], "active", json!(true)),
    ] {
        wanted[field] = value;
        assert_eq!(rig.json(&[&update, flags].concat()), document(&wanted, "updated"), "{flags:?}");
    }
    assert_eq!(rig.json(&[&update[..], &["--activate"]].concat()), document(&wanted, "nothing_done"));
    assert_eq!(rig.requests("PUT"), 4, "nothing to change is not sent");

    let create = ["integrations", "create", "--tenant-url", "https://new.okta.com", "--yes"];
    let other = rig.run(&create);
    let shown = |name: &str| {
        let line = other.out.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{other:?}")).trim().to_owned()
    };
    let (other_id, url) = (shown("id  "), shown("well-known URL  "));
    assert!(url.ends_with(&other_id), "{other:?}");
    let sentence = format!(
        "zt-risk-exporter: done: the integration {other_id} was created and is active; enter {url} in Okta; see it with \
         `zt-risk-exporter integrations get {other_id}`"
    );
    assert_eq!(other.err.lines().last(), Some(sentence.as_str()));
    let made = rig.json(&[&create[..], &["--reference-id", "new"]].concat());
    assert_eq!(
        (made["outcome"].as_str(), texts(&made["integrations"], "reference_id")),
        (Some("created"), vec!["new"])
    );
    let id = made["integrations"][0]["id"].as_str().unwrap();
    assert_eq!(rig.json(&["integrations", "delete", id, "--yes"])["outcome"], "deleted");
    let deleted = rig.run(&["integrations", "delete", &other_id, "--yes"]);
    let sentence = format!(
        "zt-risk-exporter: done: the integration {other_id} was deleted; level changes are no longer sent to it; see it with \
         `zt-risk-exporter integrations`"
    );
    assert_eq!(deleted.err.lines().last(), Some(sentence.as_str()));
    let gone = rig.run(&["integrations", "delete", id, "--yes"]);
    assert_eq!(gone.code, Some(4));
    assert!(gone.err.contains("the account has no such integration"), "{}", gone.err);
    assert_eq!(rig.requests("DELETE"), 2, "one that is not there is not deleted");
}

#[test]
fn a_concurrently_changed_integration_is_neither_overwritten_nor_deleted() {
    let rig = Rig::new();
    let one = |tenant: &str| {
        format!(
            r#"{{"id":"{INTEGRATION}","integration_type":"Okta","reference_id":"hr","tenant_url":"{tenant}",
                "well_known_url":"","active":true,"created_at":"2020-01-01T00:00:00Z"}}"#
        )
    };
    let (before, after) = (one("https://a.okta.com"), one("https://b.okta.com"));
    let update = ["integrations", "update", INTEGRATION, "--deactivate", "--yes"];
    let delete = ["integrations", "delete", INTEGRATION, "--yes"];
    for arguments in [&update[..], &delete] {
        let (server, ended) = rig.scripted(&[&before, &after], arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}");
        assert!(
            ended.err.contains(&format!("nothing was changed: {INTEGRATION} was changed meanwhile")),
            "{}",
            ended.err
        );
        assert_eq!(server.requests().len(), 2, "{arguments:?}");
    }
    let (server, _) = rig.scripted(&[&before, &before, &before], &update);
    let asked = server.requests();
    let put = asked.iter().find(|asked| asked.line.starts_with("PUT")).unwrap();
    let body: Value = serde_json::from_str(&put.body).unwrap();
    let wanted = json!({ "tenant_url": "https://a.okta.com", "active": false, "reference_id": "hr" });
    assert_eq!(body, wanted, "what is not changed is sent as it is, since a change overwrites all");
}
