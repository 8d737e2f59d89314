//! Endless, stalled, truncated and oversized bodies: each reaches a limit early, and the error names it.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use zt_risk_exporter::cloudflare::{Kind, Limits, OperationLimits, Options};
use zt_risk_exporter::model::Completeness;

use crate::canned::{Canned, Step, answer, budget, client, head, within_seconds};

const USERS: &str = r#"{"success":true,"result":{"users":["#;
const USER: &str = r#"{"user_id":"182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e","last_event":"2019-12-27T18:11:19Z","event_count":1}"#;

fn gzip(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for part in parts {
        encoder.write_all(part.as_ref()).unwrap();
    }
    encoder.finish().unwrap()
}

async fn summary_error(step: Step, tune: impl FnOnce(&mut Options)) -> (Kind, String) {
    let server = Canned::script([step]).await;
    let mut options = server.options();
    tune(&mut options);
    let error = within_seconds(client(options, &budget()).summary()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1, "{error}: a body that has begun is not asked for again");
    (error.kind(), error.to_string())
}

fn shape(what: &str) -> (Kind, String) {
    let sentence = format!("unexpected response: {what} (HTTP 200, CF-Ray 8f00ba4-FRA)");
    (Kind::Shape, sentence)
}

#[tokio::test]
async fn a_gzip_response_is_decompressed() {
    let whole = format!("{USERS}{USER}]}}}}");
    let members = [gzip([&whole[..50]]), gzip([&whole[50..]])].concat();
    for packed in [gzip([&whole]), members] {
        let server = Canned::script([answer(200, &["Content-Encoding: gzip"], packed)]).await;
        let summary = server.client().summary().await.unwrap();
        assert_eq!((summary.rows.len(), summary.completeness), (1, Completeness::Complete));
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_stopped_by_its_ratio() {
    let element = format!(r#"{{"name":"{}"}},"#, "x".repeat(1 << 20));
    let bomb = gzip(std::iter::once(USERS).chain(std::iter::repeat_n(element.as_str(), 6)));
    let (kind, text) = summary_error(answer(200, &["Content-Encoding: gzip"], bomb), |_| {}).await;
    assert_eq!((kind, text), shape("it is too large: more than 200 times its compressed size"));
}

#[tokio::test]
async fn damaged_gzip_is_reported() {
    let whole = gzip([format!("{USERS}{USER}]}}}}")]);
    let mut flipped = whole.clone();
    let last = flipped.len() - 8;
    flipped[last] ^= 1;
    for (packed, what) in [
        (whole[..whole.len() - 9].to_vec(), "it cannot be decompressed: it is damaged or incomplete after "),
        (whole[..0].to_vec(), "it cannot be decompressed: it is damaged or incomplete after 0 bytes"),
        (flipped, "it cannot be decompressed: it is damaged or incomplete after 140 bytes"),
        (b"plain".to_vec(), "it cannot be decompressed: "),
    ] {
        let (kind, text) = summary_error(answer(200, &["Content-Encoding: gzip"], packed), |_| {}).await;
        assert_eq!(kind, Kind::Shape);
        assert!(text.contains(what), "{text}, not {what}");
    }
}

#[tokio::test]
async fn an_endless_response_reaches_its_limits() {
    let part = format!("{USER},").repeat(100);
    let spaces = " ".repeat(1 << 16);
    let endless = |part: &str| Step::Endless([head(200, &[], 1 << 40), USERS.into()].concat(), part.into());
    let (kind, text) = summary_error(endless(&part), |options| options.bounds.elements = 10_000).await;
    assert_eq!((kind, text), shape("it is too large: more than 10000 elements"));
    let (kind, text) =
        summary_error(endless(&spaces), |options| options.bounds.decoded_bytes = 1 << 22).await;
    assert_eq!((kind, text), shape("it is too large: more than 4194304 bytes"));
    let (kind, text) = summary_error(endless(&part), |options| {
        let short =
            OperationLimits { total_timeout: Duration::from_millis(300), ..OperationLimits::default() };
        options.limits = Limits::all(short);
        options.bounds.elements = usize::MAX;
    })
    .await;
    assert_eq!(
        (kind, text.as_str()),
        (
            Kind::Timeout,
            "the response was not complete within 300ms; retry later; check the network if it persists"
        )
    );
}

#[tokio::test]
async fn a_stalled_response_is_abandoned() {
    let hasty = |options: &mut Options| {
        options.idle_timeout = Duration::from_millis(100);
        options.connect_timeout = Duration::from_millis(100);
    };
    let cut = [head(200, &[], 500), USERS.into()].concat();
    let (kind, text) = summary_error(Step::Stall(cut), hasty).await;
    assert_eq!(
        (kind, text.as_str()),
        (
            Kind::Timeout,
            "the response stalled for 100ms after 35 bytes; retry later; check the network if it persists (HTTP 200, CF-Ray 8f00ba4-FRA)"
        )
    );

    // Before a body a second attempt may help, unless it could change something twice.
    let server = Canned::script([Step::Stall(Vec::new())]).await;
    let mut options = server.options();
    hasty(&mut options);
    let asking = client(options, &budget());
    let error = within_seconds(asking.summary()).await.unwrap_err();
    assert_eq!(error.to_string(), "no response within 200ms; retry later; check the network if it persists");
    assert_eq!(server.requests().len(), 3);
    let user = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e".parse().unwrap();
    assert_eq!(asking.reset(user).await.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_truncated_response_reports_how_much_arrived() {
    let cut = [head(200, &[], 500), USERS.into()].concat();
    let (kind, text) = summary_error(Step::Send(cut), |_| {}).await;
    assert_eq!(kind, Kind::Unavailable);
    assert!(text.starts_with("the response was cut off after 35 bytes: "), "{text}");
}
