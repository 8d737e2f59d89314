//! Credentials, limits, lists and changes.

use reqwest::Method;
use serde_json::json;

use super::*;

#[tokio::test]
async fn credentials_are_refused_as_cloudflare_refuses_them() {
    let server = TestServer::with(
        "  - { token: old, permissions: [], expires_on: -1h }
  - { token: settings, permissions: [Zero Trust Read] }
keys: [{ email: a@example.com, key: k }]",
    )
    .await;
    for (headers, status, error) in [
        (vec![], 400, 9106),
        (vec![("x-auth-email", "a@example.com")], 400, 9106),
        (vec![("authorization", "Bearer")], 400, 6003),
        (vec![("authorization", "Basic abc")], 400, 6003),
        (vec![("authorization", "Bearer wrong")], 401, 10_000),
        (vec![("authorization", "Bearer old")], 401, 10_000),
        (vec![("authorization", "Bearer settings")], 403, 10_000),
        (vec![("x-auth-email", "a@example.com"), ("x-auth-key", "wrong")], 401, 10_000),
        (vec![("x-auth-email", "a@example.com"), ("x-auth-key", "k")], 200, 0),
        (vec![("authorization", "Bearer simulated-token")], 200, 0),
    ] {
        let mut request = server.client.get(server.url("/summary"));
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{headers:?}");
        let ray = header(&answer, "cf-ray").unwrap().to_owned();
        assert_eq!(ray.split_once('-').map(|(id, _)| id.len()), Some(16), "{ray}");
        assert_eq!(header(&answer, "content-type"), Some("application/json; charset=UTF-8"));
        let envelope = parsed(answer).await;
        assert_eq!(code(&envelope), error, "{headers:?}");
        assert_eq!(envelope["success"], status == 200, "{headers:?}");
    }
}

#[tokio::test]
async fn a_malformed_token_has_an_error_chain_and_refusals_may_be_terse() {
    let server = TestServer::with("api: { refusals: terse }").await;
    let request = server.client.get(server.url("/summary"));
    let answer = request.header("authorization", "Bearer a b").send().await.unwrap();
    assert_eq!(
        parsed(answer).await,
        json!({"success": false, "errors": [{"code": 6003, "message": "Invalid request headers",
            "error_chain": [{"code": 6111, "message": "Invalid format for Authorization header"}]}]})
    );
}

#[tokio::test]
async fn beyond_the_limit_all_requests_are_blocked_and_the_headers_show_it() {
    let server = TestServer::with("limit: { quota: 2 }").await;
    for (path, status, remaining) in [("/summary", 200, 1), ("/behaviors", 200, 0), ("/summary", 429, 0)] {
        let answer = server.get(path).await;
        assert_eq!(answer.status().as_u16(), status);
        let limit = header(&answer, "ratelimit").unwrap();
        assert!(limit.starts_with(&format!("\"default\";r={remaining};t=")), "{limit}");
        assert_eq!(header(&answer, "ratelimit-policy"), Some("\"default\";q=2;w=300"));
        let wait = header(&answer, "retry-after").map(|wait| wait.parse::<u64>().unwrap());
        assert_eq!(wait.is_some(), status == 429);
        assert!(wait.is_none_or(|wait| (295..=300).contains(&wait)), "{wait:?}");
        let envelope = parsed(answer).await;
        assert_eq!(code(&envelope), if status == 429 { 971 } else { 0 });
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let server = TestServer::with("").await;
    let account = format!("/accounts/{GENERATED_ACCOUNT}");
    for (method, path, status, error) in [
        (Method::GET, "/accounts/acme/zt_risk_scoring/summary".to_owned(), 404, 7003),
        (Method::GET, format!("/accounts/{}/zt_risk_scoring/summary", "f".repeat(32)), 403, 9109),
        (Method::GET, format!("{account}/zt_risk_scoring"), 404, 7003),
        (Method::GET, format!("{account}/zt_risk_scoring/{A}/events"), 404, 7003),
        (Method::POST, format!("{account}/zt_risk_scoring/summary"), 405, 7001),
        (Method::GET, format!("{account}/zt_risk_scoring/{A}/reset"), 405, 7001),
        (Method::GET, format!("{account}/zt_risk_scoring/nobody"), 400, 1002),
        (Method::GET, format!("{account}/zt_risk_scoring/{}", A.replace('a', "c")), 404, 1001),
    ] {
        let url = format!("{}{path}", server.simulator.base_url());
        let request = server.client.request(method, url).bearer_auth(GENERATED_TOKEN);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405, "{path}");
        let envelope = parsed(answer).await;
        assert_eq!(code(&envelope), error, "{path}");
        assert_eq!(envelope["result"], json!(null));
        assert_eq!(envelope["messages"], json!([]));
    }
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let server = TestServer::with("").await;
    let large = " ".repeat(300 * 1024);
    let answer = server.send(Method::PUT, "/behaviors", &large).await.unwrap();
    assert_eq!(answer.status().as_u16(), 413);
}

#[tokio::test]
async fn a_token_can_be_verified() {
    let server = TestServer::with("").await;
    let url = format!("{}/user/tokens/verify", server.simulator.base_url());
    let answer = server.client.get(url).bearer_auth(GENERATED_TOKEN).send().await.unwrap();
    assert_eq!(parsed(answer).await["result"]["status"], "active");
}

#[tokio::test]
async fn a_summary_is_whole_or_in_pages_or_repeats_its_first_page() {
    let generated = |pages: &str| {
        let mut scenario = Scenario::generated(25, 1);
        let api = Scenario::from_yaml(&format!("api: {{ pages: {pages} }}")).unwrap().api;
        scenario.api = api;
        scenario
    };
    let whole = TestServer::of(generated("whole")).await.users("/summary").await;
    assert_eq!(whole.len(), 25);
    for (pages, query, rows, info) in [
        ("whole", "?page=2&per_page=10", 0..25, (1, 125, 25, 1)),
        ("{ sized: { standard: 10, largest: 20 } }", "", 0..10, (1, 10, 25, 3)),
        ("{ sized: { standard: 10, largest: 20 } }", "?page=3", 20..25, (3, 10, 25, 3)),
        ("{ sized: { standard: 10, largest: 20 } }", "?page=2&per_page=1000", 20..25, (2, 20, 25, 2)),
        ("{ sized: { standard: 10, largest: 20 } }", "?page=9", 25..25, (9, 10, 25, 3)),
        ("{ sized: { standard: 10, largest: 20 } }", "?page=x&per_page=0", 0..10, (1, 10, 25, 3)),
        ("{ repeated: { size: 10 } }", "?page=2", 0..10, (1, 10, 25, 3)),
    ] {
        let server = TestServer::of(generated(pages)).await;
        let path = format!("/summary{query}");
        assert_eq!(server.users(&path).await, whole[rows.clone()], "{pages} {query}");
        let (page, per_page, total_count, total_pages) = info;
        let wanted = json!({"page": page, "per_page": per_page, "count": rows.len(),
            "total_count": total_count, "total_pages": total_pages});
        assert_eq!(server.json(&path).await.1["result_info"], wanted, "{pages} {query}");
    }
}

#[tokio::test]
async fn options_decide_which_events_are_listed() {
    for (api, wanted) in [
        ("{}", vec!["two", "one"]),
        ("{ listing_cap: 1 }", vec!["two"]),
        ("{ retention_seconds: 5400 }", vec!["two"]),
        ("{ retention_seconds: 60 }", vec![]),
        ("{ pages: { sized: { standard: 1, largest: 5 } } }", vec!["two"]),
        // The events were appended at their own time, which is longer ago.
        ("{ detail_lag_ms: 5400000 }", vec!["one"]),
    ] {
        let server = TestServer::with(&format!("api: {api}")).await;
        assert_eq!(server.events(A).await, wanted, "{api}");
    }
}

#[tokio::test]
async fn a_new_event_is_in_the_summary_at_once_and_in_the_list_after_the_lag() {
    let server = TestServer::with("api: { detail_lag_ms: 5400000 }").await;
    let now = clock().date();
    let user = A.parse().unwrap();
    server.simulator.append_event(GENERATED_ACCOUNT, user, "imp_travel", now).unwrap();
    let (_, summary) = server.json("/summary").await;
    assert_eq!(summary["result"]["users"][0]["event_count"], 3);
    assert_eq!(summary["result"]["users"][0]["last_event"], now.to_string());
    assert_eq!(server.events(A).await, ["one"]);
}

#[tokio::test]
async fn event_ids_and_names_may_be_the_id_of_the_behavior() {
    let server = TestServer::with("api: { event_ids: behavior, event_names: id }").await;
    let now = clock().date();
    server.simulator.append_event(GENERATED_ACCOUNT, B.parse().unwrap(), "imp_travel", now).unwrap();
    let (_, answer) = server.json(&format!("/{B}")).await;
    let event = &answer["result"]["events"][0];
    assert_eq!((&event["id"], &event["name"]), (&json!("imp_travel"), &json!("imp_travel")));
}

#[tokio::test]
async fn counts_fall_with_retention_if_the_option_is_set() {
    for (count, wanted) in [("recorded", 2), ("retained", 1)] {
        let server =
            TestServer::with(&format!("api: {{ retention_seconds: 5400, event_count: {count} }}")).await;
        let (_, summary) = server.json("/summary").await;
        let user = &summary["result"]["users"][0];
        assert_eq!(user["event_count"], wanted, "{count}");
        assert_eq!(user["max_risk_level"], "high", "a level never decays");
    }
}

#[tokio::test]
async fn a_reset_removes_a_user_from_the_list() {
    for (api, status, events) in [
        ("{}", 200, Some(0)),
        ("{ reset_events: listed }", 200, Some(2)),
        ("{ reset_user: missing }", 404, None),
    ] {
        let server = TestServer::with(&format!("api: {api}")).await;
        let answer = server.send(Method::POST, &format!("/{A}/reset"), "").await.unwrap();
        assert_eq!(parsed(answer).await["result"], json!({}));
        assert_eq!(server.users("/summary").await, [B], "{api}");
        let (seen, user) = server.json(&format!("/{A}")).await;
        assert_eq!(seen, status, "{api}");
        assert_eq!(user["result"]["events"].as_array().map(Vec::len), events, "{api}");
        assert_eq!(user["result"]["last_reset_time"].is_string(), status == 200, "{api}");
        assert!(user["result"].get("risk_level").is_none(), "{api}");

        // The next event returns the user to the list, and the count starts again.
        let user = A.parse().unwrap();
        let later = clock().date() + Duration::from_secs(60);
        server.simulator.append_event(GENERATED_ACCOUNT, user, "high_risk_domain", later).unwrap();
        let (_, summary) = server.json("/summary").await;
        let row = &summary["result"]["users"][0];
        assert_eq!((&row["user_id"], &row["event_count"]), (&json!(A), &json!(1)), "{api}");
        assert_eq!(row["max_risk_level"], "low", "{api}");
    }
}

#[tokio::test]
async fn other_options_have_an_effect() {
    let unknown = A.replace('a', "c");
    let behaviors = json!({"behaviors": {"nap": {"enabled": true, "risk_level": "low"}}}).to_string();
    let twice = json!({"integration_type": "Okta", "tenant_url": "https://a.okta.com", "reference_id": "r"});
    let twice = twice.to_string();
    for (api, method, path, body, status) in [
        ("{}", Method::GET, format!("/{unknown}"), "", 404),
        ("{ unknown_user: empty }", Method::GET, format!("/{unknown}"), "", 200),
        ("{}", Method::PUT, "/behaviors".to_owned(), behaviors.as_str(), 400),
        ("{ unknown_behavior: ignored }", Method::PUT, "/behaviors".to_owned(), behaviors.as_str(), 200),
        ("{}", Method::POST, "/integrations".to_owned(), twice.as_str(), 409),
        ("{ duplicate_reference: allowed }", Method::POST, "/integrations".to_owned(), twice.as_str(), 200),
    ] {
        let server = TestServer::with(&format!("api: {api}")).await;
        if method == Method::POST {
            server.send(Method::POST, &path, body).await.unwrap();
        }
        let answer = server.send(method, &path, body).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{api} {path}");
    }
    for (api, wanted) in [("object", Some(json!({}))), ("null", Some(json!(null))), ("absent", None)] {
        let server = TestServer::with(&format!("api: {{ empty_result: {api} }}")).await;
        let answer = server.send(Method::POST, &format!("/{A}/reset"), "").await.unwrap();
        assert_eq!(parsed(answer).await.get("result").cloned(), wanted, "{api}");
    }
}

#[tokio::test]
async fn a_put_of_behaviors_returns_all_of_them_in_either_shape() {
    let body =
        json!({"behaviors": {"imp_travel": {"enabled": false, "risk_level": "medium", "name": "Mine"}}});
    for (api, name) in [("full", Some("Impossible Travel")), ("settings", None)] {
        let server = TestServer::with(&format!("api: {{ behaviors_answer: {api} }}")).await;
        let answer = server.send(Method::PUT, "/behaviors", &body.to_string()).await.unwrap();
        let behaviors = parsed(answer).await["result"]["behaviors"].clone();
        assert_eq!(behaviors.as_object().unwrap().len(), 8);
        assert_eq!(behaviors["imp_travel"]["enabled"], false);
        assert_eq!(behaviors["imp_travel"]["risk_level"], "medium");
        assert_eq!(behaviors["imp_travel"]["name"].as_str(), name, "{api}");
    }
}

#[tokio::test]
async fn answers_are_compressed_if_the_option_and_the_client_allow_it() {
    use std::io::Read;
    for (api, accept, compressed) in [("none", "gzip", false), ("gzip", "gzip", true), ("gzip", "br", false)]
    {
        let server = TestServer::with(&format!("api: {{ compression: {api} }}")).await;
        let request = server.client.get(server.url("/summary")).bearer_auth(GENERATED_TOKEN);
        let answer = request.header("accept-encoding", accept).send().await.unwrap();
        assert_eq!(answer.headers().contains_key("content-encoding"), compressed, "{api}");
        let bytes = answer.bytes().await.unwrap();
        let mut text = String::new();
        if compressed {
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(bytes.to_vec()).unwrap();
        }
        let summary: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(summary["result"]["users"].as_array().unwrap().len(), 2);
    }
}
