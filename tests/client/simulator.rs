//! The simulator over HTTP: credentials, limits, lists, operations, faults, control paths.

mod api;
mod faults;
mod misbehavior;
mod world;

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario, Simulator};

/// A user with two events, and one with one, in an account with all behaviors.
const TWO_USERS: &str = r#"
accounts:
  - id: 0123456789abcdef0123456789abcdef
    users:
      - id: 00000000-0000-4000-8000-00000000000a
        name: A
        email: a@example.com
        events:
          - { id: one, behavior: imp_travel, at: -2h }
          - { id: two, behavior: high_dlp, at: -1h }
      - id: 00000000-0000-4000-8000-00000000000b
        name: B
        email: b@example.com
        events:
          - { id: three, behavior: high_risk_domain, at: -30m }
tokens:
  - { token: simulated-token, permissions: [Zero Trust Read, Zero Trust Write, "Zero Trust: PII Read"] }
"#;

const A: &str = "00000000-0000-4000-8000-00000000000a";
const B: &str = "00000000-0000-4000-8000-00000000000b";

/// A simulator and an HTTP client.
struct TestServer {
    simulator: Simulator,
    client: reqwest::Client,
}

/// A clock at normal speed that starts in the middle of a minute.
fn clock() -> Clock {
    Clock::scaled(Timestamp::from_seconds(1_790_000_000), 1.0)
}

impl TestServer {
    async fn of(scenario: Scenario) -> Self {
        // The client needs a TLS provider even for plain HTTP. In later tests it is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let simulator = Simulator::start(scenario, clock()).await.unwrap();
        Self { simulator, client }
    }

    /// The scenario [`TWO_USERS`] with more keys.
    async fn with(more: &str) -> Self {
        Self::of(Scenario::from_yaml(&format!("{TWO_USERS}{more}")).unwrap()).await
    }

    /// A URL of the API for the account.
    fn url(&self, path: &str) -> String {
        format!("{}/accounts/{GENERATED_ACCOUNT}/zt_risk_scoring{path}", self.simulator.base_url())
    }

    fn root(&self, path: &str) -> String {
        format!("http://{}{path}", self.simulator.address())
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> reqwest::Result<Response> {
        self.client
            .request(method, self.url(path))
            .bearer_auth(GENERATED_TOKEN)
            .body(body.to_owned())
            .send()
            .await
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, "").await.unwrap()
    }

    /// The status and the JSON of a GET.
    async fn json(&self, path: &str) -> (u16, Value) {
        let answer = self.get(path).await;
        (answer.status().as_u16(), parsed(answer).await)
    }

    /// The ids of the users in the summary, in its order.
    async fn users(&self, path: &str) -> Vec<String> {
        let (_, summary) = self.json(path).await;
        let users = summary["result"]["users"].as_array().unwrap();
        users.iter().map(|user| text(&user["user_id"])).collect()
    }

    /// The ids of a user's events, in the order of the list.
    async fn events(&self, user: &str) -> Vec<String> {
        let (_, answer) = self.json(&format!("/{user}")).await;
        let events = answer["result"]["events"].as_array().unwrap();
        events.iter().map(|event| text(&event["id"])).collect()
    }
}

async fn parsed(answer: Response) -> Value {
    let text = answer.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The code of the first error in an envelope.
fn code(envelope: &Value) -> u64 {
    envelope["errors"][0]["code"].as_u64().unwrap_or_default()
}
