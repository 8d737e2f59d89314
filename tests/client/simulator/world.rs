//! What happens, what is logged, and the control path.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zt_risk_exporter::simulator::{self, Endpoint, Level};

use super::*;

#[tokio::test]
async fn the_truth_has_every_event_reset_removal_and_request() {
    let server = TestServer::with("").await;
    let (a, b) = (A.parse().unwrap(), B.parse().unwrap());
    let now = clock().date();
    let event = server
        .simulator
        .append_event_as(GENERATED_ACCOUNT, b, "malicious_file", now, "mine", Level::Medium)
        .unwrap();
    assert_eq!((event.id.as_str(), event.risk_level, event.timestamp), ("mine", Level::Medium, now));
    server.simulator.reset(GENERATED_ACCOUNT, a).unwrap();
    server.simulator.remove_user(GENERATED_ACCOUNT, b).unwrap();
    assert_eq!(server.simulator.reset(GENERATED_ACCOUNT, b), Err(simulator::ActionError::UnknownUser));
    assert!(server.users("/summary").await.is_empty());
    server.get(&format!("/{B}")).await;

    let truth = server.simulator.ground_truth();
    let account = &truth.accounts[GENERATED_ACCOUNT];
    assert_eq!((account.listed, account.resets, account.removals), (0, 1, 1));
    assert_eq!(account.events_total, 4);
    assert_eq!(account.events_by_behavior["malicious_file"][&Level::Medium], 1);
    assert_eq!(truth.events.last().map(|event| event.user), Some(b));
    assert_eq!((truth.resets[0].user, truth.removals[0].user), (a, b));
    let seen: Vec<_> = truth
        .requests
        .iter()
        .map(|request| (request.endpoint, request.method.as_str(), request.status))
        .collect();
    assert_eq!(seen, [(Endpoint::Summary, "GET", 200), (Endpoint::User, "GET", 404)]);
    assert!(truth.requests.iter().all(|request| request.arrived >= now));

    // Only the event of today is later than an hour ago.
    let since = now - Duration::from_secs(20 * 60);
    let later = server.simulator.ground_truth_since(since);
    assert_eq!(later.accounts[GENERATED_ACCOUNT].events_total, 1);
}

#[tokio::test]
async fn control_requests_change_the_world_and_are_not_logged() {
    let server = TestServer::with("").await;
    let post = async |path: &str, body: Value| {
        let request = server
            .client
            .post(server.root(path))
            .header("content-type", "application/json")
            .body(body.to_string());
        request.send().await.unwrap()
    };
    let event = json!({"account": GENERATED_ACCOUNT, "user": A.replace('a', "d"), "behavior": "imp_travel"});
    let answer = post("/__control/events", event).await;
    assert_eq!(parsed(answer).await["risk_level"], "high");
    let user = json!({"account": GENERATED_ACCOUNT, "user": A});
    assert_eq!(post("/__control/reset", user).await.status(), 204);
    let user = json!({"account": GENERATED_ACCOUNT, "user": B});
    assert_eq!(post("/__control/remove", user.clone()).await.status(), 204);
    assert_eq!(post("/__control/remove", user).await.status(), 404);

    let truth = |query: &'static str| {
        let request = server.client.get(server.root(&format!("/__truth{query}")));
        async move { parsed(request.send().await.unwrap()).await }
    };
    let totals = truth("").await;
    let account = &totals["accounts"][GENERATED_ACCOUNT];
    assert_eq!(account["events_by_behavior"]["imp_travel"], json!({"high": 2}));
    assert_eq!(account["by_level"], json!({"low": 0, "medium": 0, "high": 1}));
    assert_eq!(totals["requests_total"], json!([]));
    assert!(totals.get("events").is_none());
    let details = truth("?events=1&users=1").await;
    assert_eq!(details["events"].as_array().unwrap().len(), 4);
    assert_eq!(details["users"][0]["event_count"], 1);

    for (body, status) in [
        (json!({"fault": "null_result", "endpoint": "behaviors", "count": 1}), 204),
        (json!([{"fault": {"slow_body": {"bytes": 1, "pause_ms": 0}}}]), 204),
        (json!({"fault": "nap"}), 400),
        (json!({"fault": "hang", "where": "summary"}), 400),
    ] {
        let answer = post("/__control/faults", body.clone()).await;
        assert_eq!(answer.status().as_u16(), status, "{body}");
    }
    assert_eq!(server.json("/behaviors").await.1["result"], json!(null));
    assert_ne!(server.json("/behaviors").await.1["result"], json!(null), "the rule was for one request");
    let cleared = server.client.delete(server.root("/__control/faults"));
    assert_eq!(cleared.send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn control_paths_refuse_what_a_web_page_can_send() {
    let server = TestServer::with("").await;
    let control = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = server.client.request(method.parse().unwrap(), server.root(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == "POST" {
            request = request.body(r#"{"fault": "null_result", "endpoint": "integrations"}"#);
        }
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let (json, origin) = (("content-type", "application/json"), ("origin", "http://localhost:8069"));
    for (method, path, headers, status) in [
        ("POST", "/__control/faults", [json].as_slice(), 204),
        ("POST", "/__control/faults", &[("content-type", "Application/JSON; charset=utf-8")], 204),
        ("POST", "/__control/faults", &[], 415),
        ("POST", "/__control/faults", &[("content-type", "text/plain")], 415),
        ("POST", "/__control/faults", &[("content-type", "text/plain; application/json")], 415),
        ("POST", "/__control/faults", &[json, origin], 403),
        ("POST", "/__control/faults", &[json, ("origin", "null")], 403),
        ("DELETE", "/__control/faults", &[origin], 403),
        ("GET", "/__truth", &[origin], 403),
        ("GET", "/__truth", &[], 200),
        ("GET", "/__truth", &[("host", "evil.example:8069")], 421),
        ("GET", "/__truth", &[("host", "127.0.0.1.evil.example")], 421),
        ("POST", "/__control/faults", &[json, ("host", "evil.example.")], 421),
        ("GET", "/__truth", &[("host", "192.0.2.1:8069")], 200),
        ("GET", "/__truth", &[("host", "[2001:db8::1]:8069")], 200),
        ("GET", "/__truth", &[("host", "simulator:8069")], 200),
        ("GET", "/__truth", &[("host", "localhost.")], 200),
        ("DELETE", "/__control/faults", &[], 204),
    ] {
        assert_eq!(control(method, path, headers).await, status, "{method} {path} {headers:?}");
    }
}

#[tokio::test]
async fn a_request_of_http_1_1_has_exactly_one_host() {
    let server = TestServer::with("").await;
    for (hosts, status) in [("Host: localhost\r\n", "200"), ("", "400"), ("Host: a\r\nHost: a\r\n", "400")] {
        let mut stream = TcpStream::connect(server.simulator.address()).await.unwrap();
        let request = format!("GET /__truth HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{hosts:?}");
    }
}

#[tokio::test]
async fn two_simulators_with_the_same_seed_and_clock_have_the_same_users() {
    let clock = clock();
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let server = TestServer::of(Scenario::generated(3_000, 9)).await;
        // The clock of `TestServer` starts with it, in the same minute of the same day.
        assert!(clock.date().since(Timestamp::from_seconds(1_790_000_000)) < Duration::from_secs(20));
        bodies.push(server.get("/summary").await.text().await.unwrap());
    }
    assert!(bodies[0].len() > 3_000 * 150);
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn a_fast_world_has_no_events_in_the_future() {
    let mut scenario = Scenario::generated(200, 1);
    scenario.speed = 10_000.0;
    let server = TestServer::of(scenario).await;
    // A fast world has some hundred events in a second: this waits for the first few.
    while server.simulator.ground_truth().events.len() < 5 {
        tokio::task::yield_now().await;
    }
    let truth = server.simulator.ground_truth();
    assert!(truth.events.iter().all(|event| event.timestamp.millis() <= truth.now_ms));
    assert!(truth.events.iter().all(|event| event.appended == event.timestamp));
}
