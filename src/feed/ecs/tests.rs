//! What each kind of record is in the schema, against its published definitions (github.com/elastic/ecs, version 9.4).

use super::super::samples::{record, users};
use super::*;
use crate::feed::record::{Cause, GapReason};

fn encoded(user: Option<RecordUser>, content: Content) -> Value {
    serde_json::from_str(&encode(&record(7, user, content))).unwrap()
}

fn event(level: Level, details: Option<String>) -> Content {
    Content::RiskEvent { event_id: "e1".to_owned(), behavior: "imp_travel".to_owned(), level, details }
}

#[test]
fn each_kind_has_a_category_and_what_the_schema_allows_with_it() {
    let setting = Some(Setting { enabled: Some(true), level: Level::High });
    let behavior = |previous, current| Content::BehaviorChange {
        behavior: "b".to_owned(),
        name: String::new(),
        previous,
        current,
    };
    let change = Content::LevelChange { previous: None, current: Some(Level::Low), cause: Cause::Event };
    let integration = Content::IntegrationChange {
        id: uuid::Uuid::nil(),
        kind: "Okta".to_owned(),
        previous_active: Some(true),
        active: None,
    };
    for (content, wanted) in [
        (event(Level::High, None), json!(["alert", ["intrusion_detection"], ["info"], "risk_event", 3])),
        (change, json!(["event", ["iam"], ["user", "change"], "level_change", 1])),
        (Content::Reset { previous: None }, json!(["event", ["iam"], ["user", "change"], "reset", null])),
        (
            Content::UserGone { previous: Level::Low },
            json!(["event", ["iam"], ["user", "change"], "user_gone", null]),
        ),
        (behavior(None, setting), json!(["event", ["configuration"], ["creation"], "behavior_change", null])),
        (
            behavior(setting, setting),
            json!(["event", ["configuration"], ["change"], "behavior_change", null]),
        ),
        (integration, json!(["event", ["configuration"], ["deletion"], "integration_change", null])),
        (
            Content::Gap { reason: GapReason::Late, count: 1, sequences: None },
            json!(["pipeline_error", null, null, "gap", null]),
        ),
    ] {
        let event = &encoded(None, content)["event"];
        let found = ["kind", "category", "type", "action", "severity"].map(|name| event[name].clone());
        assert_eq!(json!(found), wanted, "{event}");
    }
}

#[test]
fn a_user_is_an_id_or_a_hash_and_has_a_level_only_where_the_record_knows_it() {
    let change = |current| Content::LevelChange { previous: None, current, cause: Cause::Event };
    let [_, hashed, user, person] = users();
    for (user, content, wanted) in [
        (&hashed, event(Level::High, None), json!({"hash": "6ceff0bb4c60e0bd2c4984abf6d61c33"})),
        (&user, event(Level::High, None), json!({"id": "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"})),
        (
            &user,
            change(Some(Level::High)),
            json!({"id": "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e", "risk": {"static_level": "High"}}),
        ),
        (&user, change(None), json!({"id": "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"})),
        (
            &person,
            Content::Reset { previous: None },
            json!({
                "id": "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e",
                "email": "ada@example.com",
                "full_name": "Ada Löve\"lace",
            }),
        ),
    ] {
        assert_eq!(encoded(user.clone(), content)["user"], wanted);
    }
    assert_eq!(encoded(None, change(Some(Level::High))).get("user"), None);
}

#[test]
fn details_that_were_cut_are_marked() {
    for (length, cut) in [(MAX_DETAILS, Value::Null), (MAX_DETAILS + 1, json!(true))] {
        let encoded = encoded(None, event(Level::High, Some("x".repeat(length))));
        let own = &encoded["cloudflare"]["zt_risk"];
        assert_eq!(own["details"].as_str().map(str::len), Some(MAX_DETAILS));
        assert_eq!(own["details_cut"], cut);
    }
}
