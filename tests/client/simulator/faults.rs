//! Faults as a client sees them.

use serde_json::json;
use zt_risk_exporter::simulator::{Endpoint, Fault, FaultRule};

use super::*;

async fn with_fault(endpoint: Endpoint, fault: Fault) -> TestServer {
    let server = TestServer::with("").await;
    server.simulator.inject(FaultRule::at(endpoint, fault));
    server
}

fn text_of(words: &str) -> String {
    words.to_owned()
}

#[tokio::test]
async fn some_faults_replace_the_answer() {
    let (code_971, message) = (971, text_of("Please wait"));
    for (fault, status, error) in [
        (Fault::Limited { retry_after: Some(text_of("7")) }, 429, 971),
        (Fault::Limited { retry_after: None }, 429, 971),
        (Fault::Status { status: 500, code: 1000, message: text_of("internal") }, 500, 1000),
        (Fault::Unsuccessful { code: code_971, message }, 200, 971),
    ] {
        let server = with_fault(Endpoint::Summary, fault.clone()).await;
        let answer = server.get("/summary").await;
        assert_eq!(answer.status().as_u16(), status, "{fault:?}");
        let wanted = matches!(fault, Fault::Limited { retry_after: Some(_) }).then_some("7");
        assert_eq!(header(&answer, "retry-after"), wanted);
        let silent = matches!(fault, Fault::Limited { retry_after: None });
        assert_eq!(header(&answer, "ratelimit").is_none(), silent, "{fault:?}");
        let envelope = parsed(answer).await;
        assert_eq!((code(&envelope), &envelope["success"]), (error, &json!(false)), "{fault:?}");
        assert_eq!(server.get("/behaviors").await.status(), 200, "other endpoints work");
        server.simulator.clear_faults();
        assert_eq!(server.get("/summary").await.status(), 200, "without the fault");
    }
}

#[tokio::test]
async fn a_bad_gateway_is_html_and_a_redirect_has_a_location() {
    let server = with_fault(Endpoint::Summary, Fault::BadGateway).await;
    let answer = server.get("/summary").await;
    assert_eq!(answer.status(), 502);
    assert_eq!(header(&answer, "content-type"), Some("text/html; charset=UTF-8"));
    assert!(answer.text().await.unwrap().starts_with("<!DOCTYPE html>"));

    let location = text_of("https://example.com/elsewhere");
    let server = with_fault(Endpoint::Summary, Fault::Redirect { location: location.clone() }).await;
    let answer = server.get("/summary").await;
    assert_eq!(answer.status(), 302);
    assert_eq!(header(&answer, "location"), Some(location.as_str()));
}

#[tokio::test]
async fn results_can_be_missing_or_null() {
    for (fault, wanted) in [(Fault::MissingResult, None), (Fault::NullResult, Some(json!(null)))] {
        let server = with_fault(Endpoint::Summary, fault).await;
        let (status, envelope) = server.json("/summary").await;
        assert_eq!((status, &envelope["success"]), (200, &json!(true)));
        assert_eq!(envelope.get("result").cloned(), wanted);
    }
}

#[tokio::test]
async fn levels_and_behaviors_can_be_unknown() {
    for (fault, wanted) in [(Fault::NullLevels, json!(null)), (Fault::UnknownLevels, json!("critical"))] {
        let server = TestServer::with("").await;
        for endpoint in [Endpoint::Summary, Endpoint::User, Endpoint::Behaviors] {
            server.simulator.inject(FaultRule::at(endpoint, fault.clone()));
        }
        let (_, summary) = server.json("/summary").await;
        for row in summary["result"]["users"].as_array().unwrap() {
            assert_eq!(row["max_risk_level"], wanted);
        }
        let (_, user) = server.json(&format!("/{A}")).await;
        assert_eq!(user["result"]["risk_level"], wanted);
        assert_eq!(user["result"]["events"][0]["risk_level"], wanted);
        let (_, behaviors) = server.json("/behaviors").await;
        assert_eq!(behaviors["result"]["behaviors"]["imp_travel"]["risk_level"], wanted);
    }
    let server = with_fault(Endpoint::Behaviors, Fault::UnknownBehaviors).await;
    server.simulator.inject(FaultRule::at(Endpoint::User, Fault::UnknownBehaviors));
    let (_, behaviors) = server.json("/behaviors").await;
    assert_eq!(behaviors["result"]["behaviors"]["unheard_of"]["name"], "Unheard Of");
    let (_, user) = server.json(&format!("/{A}")).await;
    assert_eq!(user["result"]["events"][1]["name"], "unheard_of");
    assert_eq!(user["result"]["name"], "A");
}

#[tokio::test]
async fn rows_move_between_pages() {
    let pages = |pages: &str| Scenario::from_yaml(&format!("api: {{ pages: {pages} }}")).unwrap().api;
    let sized = "{ sized: { standard: 4, largest: 4 } }";
    for (kind, fault, rows) in [
        (sized, None, "0123 4567 89"),
        (sized, Some(Fault::DuplicatedRows), "0123 3456 789"),
        (sized, Some(Fault::ShiftedRows), "0123 5678 9"),
        ("whole", Some(Fault::DuplicatedRows), "01234567890"),
        ("whole", Some(Fault::ShiftedRows), "123456789"),
    ] {
        let mut scenario = Scenario::generated(10, 1);
        let all = TestServer::of(scenario.clone()).await.users("/summary").await;
        scenario.api = pages(kind);
        let server = TestServer::of(scenario).await;
        if let Some(fault) = fault.clone() {
            server.simulator.inject(FaultRule::at(Endpoint::Summary, fault));
        }
        for (page, wanted) in rows.split(' ').enumerate() {
            let seen = server.users(&format!("/summary?page={}", page + 1)).await;
            let digits: String = seen
                .iter()
                .map(|user| all.iter().position(|known| known == user).unwrap().to_string())
                .collect();
            assert_eq!(digits, wanted, "{kind} {fault:?} page {}", page + 1);
        }
    }
}

#[tokio::test]
async fn totals_clocks_limits_and_content_types_can_be_wrong() {
    let server = with_fault(Endpoint::Summary, Fault::LyingTotals { by: 5 }).await;
    assert_eq!(server.json("/summary").await.1["result_info"]["total_count"], 7);

    let server = with_fault(Endpoint::Summary, Fault::ClockSkew { seconds: -86_400 }).await;
    let date = |answer: &Response| header(answer, "date").unwrap().to_owned();
    // 1,790,000,000 s after the epoch, on the simulator's clock, is a Monday in September.
    let (honest, skewed) = (date(&server.get("/behaviors").await), date(&server.get("/summary").await));
    assert!(honest.starts_with("Mon, 21 Sep 2026 14:1"), "{honest}");
    assert!(skewed.starts_with("Sun, 20 Sep 2026 14:1"), "{skewed}");

    let server = with_fault(Endpoint::Summary, Fault::NothingLeft { resets_in_seconds: 300 }).await;
    let answer = server.get("/summary").await;
    assert_eq!(header(&answer, "ratelimit"), Some("\"default\";r=0;t=300"));
    assert_eq!(answer.status(), 200);

    let server = with_fault(Endpoint::Summary, Fault::WrongContentType).await;
    let answer = server.get("/summary").await;
    assert_eq!(header(&answer, "content-type"), Some("text/html; charset=UTF-8"));
    assert_eq!(parsed(answer).await["success"], true);
}

#[tokio::test]
async fn connections_can_close_before_or_during_an_answer() {
    let server = with_fault(Endpoint::Summary, Fault::Reset).await;
    assert!(server.send(Method::GET, "/summary", "").await.is_err());

    let server = with_fault(Endpoint::Summary, Fault::TruncatedBody).await;
    let answer = server.get("/summary").await;
    assert_eq!(answer.status(), 200);
    assert!(answer.content_length().unwrap() > 100);
    assert!(answer.bytes().await.is_err());
}

#[tokio::test]
async fn a_slow_body_arrives_whole_and_a_late_answer_too() {
    let slow = Fault::SlowBody { bytes: 100, pause_ms: 1 };
    for fault in [slow, Fault::Late { by_ms: 5 }] {
        let server = with_fault(Endpoint::Summary, fault).await;
        assert_eq!(server.users("/summary").await, [A, B]);
    }
}

#[tokio::test]
async fn an_endless_body_does_not_end_and_a_bomb_is_gzip() {
    let server = with_fault(Endpoint::Summary, Fault::EndlessBody).await;
    let mut answer = server.get("/summary").await;
    let mut seen = 0;
    while seen < 2 << 20 {
        seen += answer.chunk().await.unwrap().unwrap().len();
    }

    let server = with_fault(Endpoint::Summary, Fault::CompressedBomb { mebibytes: 64 }).await;
    let answer = server.get("/summary").await;
    assert_eq!(header(&answer, "content-encoding"), Some("gzip"));
    assert!(answer.bytes().await.unwrap().len() < 1 << 20);
}

#[tokio::test]
async fn a_hanging_request_ends_when_the_simulator_stops() {
    let server = with_fault(Endpoint::Summary, Fault::Hang).await;
    let TestServer { simulator, client } = server;
    let url = format!("{}/accounts/{GENERATED_ACCOUNT}/zt_risk_scoring/summary", simulator.base_url());
    let waiting = tokio::spawn(client.get(url).bearer_auth(GENERATED_TOKEN).send());
    while simulator.ground_truth().requests.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(simulator.ground_truth().requests[0].status, 0);
    assert!(!waiting.is_finished());
    drop(simulator);
    let error = waiting.await.unwrap().unwrap_err();
    assert!(!error.is_timeout(), "{error}");
}
