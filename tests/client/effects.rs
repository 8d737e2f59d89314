//! Changes without a clear answer, the ray of each answer, and an event's details.

use zt_risk_exporter::cloudflare::{Client, Kind, Limits, OperationLimits, Options, SideEffect};
use zt_risk_exporter::model::{DetailedEvent, Event, Level};

use crate::canned::{Canned, Step, answer, bad, budget, client, good, observed};

const USER: &str = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e";

fn once() -> Limits {
    Limits::all(OperationLimits { attempts: 1, ..OperationLimits::default() })
}

async fn reset(client: &Client) -> (SideEffect, Kind) {
    let error = client.reset(USER.parse().unwrap()).await.unwrap_err();
    (error.effect(), error.kind())
}

#[tokio::test]
async fn a_change_without_an_answer_may_have_happened_and_a_refused_one_did_not() {
    for (step, wanted) in [
        (Step::Close, SideEffect::Unknown),
        (bad(500, 1000, "oops"), SideEffect::Unknown),
        (bad(200, 1000, "oops"), SideEffect::Unknown),
        (answer(200, &[], "no JSON"), SideEffect::Unknown),
        (answer(502, &["Content-Type: text/html"], "<html>"), SideEffect::Unknown),
        (bad(400, 1000, "no"), SideEffect::None),
        (bad(401, 10000, "no"), SideEffect::None),
        (bad(403, 10000, "no"), SideEffect::None),
        (bad(403, 3314, "no"), SideEffect::None),
        (bad(400, 9106, "no"), SideEffect::None),
        (bad(404, 1001, "no"), SideEffect::None),
        (bad(429, 971, "wait"), SideEffect::None),
    ] {
        let what = format!("{step:?}");
        let server = Canned::script([step]).await;
        let (effect, kind) = reset(&server.client()).await;
        assert_eq!((effect, server.requests().len()), (wanted, 1), "{kind:?} {what}");
    }
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let options = Options { base_url: format!("http://{free}"), limits: once(), ..Options::default() };
    let unreached = reset(&client(options, &budget())).await;
    assert_eq!(unreached, (SideEffect::None, Kind::Unavailable), "without a connection nothing was sent");
}

#[tokio::test]
async fn every_attempt_reports_the_ray_of_its_answer() {
    let server = Canned::script([Step::Close, good("{}"), bad(403, 10000, "no")]).await;
    let (client, reports) = observed(Options { limits: once(), ..server.options() });
    for _ in 0..3 {
        let _ = client.reset(USER.parse().unwrap()).await;
    }
    let rays: Vec<_> = reports.lock().unwrap().iter().map(|report| report.ray.clone()).collect();
    let ray = || Some("8f00ba4-FRA".to_owned());
    assert_eq!(rays, [None, ray(), ray()]);
}

#[tokio::test]
async fn event_details_are_returned_only_on_request() {
    let user = r#"{"name":"n","email":"e","events":[
        {"event_details" : {"a":[1, "]}"]} ,"id":"1","name":"b","risk_level":"low","timestamp":"1970-01-01T00:00:01Z"},
        {"id":"2","name":"b","risk_level":"low","timestamp":"1970-01-01T00:00:01Z","event_details":null},
        {"id":"3","name":"b","risk_level":"low","timestamp":"1970-01-01T00:00:01Z","event_details":"x"},
        {"id":"3","name":"b","risk_level":"low","timestamp":"1970-01-01T00:00:01Z","event_details":"again"}]}"#;
    let server = Canned::script([good(user)]).await;
    let client = server.client();
    let event = |id: &str| Event {
        id: id.to_owned(),
        name: "b".to_owned(),
        level: Level::Low,
        timestamp: zt_risk_exporter::clock::Timestamp::from_seconds(1),
    };
    let detailed = client.user_in_detail(USER.parse().unwrap()).await.unwrap();
    let wanted = [("1", Some(r#"{"a":[1, "]}"]}"#)), ("2", None), ("3", Some("\"x\""))]
        .map(|(id, details)| DetailedEvent { event: event(id), details: details.map(str::to_owned) });
    assert_eq!(detailed.events, wanted);
    let plain = client.user(USER.parse().unwrap()).await.unwrap();
    assert_eq!(plain.events, ["1", "2", "3"].map(event));
}
