//! How each failed response is classified: a kind, a sentence that says what to do, and no retry where none helps.

use zt_risk_exporter::cloudflare::{Client, Credentials, Error, Kind, MissingGrant};
use zt_risk_exporter::model::Resource;

use crate::canned::{Canned, Step, answer, bad, good};

/// An operation of the client.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Summary,
    User,
    Behaviors,
    Reset,
    Integration,
}

impl Operation {
    /// The resource that its requests count for, and its name in messages.
    const fn names(self) -> (Resource, &'static str) {
        match self {
            Self::Summary => (Resource::Summary, "summary"),
            Self::User => (Resource::User, "user"),
            Self::Behaviors => (Resource::Behaviors, "behaviors"),
            Self::Reset => (Resource::User, "reset"),
            Self::Integration => (Resource::Integrations, "integrations"),
        }
    }
}

async fn request_of(client: &Client, what: Operation) -> Error {
    let id = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e".parse().unwrap();
    match what {
        Operation::Summary => client.summary().await.unwrap_err(),
        Operation::User => client.user(id).await.unwrap_err(),
        Operation::Behaviors => client.behaviors().await.unwrap_err(),
        Operation::Reset => client.reset(id).await.unwrap_err(),
        Operation::Integration => client.integration(id).await.unwrap_err(),
    }
}

async fn check(cases: impl IntoIterator<Item = (Operation, Step, Kind, &str)>) {
    for (what, step, kind, sentence) in cases {
        let server = Canned::script([step]).await;
        let (client, reports) = server.observed();
        let error = request_of(&client, what).await;
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, sentence));
        assert_eq!(server.requests().len(), 1, "{sentence}: nothing is asked twice");
        let reports = reports.lock().unwrap();
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].outcome, reports[0].attempt), (error.outcome(), 1));
        assert_eq!((reports[0].resource, error.operation()), what.names());
    }
}

#[tokio::test]
async fn each_error_says_what_to_do() {
    check([
        (
            Operation::Summary,
            bad(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"),
            Kind::Credentials,
            "the credentials are missing or malformed; set the API token, or the e-mail address with its API \
             key, exactly as Cloudflare showed it (HTTP 400, 9106 Missing X-Auth-Key, X-Auth-Email or Authorization \
             headers, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Summary,
            bad(401, 10000, "Authentication error"),
            Kind::Refused,
            "the credentials were rejected; check that the token is active and not expired, or create a new one \
             (HTTP 401, 10000 Authentication error, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Summary,
            bad(403, 10000, "Authentication error"),
            Kind::Forbidden(MissingGrant::Permission),
            "the credentials lack a permission; add \"Zero Trust: PII Read\" to the token (HTTP 403, 10000 \
             Authentication error, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Behaviors,
            answer(403, &[], r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#),
            Kind::Forbidden(MissingGrant::Permission),
            "the credentials lack a permission; add \"Zero Trust Read\" (or \"Zero Trust Write\") to the \
             token (HTTP 403, 10000 Authentication error, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Reset,
            bad(403, 10001, "Method not allowed for token"),
            Kind::Forbidden(MissingGrant::Permission),
            "the credentials lack a permission; add \"Zero Trust Write\" to the token (HTTP 403, 10001 Method \
             not allowed for token, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Summary,
            bad(403, 9109, "Unauthorized to access requested resource"),
            Kind::Forbidden(MissingGrant::Account),
            "the credentials do not cover this account; check the account id and the accounts the token is \
             for (HTTP 403, 9109 Unauthorized to access requested resource, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Summary,
            bad(403, 3314, "Forbidden"),
            Kind::NotEntitled,
            "the account has no user risk scoring; it is part of Cloudflare's Enterprise plans, so ask the account team (HTTP 403, 3314 Forbidden, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Summary,
            bad(404, 7003, "Could not route to /x, perhaps your object identifier is invalid?"),
            Kind::NotFound,
            "cloudflare does not know this address; check the account id and the base URL (HTTP 404, 7003 Could \
             not route to /x, perhaps your object identifier is invalid?, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::User,
            bad(404, 0, ""),
            Kind::NotFound,
            "the account has no such user (HTTP 404, 0 , CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Integration,
            bad(404, 1001, "no"),
            Kind::NotFound,
            "the account has no such integration (HTTP 404, 1001 no, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Reset,
            bad(422, 1234, "no"),
            Kind::Invalid,
            "the request was rejected: cloudflare does not accept it (HTTP 422, 1234 no, CF-Ray \
             8f00ba4-FRA)",
        ),
        (
            Operation::Behaviors,
            bad(403, 10001, "Internal error"),
            Kind::Unavailable,
            "cloudflare is unavailable; retry later; investigate if it persists (HTTP 403, 10001 \
             Internal error, CF-Ray 8f00ba4-FRA)",
        ),
        (
            Operation::Reset,
            answer(502, &["Content-Type: text/html"], "<html><h1>Bad gateway</h1></html>"),
            Kind::Unavailable,
            "cloudflare is unavailable; retry later; investigate if it persists (HTTP 502, CF-Ray \
             8f00ba4-FRA)",
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_envelope_decides_and_not_the_status() {
    let shape = |what: &str| format!("unexpected response: {what} (HTTP 200, CF-Ray 8f00ba4-FRA)");
    let json = |body: &str| answer(200, &[], body);
    for (step, kind, sentence) in [
        (
            bad(200, 1000, "something"),
            Kind::Unavailable,
            "cloudflare reports a failure; retry later; investigate if it persists (HTTP 200, 1000 \
             something, CF-Ray 8f00ba4-FRA)"
                .to_owned(),
        ),
        (json(r#"{"success":true}"#), Kind::Shape, shape("it has no result")),
        (good("null"), Kind::Shape, shape("it has no result")),
        (json(r#"{"result":{"behaviors":{}}}"#), Kind::Shape, shape("it has no \"success\" field")),
        (
            json(r#"{"success":"true","result":{"behaviors":{}}}"#),
            Kind::Shape,
            shape("it has no \"success\" field"),
        ),
        (good("{}"), Kind::Shape, shape("its result is not as documented: missing field `behaviors`")),
        (json(r#"{"success":true,"#), Kind::Shape, shape("it is incomplete: it ends after 16 bytes")),
        (json(""), Kind::Shape, shape("it is incomplete: it ends after 0 bytes")),
        (json("[]"), Kind::Shape, shape("it is not valid JSON at byte 0: an object was expected")),
        (
            answer(200, &["Content-Type: text/html; charset=utf-8"], "<html>"),
            Kind::Shape,
            shape("it is text/html, not JSON"),
        ),
        (
            answer(200, &["Content-Encoding: br"], "x"),
            Kind::Shape,
            shape("it cannot be decompressed: its Content-Encoding was not requested"),
        ),
    ] {
        check([(Operation::Behaviors, step, kind, sentence.as_str())]).await;
    }
}

#[tokio::test]
async fn a_list_response_needs_a_result_with_a_list() {
    let shape = |what: &str| format!("unexpected response: {what} (HTTP 200, CF-Ray 8f00ba4-FRA)");
    let whole = r#"{"success":true,"result":{"users":[{"user_id":"#;
    for (step, what) in [
        (good("null"), "it has no result"),
        (good("{}"), "its result has no list of users"),
        (good("[]"), "its result has no list of users"),
        (good(r#"{"users":{}}"#), "its result has no list of users"),
        (answer(200, &[], whole), "it is incomplete: it ends after 46 bytes"),
        (good(r#"{"users":[}]}"#), "it is not valid JSON at byte 61: a value was expected"),
    ] {
        check([(Operation::Summary, step, Kind::Shape, shape(what).as_str())]).await;
    }
    let empty = r#"{"success":true,"result":{"users":null},"result_info":{"total_count":0}}"#;
    let server = Canned::script([answer(200, &[], empty)]).await;
    assert_eq!(server.client().summary().await.unwrap().rows, []);
}

#[tokio::test]
async fn redirects_are_not_followed_and_only_their_host_is_reported() {
    for (location, shown) in [
        ("Location: https://evil.example.com/steal?token=abc", "evil.example.com"),
        ("Location: /elsewhere", "127.0.0.1"),
        ("Location: http://[", "an unknown host"),
        ("X-Nothing: 1", "an unknown host"),
    ] {
        for status in [301, 302, 307, 308] {
            let sentence = format!(
                "unexpected response: it redirects to {shown}, and redirects are not followed; check the base URL (HTTP \
                 {status}, CF-Ray 8f00ba4-FRA)"
            );
            check([(Operation::Summary, answer(status, &[location], ""), Kind::Shape, sentence.as_str())])
                .await;
        }
    }
}

#[tokio::test]
async fn credentials_that_the_server_repeats_are_not_reported() {
    let server = Canned::script([
        bad(400, 6003, r"bad header t0ken-of\u0000-the-tests"),
        bad(403, 9109, "me at work may not act for ann@example.com"),
        good(r#"{"behaviors":{},"email":7,"behaviors":"ann@example.com"}"#),
    ])
    .await;
    let client = server.client();
    let error = client.summary().await.unwrap_err();
    assert!(error.to_string().contains("6003 bad header [redacted]"), "{error}");
    assert!(!format!("{error:?}").contains("t0ken"), "{error:?}");

    let key = Credentials::Key { email: "me at work".to_owned(), key: "k3y".into() };
    let error = client.with_credentials(key).unwrap().summary().await.unwrap_err();
    assert!(error.to_string().contains("9109 [redacted] may not act for [address]"), "{error}");

    let error = client.behaviors().await.unwrap_err();
    assert!(!format!("{error:?}").contains("ann"), "{error:?}");
}

#[tokio::test]
async fn a_refused_token_and_a_missing_permission_are_distinguished_by_the_message() {
    for (status, code, message, kind) in [
        (403, 9109, "Invalid access token", Kind::Refused),
        (401, 9109, "Invalid access token", Kind::Refused),
        (403, 9109, "Cannot use the access token from location: 203.0.113.7", Kind::Refused),
        (403, 9109, "Max auth failures reached, please check your Authorization header.", Kind::Refused),
        (400, 10001, "Unable to authenticate request", Kind::Refused),
        (403, 9103, "Unknown X-Auth-Key or X-Auth-Email", Kind::Refused),
        (403, 9109, "Unauthorized to access requested resource", Kind::Forbidden(MissingGrant::Account)),
        (403, 10000, "Authentication error", Kind::Forbidden(MissingGrant::Permission)),
    ] {
        let server = Canned::script([bad(status, code, message)]).await;
        let error = server.client().summary().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {code} {message}");
    }
}

#[tokio::test]
async fn a_response_that_is_not_from_the_api_proves_nothing_about_token_and_user() {
    let html = &["Content-Type: text/html"][..];
    for (status, lines, body) in [
        (403, html, "<html>blocked by corporate proxy</html>"),
        (401, html, "<html>"),
        (404, html, "<html>"),
        (400, html, "<html>"),
        (403, &[][..], ""),
        (404, &[][..], "{}"),
        (404, &[][..], r#"{"error":"no such page"}"#),
        (304, &[][..], ""),
    ] {
        let server = Canned::script([answer(status, lines, body)]).await;
        for what in [Operation::Summary, Operation::User] {
            let error = request_of(&server.client(), what).await;
            assert_eq!(error.kind(), Kind::Unavailable, "{status} {body}: {error}");
            assert!(error.to_string().contains("instead of the API"), "{error}");
        }
    }
}
