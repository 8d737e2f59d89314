//! Answers that differ from the documentation: pages, refusals of single users, odd values, late data.

use std::collections::BTreeSet;

use serde_json::json;
use zt_risk_exporter::simulator::{BehaviorSpec, Endpoint, Fault, FaultRule, Level};

use super::*;

#[tokio::test]
async fn result_info_has_totals_of_every_kind() {
    for (totals, info) in [
        ("numbers", json!({"page": 1, "per_page": 10, "count": 10, "total_count": 25, "total_pages": 3})),
        (
            "strings",
            json!({"page": "1", "per_page": "10", "count": "10", "total_count": "25", "total_pages": "3"}),
        ),
        ("null", json!({"page": 1, "per_page": 10, "count": 10, "total_count": null, "total_pages": null})),
        ("zero", json!({"page": 1, "per_page": 10, "count": 0, "total_count": 0, "total_pages": 0})),
        ("page", json!({"page": 1, "per_page": 10, "count": 10, "total_count": 10, "total_pages": 1})),
        ("absent", json!({"page": 1, "per_page": 10, "count": 10})),
        ("no_info", json!(null)),
    ] {
        let server = paged(&format!("totals: {totals}")).await;
        let (_, summary) = server.json("/summary").await;
        assert_eq!(summary["result_info"], info, "{totals}");
        assert_eq!(summary["result"]["users"].as_array().map(Vec::len), Some(10), "{totals}");
    }
}

#[tokio::test]
async fn an_answer_may_name_another_page_size_than_it_uses() {
    for (per_page, unasked, asked) in [
        ("granted", json!(10), json!(10)),
        ("asked", json!(10), json!(1_000)),
        ("absent", json!(null), json!(null)),
    ] {
        let server = paged(&format!("per_page: {per_page}")).await;
        for (query, wanted) in [("", unasked), ("?per_page=1000", asked)] {
            let (_, summary) = server.json(&format!("/summary{query}")).await;
            assert_eq!(summary["result_info"]["per_page"], wanted, "{per_page} {query}");
            assert_eq!(summary["result"]["users"].as_array().map(Vec::len), Some(10));
        }
    }
}

#[tokio::test]
async fn a_page_beyond_the_last_one_is_empty_or_the_last_one_or_refused() {
    let all = TestServer::of(Scenario::generated(25, 1)).await.users("/summary").await;
    for (beyond, page_4, of_whole) in [
        ("empty", Ok(25..25), Ok(0..25)),
        ("last", Ok(20..25), Ok(0..25)),
        ("bad_request", Err(400), Err(400)),
        ("not_found", Err(404), Err(404)),
    ] {
        let in_pages = paged(&format!("beyond_last: {beyond}")).await;
        let mut scenario = Scenario::generated(25, 1);
        scenario.api = Scenario::from_yaml(&format!("api: {{ beyond_last: {beyond} }}")).unwrap().api;
        let whole = TestServer::of(scenario).await;
        for (server, path, wanted) in [
            (&in_pages, "/summary?page=3", Ok(20..25)),
            (&in_pages, "/summary?page=4", page_4),
            (&whole, "/summary?page=1", Ok(0..25)),
            (&whole, "/summary?page=2", of_whole),
        ] {
            match wanted {
                Ok(rows) => assert_eq!(server.users(path).await, all[rows], "{beyond} {path}"),
                Err(status) => assert_eq!(server.get(path).await.status(), status, "{beyond} {path}"),
            }
        }
    }
}

#[tokio::test]
async fn lists_may_refuse_every_query() {
    let mut scenario = Scenario::generated(25, 1);
    let text = "api: { queries: { refused: { status: 422 } }, per_page: absent, totals: absent }";
    scenario.api = Scenario::from_yaml(text).unwrap().api;
    let server = TestServer::of(scenario).await;
    let (_, summary) = server.json("/summary").await;
    assert_eq!(summary["result_info"], json!({"page": 1, "count": 25}));
    let user = format!("/{}", text_of_first(&summary));
    for (path, status) in [("/summary?page=1", 422), (&user, 200), (&format!("{user}?per_page=9"), 422)] {
        assert_eq!(server.get(path).await.status(), status, "{path}");
    }
}

fn text_of_first(summary: &serde_json::Value) -> String {
    text(&summary["result"]["users"][0]["user_id"])
}

#[tokio::test]
async fn an_answer_may_say_no_more_than_that_there_are_more_rows() {
    for (next_page, pointer, said, page_2) in [
        ("has_more", "/result_info/has_more", json!(true), 10..20),
        ("nowhere", "/result_info/has_more", json!(true), 0..10),
        ("next", "/result_info/next", json!("?page=2&per_page=10"), 10..20),
    ] {
        let server = paged(&format!("totals: absent, next_page: {next_page}")).await;
        let (_, summary) = server.json("/summary").await;
        assert_eq!(summary.pointer(pointer), Some(&said), "{next_page}");
        let all = TestServer::of(Scenario::generated(25, 1)).await.users("/summary").await;
        assert_eq!(server.users("/summary?page=2").await, all[page_2], "{next_page}");
    }
    let server = paged("totals: absent, next_page: long_cursor").await;
    let (_, summary) = server.json("/summary").await;
    assert!(text(&summary["result_info"]["cursor"]).len() > 3_000);
}

#[tokio::test]
async fn only_requests_for_larger_pages_fail() {
    let server = paged("totals: absent").await;
    server.simulator.inject(FaultRule::at(Endpoint::Summary, Fault::LargePages { above: 20 }));
    for (query, status) in [("", 200), ("?per_page=20", 200), ("?per_page=21", 504), ("?page=2", 200)] {
        assert_eq!(server.get(&format!("/summary{query}")).await.status(), status, "{query}");
    }
}

/// 25 users in pages of 10.
async fn paged(api: &str) -> TestServer {
    let mut scenario = Scenario::generated(25, 1);
    let text = format!("api: {{ pages: {{ sized: {{ standard: 10, largest: 10 }} }}, {api} }}");
    scenario.api = Scenario::from_yaml(&text).unwrap().api;
    TestServer::of(scenario).await
}

#[tokio::test]
async fn all_users_are_found_by_following_cursors() {
    for (next_page, pointer, parameter) in [
        ("cursor", "/result_info/cursor", "cursor"),
        ("cursors_after", "/result_info/cursors/after", "cursor"),
        ("next_cursor", "/result_info/next_cursor", "cursor"),
        ("next_page_token", "/result_info/next_page_token", "page_token"),
    ] {
        let server = paged(&format!("totals: absent, next_page: {next_page}")).await;
        let (mut query, mut users, mut pages) = (String::new(), BTreeSet::new(), 0);
        loop {
            let path = format!("/summary{query}");
            users.extend(server.users(&path).await);
            pages += 1;
            let (_, summary) = server.json(&path).await;
            let cursor = text(summary.pointer(pointer).unwrap());
            if cursor.is_empty() {
                break;
            }
            let encoded = cursor.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            query = format!("?page=1&{parameter}={encoded}");
        }
        assert_eq!((users.len(), pages), (25, 3), "{next_page}");
        assert_eq!(server.users("/summary?page=3").await, server.users("/summary").await, "page is ignored");
    }
}

#[tokio::test]
async fn all_users_are_found_by_following_links() {
    let server = paged("totals: absent, next_page: link").await;
    let (mut url, mut users, mut pages) = (Some(server.url("/summary")), BTreeSet::new(), 0);
    while let Some(page) = url {
        let answer = server.client.get(page).bearer_auth(GENERATED_TOKEN).send().await.unwrap();
        let link = header(&answer, "link").map(str::to_owned);
        url = link
            .map(|link| link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned());
        let summary = parsed(answer).await;
        users
            .extend(summary["result"]["users"].as_array().unwrap().iter().map(|user| text(&user["user_id"])));
        pages += 1;
    }
    assert_eq!((users.len(), pages), (25, 3));
}

#[tokio::test]
async fn a_single_user_is_refused() {
    for (fault, status, html) in [
        (Fault::Status { status: 403, code: 10_000, message: "Authentication error".to_owned() }, 403, false),
        (Fault::Html { status: 404 }, 404, true),
        (Fault::Html { status: 403 }, 403, true),
        (Fault::NotModified, 304, false),
    ] {
        let server = TestServer::with("").await;
        let rule = FaultRule::at(Endpoint::User, fault.clone()).of_user(A.parse().unwrap());
        server.simulator.inject(rule);
        let answer = server.get(&format!("/{A}")).await;
        assert_eq!(answer.status().as_u16(), status, "{fault:?}");
        assert_eq!(answer.text().await.unwrap().starts_with("<!DOCTYPE html>"), html, "{fault:?}");
        for path in [&format!("/{B}"), "/summary"] {
            assert_eq!(server.get(path).await.status(), 200, "{path} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_share_of_requests_fails_while_other_faults_apply_to_all() {
    let more = "faults:
  - { share: 0.3, fault: { status: { status: 401, code: 10000, message: Authentication error } } }
  - { endpoint: summary, fault: { set: { path: /result/users/0/last_event, value: null } } }";
    let server = TestServer::with(more).await;
    let mut failed = 0;
    for _ in 0..100 {
        let (status, summary) = server.json("/summary").await;
        if status == 401 {
            failed += 1;
        } else {
            assert_eq!(summary["result"]["users"][0]["last_event"], json!(null));
            assert!(summary["result"]["users"][1]["last_event"].is_string());
        }
    }
    assert!((10..60).contains(&failed), "{failed}");
}

#[tokio::test]
async fn an_integration_is_listed_twice_and_events_have_ids_of_any_type() {
    let server = TestServer::of(Scenario::generated(5, 1)).await;
    server.simulator.inject(FaultRule::at(Endpoint::Integrations, Fault::DuplicatedRows));
    let (_, answer) = server.json("/integrations").await;
    let list = answer["result"].as_array().unwrap();
    assert_eq!((list.len(), &list[0]), (2, &list[1]));

    for (api, is_of_type) in [
        ("number", Value::is_u64 as fn(&Value) -> bool),
        ("null", Value::is_null),
        ("unique", Value::is_string),
    ] {
        let server = TestServer::with(&format!("api: {{ event_ids: {api} }}")).await;
        let user = B.parse().unwrap();
        server.simulator.append_event(GENERATED_ACCOUNT, user, "imp_travel", clock().date()).unwrap();
        let (_, answer) = server.json(&format!("/{B}")).await;
        assert!(is_of_type(&answer["result"]["events"][0]["id"]), "{api}: {answer}");
    }
}

#[tokio::test]
async fn events_appear_one_by_one_within_the_largest_lag() {
    let server = TestServer::with("api: { detail_lag_ms: 600000, detail_lag_max_ms: 7200000 }").await;
    let user: uuid::Uuid = A.parse().unwrap();
    let hour_ago = clock().date() - Duration::from_secs(3_600);
    // Both events of the scenario were appended in the past; new ones are appended now.
    let before = server.events(A).await.len();
    for _ in 0..20 {
        server.simulator.append_event(GENERATED_ACCOUNT, user, "imp_travel", hour_ago).unwrap();
    }
    assert_eq!(server.events(A).await.len(), before, "none is visible before the smallest lag");
    let (_, summary) = server.json("/summary").await;
    assert_eq!(summary["result"]["users"][0]["event_count"], 22);
}

#[tokio::test]
async fn a_new_behavior_is_listed_late_and_named_in_events_at_once() {
    for (api, listed) in [("{}", true), ("{ behavior_lag_ms: 3600000 }", false)] {
        let server = TestServer::with(&format!("api: {api}")).await;
        let behavior = BehaviorSpec {
            id: "brand_new".to_owned(),
            name: "Brand New".to_owned(),
            description: String::new(),
            enabled: true,
            risk_level: Level::High,
        };
        server.simulator.set_behavior(GENERATED_ACCOUNT, behavior).unwrap();
        let user = B.parse().unwrap();
        server.simulator.append_event(GENERATED_ACCOUNT, user, "brand_new", clock().date()).unwrap();
        let (_, behaviors) = server.json("/behaviors").await;
        assert_eq!(behaviors["result"]["behaviors"].get("brand_new").is_some(), listed, "{api}");
        assert_eq!(behaviors["result"]["behaviors"].as_object().unwrap().len(), 8 + usize::from(listed));
        let (_, answer) = server.json(&format!("/{B}")).await;
        assert_eq!(answer["result"]["events"][0]["name"], "Brand New");
    }
}

#[tokio::test]
async fn an_account_may_have_any_id_of_the_schema() {
    let text = TWO_USERS.replace("id: 0123456789abcdef0123456789abcdef", "id: account_id");
    let server = TestServer::of(Scenario::from_yaml(&text).unwrap()).await;
    for (account, status) in [("account_id", 200), ("another_id", 404), (GENERATED_ACCOUNT, 403)] {
        let url = format!("{}/accounts/{account}/zt_risk_scoring/summary", server.simulator.base_url());
        let answer = server.client.get(url).bearer_auth(GENERATED_TOKEN).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{account}");
    }
}

#[tokio::test]
async fn events_are_added_in_bulk_and_too_many_behaviors_are_refused() {
    let server = TestServer::with("").await;
    let post = async |path: &str, body: Value| {
        let request = server
            .client
            .post(server.root(path))
            .header("content-type", "application/json")
            .body(body.to_string());
        request.send().await.unwrap().status().as_u16()
    };
    let event = |count: u32| json!({"account": GENERATED_ACCOUNT, "user": B, "behavior": "imp_travel", "count": count});
    for (count, status) in [(0, 400), (10_001, 400), (5_000, 200)] {
        assert_eq!(post("/__control/events", event(count)).await, status, "{count}");
    }
    let events = server.events(B).await;
    assert_eq!(events.iter().collect::<BTreeSet<_>>().len(), 5_001);

    let behavior = json!({"id": "nap", "name": "Nap", "enabled": true, "risk_level": "low"});
    let body = json!({"account": GENERATED_ACCOUNT, "behavior": behavior});
    assert_eq!(post("/__control/behaviors", body).await, 204);
    // Three behaviors of the scenario have events already.
    for number in 0..65_533 {
        let id = format!("behavior-{number}");
        let user = uuid::Uuid::from_u128(1_000 + number % 100);
        server.simulator.append_event(GENERATED_ACCOUNT, user, &id, clock().date()).unwrap();
    }
    let event = |id: &str| json!({"account": GENERATED_ACCOUNT, "user": B, "behavior": id});
    assert_eq!(post("/__control/events", event("one-too-many")).await, 400);
    assert_eq!(post("/__control/events", event("behavior-0")).await, 200);
}
