//! What each kind of record is in the framework, against its published definitions (schema.ocsf.io, version 1.8.0).

use super::super::samples::{ACCOUNT, USER, record, users};
use super::*;
use crate::feed::record::{Cause, GapReason};

fn encoded(user: Option<RecordUser>, content: Content) -> Value {
    serde_json::from_str(&encode(&record(7, user, content))).unwrap()
}

fn event(event_id: &str, level: Level, details: Option<String>) -> Content {
    Content::RiskEvent { event_id: event_id.to_owned(), behavior: "imp_travel".to_owned(), level, details }
}

/// The values at these places; null where there is none.
fn at<const N: usize>(event: &Value, places: [&str; N]) -> [Value; N] {
    places.map(|place| event.pointer(place).cloned().unwrap_or_default())
}

#[test]
fn each_kind_is_an_activity_of_a_class_with_a_severity_and_a_status() {
    let change = |current| Content::LevelChange { previous: Some(Level::Low), current, cause: Cause::Event };
    let setting = Some(Setting { enabled: Some(true), level: Level::High });
    let behavior = |previous, current| Content::BehaviorChange {
        behavior: "b".to_owned(),
        name: String::new(),
        previous,
        current,
    };
    let integration = |previous_active, active| Content::IntegrationChange {
        id: uuid::Uuid::nil(),
        kind: "Okta".to_owned(),
        previous_active,
        active,
    };
    for (content, wanted) in [
        (event("e", Level::Low, None), json!([2, 2004, 1, 200_401, 2, 1, 1])),
        (event("e", Level::Medium, None), json!([2, 2004, 1, 200_401, 3, 1, 2])),
        (event("e", Level::High, None), json!([2, 2004, 1, 200_401, 4, 1, 3])),
        (event("e", Level::Unrecognized, None), json!([2, 2004, 1, 200_401, 0, 1, 99])),
        (change(Some(Level::High)), json!([2, 2004, 2, 200_402, 4, 2, 3])),
        (change(None), json!([2, 2004, 2, 200_402, 1, 2, 0])),
        (Content::Reset { previous: None }, json!([2, 2004, 3, 200_403, 1, 4, null])),
        (Content::UserGone { previous: Level::High }, json!([2, 2004, 3, 200_403, 1, 5, null])),
        (behavior(None, setting), json!([3, 3004, 1, 300_401, 1, null, null])),
        (behavior(setting, setting), json!([3, 3004, 3, 300_403, 1, null, null])),
        (behavior(setting, None), json!([3, 3004, 4, 300_404, 1, null, null])),
        (integration(None, Some(true)), json!([3, 3004, 1, 300_401, 1, null, null])),
        (integration(Some(true), Some(false)), json!([3, 3004, 3, 300_403, 1, null, null])),
        (integration(Some(true), None), json!([3, 3004, 4, 300_404, 1, null, null])),
        (
            Content::Gap { reason: GapReason::Late, count: 1, sequences: None },
            json!([6, 6008, 1, 600_801, 3, null, null]),
        ),
    ] {
        let encoded = encoded(None, content);
        let found = at(
            &encoded,
            [
                "/category_uid",
                "/class_uid",
                "/activity_id",
                "/type_uid",
                "/severity_id",
                "/status_id",
                "/risk_level_id",
            ],
        );
        assert_eq!(json!(found), wanted, "{encoded}");
    }
}

#[test]
fn findings_of_a_user_have_one_uid_and_each_event_has_its_own() {
    let [nobody, _, user, _] = users();
    let reset = Content::Reset { previous: None };
    let record_id = format!("{ACCOUNT}:1795219200250:7");
    let of_user = format!("{ACCOUNT}:{USER}");
    for (user, content, uid, correlation) in [
        (&user, event("e1", Level::High, None), "e1", json!(of_user)),
        (&user, event("", Level::High, None), record_id.as_str(), json!(of_user)),
        (&user, reset.clone(), of_user.as_str(), json!(of_user)),
        (&nobody, reset, record_id.as_str(), Value::Null),
    ] {
        let encoded = encoded(user.clone(), content);
        let found = at(&encoded, ["/finding_info/uid", "/metadata/correlation_uid", "/metadata/uid"]);
        assert_eq!(found, [json!(uid), correlation, json!(record_id)], "{encoded}");
    }
}

#[test]
fn a_user_has_a_level_only_where_the_record_knows_it() {
    let [_, _, user, _] = users();
    let change = Content::LevelChange { previous: None, current: Some(Level::Medium), cause: Cause::Event };
    for (content, wanted) in [
        (event("e", Level::Low, None), json!([USER, null, null])),
        (change, json!([USER, 2, "Medium"])),
        (Content::Reset { previous: Some(Level::High) }, json!([USER, null, null])),
    ] {
        let encoded = encoded(user.clone(), content);
        let place = |name: &str| encoded.pointer(&format!("/evidences/0/actor/user/{name}")).cloned();
        assert_eq!(json!([place("uid"), place("risk_level_id"), place("risk_level")]), wanted, "{encoded}");
        // The observable says where the attribute is.
        assert_eq!(encoded["observables"][0]["value"], USER);
    }
}

#[test]
fn an_address_that_the_framework_does_not_take_is_a_name() {
    for (email, is) in [
        ("ada@example.com", true),
        ("a.b+c'd@mail.example-1.org", true),
        ("ada@localhost", false),
        ("ada", false),
        ("@example.com", false),
        ("a da@example.com", false),
        ("ada@example.", false),
        ("ädä@example.com", false),
        ("a@b@example.com", false),
    ] {
        assert_eq!(is_email(email), is, "{email}");
    }
}

#[test]
fn details_that_were_cut_are_marked() {
    for (length, cut) in [(MAX_DETAILS, Value::Null), (MAX_DETAILS + 1, json!(true))] {
        let encoded = encoded(None, event("e", Level::High, Some("x".repeat(length))));
        assert_eq!(encoded["raw_data"].as_str().map(str::len), Some(MAX_DETAILS));
        assert_eq!(encoded["metadata"]["is_truncated"], cut);
    }
}
