//! Each operation: the request, and the value of a successful response.

use std::collections::BTreeMap;

use secrecy::SecretString;
use uuid::Uuid;
use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::cloudflare::{
    Client, Credentials, IntegrationSetting, Kind, NewIntegration, Pii, TokenState, UpdatedBehavior,
};
use zt_risk_exporter::model::{
    BehaviorSetting, Completeness, Event, Identity, Integration, Level, Listing, OddFields, RowFingerprint,
};

use crate::canned::{ACCOUNT, Canned, answer, budget, client, good};

/// The description of an unexpected field, without its value.
fn odd(fields: &OddFields) -> Vec<(&'static str, &'static str, Option<usize>)> {
    fields.iter().map(|odd| (odd.field, odd.found.as_str(), odd.first_row)).collect()
}

const USER: &str = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e";
const INTEGRATION: &str = "4cfe8442-664b-4915-acd4-b39cd65c4314";
/// 2019-12-27T18:11:19.117Z
const THEN: Timestamp = Timestamp::from_millis(1_577_470_279_117);

/// As recorded from the API.
const RECORDED: &str = r#"{"account_tag":"f037e56e89293a057740de681ac9abbe","active":true,
    "created_at":"2025-03-19T19:53:56Z","id":"4cfe8442-664b-4915-acd4-b39cd65c4314","integration_type":"Okta",
    "reference_id":"3701e70b-5de4-4d9d-8972-f5aa994d9057","tenant_url":"https://example.oktapreview.com",
    "well_known_url":"https://ssf.example.com/.well-known/sse-configuration/4cfe8442-664b-4915-acd4-b39cd65c4314"}"#;

fn recorded() -> Integration {
    Integration {
        id: INTEGRATION.parse().unwrap(),
        kind: "Okta".into(),
        reference_id: "3701e70b-5de4-4d9d-8972-f5aa994d9057".into(),
        tenant_url: "https://example.oktapreview.com".into(),
        well_known_url:
            "https://ssf.example.com/.well-known/sse-configuration/4cfe8442-664b-4915-acd4-b39cd65c4314"
                .into(),
        active: true,
        created_at: Timestamp::from_seconds(1_742_414_036),
    }
}

#[tokio::test]
async fn behaviors_are_read_and_changed() {
    let server = Canned::script([
        good(
            r#"{"behaviors":{"imp_travel":{"description":"Far.","enabled":true,"name":"Impossible Travel","risk_level":"high"},
                "high_dlp":{"description":"Often.","enabled":false,"name":"DLP","risk_level":"severe"}}}"#,
        ),
        good(r#"{"behaviors":{"imp_travel":{"enabled":false,"risk_level":"low"}}}"#),
        good(r#"{"behaviors":{"imp_travel":{"enabled":false,"risk_level":"low","name":"N","description":"D"}}}"#),
    ])
    .await;
    let client = server.client();
    let read = client.behaviors().await.unwrap();
    assert_eq!(read.rejected, 0);
    let read: Vec<_> = read
        .rows
        .iter()
        .map(|b| (b.id.as_str(), b.name.as_str(), b.description.as_str(), b.enabled, b.level))
        .collect();
    assert_eq!(
        read,
        [
            ("high_dlp", "DLP", "Often.", Some(false), Level::Unrecognized),
            ("imp_travel", "Impossible Travel", "Far.", Some(true), Level::High),
        ]
    );
    let setting =
        |level| BTreeMap::from([("imp_travel".to_owned(), BehaviorSetting { enabled: false, level })]);
    for _ in 0..2 {
        let changed = client.update_behaviors(&setting(Level::Low)).await.unwrap();
        let wanted = UpdatedBehavior { id: "imp_travel".into(), enabled: false, level: Level::Low };
        assert_eq!(changed, [wanted]);
    }
    let refused = client.update_behaviors(&setting(Level::Unknown)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the request was rejected: behavior \"imp_travel\" needs the level low, medium or high"
    );
    assert_eq!(server.lines(), ["GET /behaviors", "PUT /behaviors", "PUT /behaviors"]);
    assert_eq!(
        server.requests()[1].body,
        r#"{"behaviors":{"imp_travel":{"enabled":false,"risk_level":"low"}}}"#
    );
}

#[tokio::test]
async fn a_malformed_row_does_not_affect_others() {
    let good_row = r#"{"enabled":true,"risk_level":"low"}"#;
    for bad_row in ["null", "[]", "7"] {
        let server = Canned::script([
            good(&format!(r#"{{"behaviors":{{"a":{bad_row},"b":{good_row},"c":{bad_row}}}}}"#)),
            good(&format!(r#"{{"behaviors":{{"a":{bad_row}}}}}"#)),
        ])
        .await;
        let client = server.client();
        let found = client.behaviors().await.unwrap();
        let ids: Vec<_> = found.rows.iter().map(|behavior| behavior.id.as_str()).collect();
        assert_eq!((ids, found.rejected), (vec!["b"], 2), "{bad_row}");
        let error = client.behaviors().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Shape, "{bad_row}");
        assert!(error.to_string().contains("not as documented: no row is readable: "), "{error}");
    }
    for bad_row in
        [RECORDED.replace("4cfe8442", "x"), RECORDED.replace("\"id\":", "\"id\":null,\"_\":"), "7".to_owned()]
    {
        let server =
            Canned::script([good(&format!("[{bad_row},{RECORDED}]")), good(&format!("[{bad_row}]"))]).await;
        let client = server.client();
        let found = client.integrations().await.unwrap();
        assert_eq!((found.rows, found.rejected), (vec![recorded()], 1), "{bad_row}");
        assert_eq!(client.integrations().await.unwrap_err().kind(), Kind::Shape, "{bad_row}");
    }
    let server = Canned::script([good(r#"{"behaviors":{}}"#), good("[]")]).await;
    let client = server.client();
    assert_eq!(client.behaviors().await.unwrap(), Listing::default(), "none is no trouble");
    assert_eq!(client.integrations().await.unwrap(), Listing::default(), "none is no trouble");
}

/// The documentation's example, its errors beside success included, with totals that are true.
const SUMMARY: &str = r#"{"errors":[{"code":1000,"message":"message"}],"messages":[],"success":true,
    "result":{"users":[{"email":"email","event_count":0,"last_event":"2019-12-27T18:11:19.117Z","max_risk_level":"low",
    "name":"name","user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"}]},
    "result_info":{"count":1,"page":1,"per_page":20,"total_count":1,"total_pages":1}}"#;

#[tokio::test]
async fn the_summary_keeps_names_only_on_request() {
    for names in [Pii::Drop, Pii::Keep] {
        let server = Canned::script([answer(200, &["Date: Wed, 21 Oct 2015 07:28:00 GMT"], SUMMARY)]).await;
        let mut options = server.options();
        options.pii = names;
        let summary = client(options, &budget()).summary().await.unwrap();
        let user: Uuid = USER.parse().unwrap();
        assert_eq!(summary.rows.len(), 1);
        assert_eq!(
            (summary.rows[0].user, summary.rows[0].tuple),
            (user, RowFingerprint { last_event: THEN, count: 0.into(), level: Level::Low })
        );
        assert_eq!((&summary.completeness, summary.pages), (&Completeness::Complete, 1));
        assert_eq!(summary.date, Some(Timestamp::from_seconds(1_445_412_480)));
        let who = summary.identities.as_ref().map(|identities| identities.get(user));
        assert_eq!(who, (names == Pii::Keep).then_some(Some(("email", "name"))));
        assert_eq!(server.lines(), ["GET /summary"]);
    }
}

#[tokio::test]
async fn a_user_is_read_with_the_fields_beside_the_events() {
    let event = r#"{"id":"id","name":"imp_travel","risk_level":"low","timestamp":"2019-12-27T18:11:19.117Z","event_details":{}}"#;
    let around =
        r#""name":"name","email":"email","last_reset_time":"2019-12-27T18:11:19.117Z","risk_level":"odd""#;
    let reset = (Some(THEN), Some(Level::Unrecognized));
    for (result, events, rejected, (last_reset, level)) in [
        (format!(r#"{{{around},"events":[{event},{event},{{"id":"x"}}]}}"#), 1, 1, reset),
        (r#"{"events":[],"risk_level":null}"#.to_owned(), 0, 0, (None, None)),
    ] {
        let server = Canned::script([good(&result)]).await;
        let mut options = server.options();
        options.pii = Pii::Keep;
        let user = client(options, &budget()).user(USER.parse().unwrap()).await.unwrap();
        let wanted = Event { id: "id".into(), name: "imp_travel".into(), level: Level::Low, timestamp: THEN };
        assert_eq!(user.events, vec![wanted; events]);
        assert_eq!((user.rejected, user.last_reset, user.level), (rejected, last_reset, level));
        let named = events > 0;
        let identity = |text: &str| if named { text.to_owned() } else { String::new() };
        let who = Identity { email: identity("email"), name: identity("name") };
        assert_eq!(user.identity, Some(who));
        // A list that is not empty may be the first page of several, because the answer says nothing of pages.
        let further = named.then(|| format!("GET /{USER}?page=2"));
        let wanted: Vec<String> = [format!("GET /{USER}")].into_iter().chain(further).collect();
        assert_eq!(server.lines(), wanted);
    }
}

#[tokio::test]
async fn a_reset_and_a_removal_need_only_success() {
    for body in
        [r#"{"success":true,"result":{}}"#, r#"{"success":true,"result":null}"#, r#"{"success":true}"#]
    {
        let server = Canned::script([answer(200, &[], body)]).await;
        let client = server.client();
        client.reset(USER.parse().unwrap()).await.unwrap();
        client.delete_integration(INTEGRATION.parse().unwrap()).await.unwrap();
        assert_eq!(
            server.lines(),
            [format!("POST /{USER}/reset"), format!("DELETE /integrations/{INTEGRATION}")]
        );
    }
}

#[tokio::test]
async fn integrations_are_listed_created_read_changed_and_found() {
    let server = Canned::start(|_, asked| {
        match asked.line.ends_with("/integrations") && asked.line.starts_with("GET") {
            true => good(&format!("[{RECORDED}]")),
            false => good(RECORDED),
        }
    })
    .await;
    let client = server.client();
    let id = INTEGRATION.parse().unwrap();
    let tenant_url = "https://example.oktapreview.com".to_owned();
    let new = |reference_id: Option<&str>| NewIntegration {
        tenant_url: tenant_url.clone(),
        reference_id: reference_id.map(Into::into),
    };
    let setting = IntegrationSetting {
        tenant_url: tenant_url.clone(),
        active: false,
        reference_id: Some("mine".into()),
    };
    assert_eq!(
        client.integrations().await.unwrap(),
        Listing { rows: vec![recorded()], ..Listing::default() }
    );
    assert_eq!(client.create_integration(&new(None)).await.unwrap(), recorded());
    assert_eq!(client.create_integration(&new(Some("mine"))).await.unwrap(), recorded());
    assert_eq!(client.integration(id).await.unwrap(), recorded());
    assert_eq!(client.update_integration(id, &setting).await.unwrap(), recorded());
    assert_eq!(client.integration_by_reference("a/b c").await.unwrap(), recorded());
    for reference in ["", ".", "..", "a\nb"] {
        let error = client.integration_by_reference(reference).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{reference:?}");
    }
    assert_eq!(
        server.lines(),
        [
            "GET /integrations",
            "POST /integrations",
            "POST /integrations",
            &format!("GET /integrations/{INTEGRATION}"),
            &format!("PUT /integrations/{INTEGRATION}"),
            "GET /integrations/reference_id/a%2Fb%20c",
        ]
    );
    let tenant = r#""tenant_url":"https://example.oktapreview.com""#;
    let bodies: Vec<String> = server.requests().into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies[1], format!(r#"{{"integration_type":"Okta",{tenant}}}"#));
    assert_eq!(bodies[2], format!(r#"{{"integration_type":"Okta","reference_id":"mine",{tenant}}}"#));
    assert_eq!(bodies[4], format!(r#"{{"active":false,"reference_id":"mine",{tenant}}}"#));
}

#[tokio::test]
async fn the_verification_of_a_token_gives_its_expiry() {
    for (result, state, expires) in [
        (
            r#"{"id":"x","status":"active","expires_on":"2019-12-27T18:11:19.117Z"}"#,
            TokenState::Active,
            Some(THEN),
        ),
        (r#"{"id":"x","status":"active"}"#, TokenState::Active, None),
        (r#"{"id":"x","status":"disabled"}"#, TokenState::Disabled, None),
        (r#"{"id":"x","status":"expired"}"#, TokenState::Expired, None),
        (r#"{"id":"x","status":"dreaming"}"#, TokenState::Unknown, None),
    ] {
        let server = Canned::script([good(result)]).await;
        let token = server.client().verify_token().await.unwrap();
        assert_eq!((token.state, token.expires), (state, expires), "{result}");
        assert_eq!(server.requests()[0].line, "GET /client/v4/user/tokens/verify");
    }
}

#[tokio::test]
async fn requests_carry_one_kind_of_credentials_and_a_user_agent() {
    let server = Canned::script([good("[]")]).await;
    let key = |email: &str, key: &str| Credentials::Key { email: email.into(), key: SecretString::from(key) };
    let client = server.client();
    client.integrations().await.unwrap();
    let by_key = client.with_credentials(key("me@example.com", "k3y")).unwrap();
    by_key.integrations().await.unwrap();
    let heads: Vec<String> = server.requests().into_iter().map(|asked| asked.head.to_lowercase()).collect();
    for (head, has, lacks) in [
        (&heads[0], "authorization: bearer t0ken-of-the-tests", "x-auth"),
        (&heads[1], "x-auth-email: me@example.com\r\nx-auth-key: k3y", "authorization"),
    ] {
        assert!(head.contains(has) && !head.contains(lacks), "{head}");
        let agent = concat!("user-agent: zt-risk-exporter/", env!("CARGO_PKG_VERSION"));
        assert!(head.contains(agent) && head.contains("accept-encoding: gzip\r\n"), "{head}");
    }
    assert_eq!(by_key.verify_token().await.unwrap_err().kind(), Kind::Invalid);
    assert_eq!(server.requests().len(), 2);

    for (account, credentials, wanted) in [
        ("0123", key("a", "b"), "the account id must be 32 hexadecimal digits"),
        ("0123456789abcdef0123456789abcdeg", key("a", "b"), "the account id must be 32 hexadecimal digits"),
        (
            ACCOUNT,
            key("", "b"),
            "the credentials are empty or contain characters that an HTTP header cannot carry; check for line breaks",
        ),
        (
            ACCOUNT,
            key("a", ""),
            "the credentials are empty or contain characters that an HTTP header cannot carry; check for line breaks",
        ),
        (
            ACCOUNT,
            Credentials::Token(SecretString::from("abc\n")),
            "the credentials are empty or contain characters that an HTTP header cannot carry; check for line breaks",
        ),
    ] {
        let error = Client::new(account, credentials, budget(), server.options()).err();
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(wanted));
    }
}

#[tokio::test]
async fn a_user_with_an_unexpected_field_is_kept() {
    let row = |fields: &str| format!(r#"{{"user_id":"{USER}",{fields}}}"#);
    let unknown = Timestamp::UNKNOWN;
    for (fields, tuple, wanted) in [
        (
            r#""max_risk_level":"high","event_count":1,"last_event":null"#,
            (unknown, Some(1), Level::High),
            &[("last_event", "null", Some(1))][..],
        ),
        (
            r#""max_risk_level":"HIGH","event_count":"12""#,
            (unknown, Some(12), Level::High),
            &[("last_event", "absent", Some(1))],
        ),
        (
            r#""max_risk_level":"low","event_count":99999999999,"last_event":"2019-12-27 18:11:19.117 +0000 UTC""#,
            (THEN, None, Level::Low),
            &[("event_count", "number", Some(1))],
        ),
        (
            r#""max_risk_level":"low","event_count":"many","last_event":"0001-01-01T00:00:00Z""#,
            (unknown, None, Level::Low),
            &[("event_count", "string", Some(1))],
        ),
        (
            r#""max_risk_level":"critical","event_count":-3,"last_event":1577470279"#,
            (unknown, None, Level::Unrecognized),
            &[
                ("event_count", "number", Some(1)),
                ("last_event", "number", Some(1)),
                ("max_risk_level", "unknown_level", Some(1)),
            ],
        ),
        (
            r#""max_risk_level":null,"event_count":{},"last_event":"2019-12-27T18:11:19.117000000Z""#,
            (THEN, None, Level::Unknown),
            &[("event_count", "object", Some(1)), ("max_risk_level", "null", Some(1))],
        ),
    ] {
        let server = Canned::script([good(&format!(r#"{{"users":[{}]}}"#, row(fields)))]).await;
        let summary = server.client().summary().await.unwrap();
        let RowFingerprint { last_event, count, level } = summary.rows[0].tuple;
        assert_eq!((last_event, count.known(), level), tuple, "{fields}");
        assert_eq!(summary.completeness, Completeness::Complete, "{fields}");
        assert_eq!(odd(&summary.odd), wanted, "{fields}");
    }
}

#[tokio::test]
async fn events_with_unexpected_fields_are_read_or_reported() {
    let date = r#""timestamp":"2019-12-27T18:11:19.117Z""#;
    for (event, wanted, reasons) in [
        (
            r#"{"id":"a","name":"n","risk_level":"high","timestamp":"2019-12-27 18:11:19.117 +0000 UTC"}"#
                .to_owned(),
            Some(("a", "n", Level::High)),
            &[][..],
        ),
        (format!(r#"{{"id":7,"name":"n","risk_level":"High",{date}}}"#), Some(("7", "n", Level::High)), &[]),
        (
            format!(r#"{{"id":null,"name":"n","risk_level":"low",{date}}}"#),
            Some(("", "n", Level::Low)),
            &[("id", "null", Some(1))],
        ),
        (
            format!(r#"{{"name":"n","risk_level":"low",{date}}}"#),
            Some(("", "n", Level::Low)),
            &[("id", "absent", Some(1))],
        ),
        (
            format!(r#"{{"id":true,"name":3,"risk_level":"low",{date}}}"#),
            Some(("true", "3", Level::Low)),
            &[],
        ),
        (
            format!(r#"{{"id":"a","name":"n","risk_level":"worst",{date}}}"#),
            Some(("a", "n", Level::Unrecognized)),
            &[("risk_level", "unknown_level", Some(1))],
        ),
        (
            format!(r#"{{"id":"a","name":"n","risk_level":[],{date}}}"#),
            Some(("a", "n", Level::Unrecognized)),
            &[("risk_level", "array", Some(1))],
        ),
        (format!(r#"{{"id":[],"name":"n","risk_level":"low",{date}}}"#), None, &[("id", "array", Some(1))]),
        (
            format!(r#"{{"id":"{}","name":"n","risk_level":"low",{date}}}"#, "x".repeat(100_000)),
            None,
            &[("id", "too_long", Some(1))],
        ),
        (
            format!(r#"{{"id":"a","name":null,"risk_level":"low",{date}}}"#),
            Some(("a", "", Level::Low)),
            &[("name", "null", Some(1))],
        ),
        (
            format!(r#"{{"id":"a","name":[],"risk_level":"low",{date}}}"#),
            Some(("a", "", Level::Low)),
            &[("name", "array", Some(1))],
        ),
        // Nothing but a time distinguishes it from other events.
        (
            format!(r#"{{"id":null,"risk_level":"low",{date}}}"#),
            None,
            &[("id", "null", Some(1)), ("name", "absent", Some(1))],
        ),
        (
            r#"{"id":"a","name":"n","risk_level":"low","timestamp":"0001-01-01T00:00:00Z"}"#.to_owned(),
            None,
            &[("timestamp", "string", Some(1))],
        ),
        (
            r#"{"id":"a","name":"n","risk_level":"low","timestamp":1577470279}"#.to_owned(),
            None,
            &[("timestamp", "number", Some(1))],
        ),
        ("5".to_owned(), None, &[("event", "number", Some(1))]),
    ] {
        let server = Canned::script([good(&format!(r#"{{"events":[{event}]}}"#))]).await;
        let risk = server.client().user(USER.parse().unwrap()).await.unwrap();
        let found = risk.events.first().map(|event| (event.id.as_str(), event.name.as_str(), event.level));
        assert_eq!((found, risk.rejected), (wanted, u32::from(wanted.is_none())), "{event:.200}");
        assert!(risk.events.iter().all(|event| event.timestamp == THEN), "{event:.200}");
        assert_eq!(
            (odd(&risk.odd), risk.completeness),
            (reasons.to_vec(), Completeness::Complete),
            "{event:.200}"
        );
    }
    let head =
        r#"{"events":[],"last_reset_time":"0001-01-01T00:00:00Z","risk_level":7,"name":{},"email":null}"#;
    let server = Canned::script([good(head)]).await;
    let risk = server.client().user(USER.parse().unwrap()).await.unwrap();
    assert_eq!((risk.last_reset, risk.level), (None, None));
    assert_eq!(odd(&risk.odd), [("name", "object", None), ("risk_level", "number", None)]);
}

#[tokio::test]
async fn an_integration_with_null_fields_is_kept_and_a_duplicate_is_dropped() {
    let nulls = format!(
        r#"[{{"id":"{INTEGRATION}","active":null,"reference_id":null,"tenant_url":null,"integration_type":null,"created_at":null}}]"#
    );
    let twice = format!("[{RECORDED},{}]", RECORDED.replace("true", "false"));
    let server = Canned::script([good(&nulls), good(&twice)]).await;
    let client = server.client();
    let found = client.integrations().await.unwrap();
    let wanted = Integration {
        kind: String::new(),
        reference_id: String::new(),
        tenant_url: String::new(),
        well_known_url: String::new(),
        active: false,
        created_at: Timestamp::UNKNOWN,
        ..recorded()
    };
    assert_eq!((found.rows, found.rejected), (vec![wanted], 0));
    let fields: Vec<_> = found.odd.iter().map(|odd| odd.field).collect();
    assert_eq!(fields, ["active", "created_at", "integration_type", "reference_id", "tenant_url"]);

    let found = client.integrations().await.unwrap();
    assert_eq!(found.rows, [Integration { active: false, ..recorded() }]);
}
