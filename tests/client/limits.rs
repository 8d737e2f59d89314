//! Retries and rate limits: which requests are repeated, when, and how often.

use std::time::Duration;

use secrecy::SecretString;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::cloudflare::{Credentials, Kind, Limiter, Limits, OperationLimits, Options, Outcome};
use zt_risk_exporter::model::{Completeness, Resource};

use crate::canned::{Canned, Step, TOKEN, answer, bad, budget, client, good, head, observed, within_seconds};

#[tokio::test]
async fn transient_failures_are_retried_twice_and_changes_never() {
    for (name, step) in [
        ("500", bad(500, 1000, "internal")),
        ("503", answer(503, &["Content-Type: text/html"], "")),
        ("408", answer(408, &[], "")),
        ("no answer", Step::Close),
    ] {
        let server = Canned::script([step.clone(), step.clone(), good("[]")]).await;
        let (asking, reports) = server.observed();
        within_seconds(asking.integrations()).await.unwrap();
        let attempts: Vec<_> = reports.lock().unwrap().iter().map(|r| (r.attempt, r.outcome)).collect();
        let failed = Outcome::Unavailable;
        assert_eq!(attempts, [(1, failed), (2, failed), (3, Outcome::Ok)], "{name}");

        let server = Canned::script([step]).await;
        assert_eq!(server.client().integrations().await.unwrap_err().kind(), Kind::Unavailable, "{name}");
        assert_eq!(server.requests().len(), 3, "{name}");
        let user = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e".parse().unwrap();
        assert_eq!(server.client().reset(user).await.unwrap_err().kind(), Kind::Unavailable, "{name}");
        assert_eq!(server.requests().len(), 4, "{name}");
    }
}

#[tokio::test]
async fn a_change_is_retried_if_no_connection_was_made() {
    // A port that was free a moment ago, so nothing listens on it.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = Options { base_url: format!("http://{address}"), ..Options::default() };
    let (client, reports) = observed(options);
    let user = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e".parse().unwrap();
    let error = client.reset(user).await.unwrap_err();
    assert_eq!(reports.lock().unwrap().len(), 3);
    let text = error.to_string();
    assert_eq!(
        text,
        format!(
            "no connection to {address}: Connection refused (os error 111); retry later; investigate if it persists"
        )
    );
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_for_and_a_long_one_is_reported() {
    let date = "Date: Wed, 21 Oct 2015 07:27:00 GMT";
    for (lines, wait) in [
        (&["Retry-After: 30"][..], Duration::from_secs(30)),
        (&["Retry-After: Wed, 21 Oct 2015 07:27:30 GMT", date][..], Duration::from_secs(30)),
        (&["Retry-After: 0"][..], Duration::from_secs(1)),
        (&["Retry-After: 61"][..], Duration::from_secs(61)),
        (&["Retry-After: 86400"][..], Duration::from_secs(3_600)),
        (&["Retry-After: 31536000"][..], Duration::from_secs(3_600)),
        (&["Retry-After: Thu, 22 Oct 2015 07:27:00 GMT", date][..], Duration::from_secs(3_600)),
        (&["Retry-After: soon"][..], Duration::from_secs(300)),
        (&["Retry-After: -1"][..], Duration::from_secs(300)),
        (&[][..], Duration::from_secs(300)),
    ] {
        for status in [429, 200] {
            let body = r#"{"success":false,"errors":[{"code":971,"message":"Please wait"}]}"#;
            let server = Canned::script([answer(status, lines, body), good("[]")]).await;
            let budget = budget();
            let asking = client(server.options(), &budget);
            let before = budget.clock().now();
            let result = within_seconds(asking.integrations()).await;
            if wait <= Duration::from_secs(60) {
                assert_eq!(result.unwrap().rows, []);
                assert!(budget.clock().now().since(before) >= wait, "{lines:?}");
                assert_eq!(server.requests().len(), 2, "{lines:?}");
                continue;
            }
            let error = result.unwrap_err();
            assert_eq!(error.kind(), Kind::Limited(Limiter::Cloudflare), "{lines:?}");
            assert_eq!(error.retry_after(), Some(wait), "{lines:?}");
            let seconds = wait.as_secs();
            assert_eq!(
                error.to_string(),
                format!(
                    "cloudflare's rate limit is reached; retry in {seconds} s, and lower the budget share if this happens again (HTTP {status}, 971 Please wait, CF-Ray 8f00ba4-FRA)"
                )
            );
            assert!(budget.status().blocked_until.is_some(), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn retry_after_does_not_count_against_max_wait() {
    let patient = Duration::from_secs(330);
    for (status, retry_after, max_retry_wait, asked) in [
        (429, 5, 5, 2),
        (429, 6, 5, 1),
        (429, 300, 5, 1),
        (429, 300, 300, 2),
        (503, 5, 5, 2),
        (503, 6, 5, 1),
        (503, 1, 0, 1),
    ] {
        let busy = answer(status, &[&format!("Retry-After: {retry_after}")], "");
        let server = Canned::script([busy, good("[]")]).await;
        let max_retry_wait = Duration::from_secs(max_retry_wait);
        let options = Options { permit_timeout: patient, max_retry_wait, ..server.options() };
        let result = within_seconds(client(options, &budget()).integrations()).await;
        let retry_after = Duration::from_secs(retry_after);
        assert_eq!(server.requests().len(), asked, "{status} {retry_after:?} {max_retry_wait:?}");
        match result {
            Ok(_) => assert_eq!(asked, 2),
            Err(error) => assert_eq!((error.retry_after(), asked), (Some(retry_after), 1)),
        }
    }
}

#[tokio::test]
async fn attempts_never_exceed_the_maximum() {
    for (attempts, tries) in [(0, 1), (1, 1), (2, 2), (4, 4)] {
        let server = Canned::script([Step::Close]).await;
        let limits = Limits::all(OperationLimits { attempts, ..OperationLimits::default() });
        let options = Options { limits, ..server.options() };
        within_seconds(client(options, &budget()).integrations()).await.unwrap_err();
        assert_eq!(server.requests().len(), tries, "{attempts} allowed");
    }
}

#[tokio::test]
async fn a_resource_with_limits_of_its_own_is_given_up_sooner_and_others_are_not() {
    let user = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e".parse().unwrap();
    let request_timeout = Duration::from_millis(200);
    let of_user = OperationLimits { attempts: 1, request_timeout, ..OperationLimits::default() };
    let limits = Limits::default().with(Resource::User, of_user);
    for (step, said) in [
        (Step::Stall(Vec::new()), "the response was not complete within 200ms"),
        (Step::Stall(head(200, &[], 500)), "the response was not complete within 200ms"),
        (Step::Close, "the connection was closed"),
    ] {
        let server = Canned::start(move |_, asked| match asked.line.contains("summary") {
            true => Step::Close,
            false => step.clone(),
        })
        .await;
        let asking = client(Options { limits, ..server.options() }, &budget());
        let error = within_seconds(asking.user(user)).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(server.requests().len(), 1, "{error}");
        within_seconds(asking.summary()).await.unwrap_err();
        assert_eq!(server.requests().len(), 4, "the list has three attempts");
    }
}

#[tokio::test]
async fn each_page_of_a_list_has_its_own_time_and_a_list_that_lacks_a_late_page_is_unfinished() {
    let user = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e".parse().unwrap();
    let event = |number: u32| {
        format!(
            r#"{{"id":"{number}","name":"Impossible Travel","risk_level":"low","timestamp":"2026-01-01T00:00:0{number}Z"}}"#
        )
    };
    let page = move |number: u32, pages: u32| {
        let info = format!(
            r#"{{"page":{number},"per_page":1,"count":1,"total_count":{pages},"total_pages":{pages}}}"#
        );
        let body =
            format!(r#"{{"success":true,"result":{{"events":[{}]}},"result_info":{info}}}"#, event(number));
        answer(200, &[], &body)
    };
    let request_timeout = Duration::from_secs(2);
    let of_user = OperationLimits { attempts: 1, request_timeout, ..OperationLimits::default() };
    let limits = Limits::default().with(Resource::User, of_user);
    for late in [None, Some(3)] {
        let server = Canned::start(move |_, asked| {
            let number = asked.line.split_once("page=").and_then(|(_, rest)| rest[..1].parse().ok());
            let number = number.unwrap_or(1);
            if late == Some(number) {
                return Step::Stall(Vec::new());
            }
            std::thread::sleep(Duration::from_millis(400));
            page(number, 6)
        })
        .await;
        let asking = client(Options { limits, ..server.options() }, &budget());
        let risk = within_seconds(asking.user(user)).await.unwrap();
        match late {
            None => assert_eq!((risk.events.len(), risk.completeness), (6, Completeness::Complete)),
            Some(_) => {
                assert_eq!(risk.events.len(), 2);
                let Completeness::Unfinished(reason) = risk.completeness else { panic!("page 3 is late") };
                assert!(reason.contains("page 3 is missing: "), "{reason}");
                assert!(reason.contains("not complete within 2s"), "{reason}");
            }
        }
    }
}

#[tokio::test]
async fn no_request_is_sent_during_a_block() {
    let server = Canned::script([answer(429, &["Retry-After: 86400"], "")]).await;
    let asking = server.client();
    asking.behaviors().await.unwrap_err();
    let error = asking.summary().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Limited(Limiter::Cloudflare));
    assert!(error.retry_after().unwrap() > Duration::from_secs(60), "{error}");
    assert!(error.response().is_none());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_spent_budget_and_a_rate_limit_are_distinguished() {
    let server = Canned::script([good("[]")]).await;
    // One request in five minutes, on a clock at normal speed: a second one is not sent.
    let budget = Budget::new(1.0 / 1_200.0, Clock::system());
    let asking = client(server.options(), &budget);
    asking.integrations().await.unwrap();
    let error = asking.integrations().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Limited(Limiter::Budget));
    assert_eq!(error.to_string(), "the request budget is used up; the next request is allowed in 300 s");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_remaining_requests_that_the_server_reports_reduce_the_budget() {
    let limits = ["Ratelimit: \"default\";r=50;t=30, \"burst\";r=7;t=20"];
    for step in [answer(200, &limits, r#"{"success":true,"result":[]}"#), answer(404, &limits, "")] {
        let server = Canned::script([step]).await;
        let budget = Budget::new(1.0, Clock::scaled(Timestamp::from_seconds(0), 1.0));
        let _ = client(server.options(), &budget).integrations().await;
        assert_eq!(budget.status().remaining, 7);
    }
}

#[tokio::test]
async fn retry_after_of_an_unavailable_server_is_respected() {
    let busy = |wait: &str| answer(503, &[&format!("Retry-After: {wait}")], "");
    let server = Canned::script([busy("50"), good("[]")]).await;
    let budget = budget();
    let before = budget.clock().now();
    client(server.options(), &budget).integrations().await.unwrap();
    assert!(budget.clock().now().since(before) >= Duration::from_secs(50));

    let server = Canned::script([busy("3600")]).await;
    let error = server.client().integrations().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (Kind::Unavailable, Some(Duration::from_secs(3_600))));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_block_belongs_to_its_credential() {
    let server = Canned::start(|_, asked| match asked.head.contains("other-token") {
        true => good("[]"),
        false => answer(429, &["Retry-After: 86400"], ""),
    })
    .await;
    let budget = budget();
    let blocked = client(server.options(), &budget);
    blocked.integrations().await.unwrap_err();
    assert!(budget.status().blocked_until.is_some());
    let same = blocked.with_credentials(Credentials::Token(SecretString::from(TOKEN))).unwrap();
    assert!(same.integrations().await.is_err());
    assert_eq!(server.requests().len(), 1, "the same token stays blocked");

    let other = blocked.with_credentials(Credentials::Token(SecretString::from("other-token"))).unwrap();
    assert_eq!(budget.status().blocked_until, None);
    other.integrations().await.unwrap();
    assert_eq!(server.requests().len(), 2);
}
