//! Lists in pages: from servers that turn them, ignore the wish, count wrongly, or change in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use uuid::Uuid;
use zt_risk_exporter::cloudflare::{Kind, Pii};
use zt_risk_exporter::model::{Completeness, Summary};

use crate::canned::{Canned, DetailRequest, Step, answer, bad, budget, client, within_seconds};

fn user(number: usize) -> String {
    let id = Uuid::from_u128(number as u128);
    format!(
        r#"{{"user_id":"{id}","last_event":"2019-12-27T18:11:19Z","event_count":{number},"email":"{number}@e","name":"n"}}"#
    )
}

fn page(users: impl IntoIterator<Item = String>, info: &str) -> Step {
    let users: Vec<String> = users.into_iter().collect();
    let users = users.join(",");
    let body = format!(r#"{{"success":true,"result":{{"users":[{users}]}},"result_info":{{{info}}}}}"#);
    answer(200, &[], body)
}

fn query(asked: &DetailRequest, key: &str) -> Option<usize> {
    let (_, query) = asked.line.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.parse().unwrap())
}

/// A server of `total` users in pages of 20, or of the wanted size up to `largest`.
async fn paging(total: usize, largest: usize) -> Canned {
    Canned::start(move |_, asked| {
        let size = query(asked, "per_page").unwrap_or(20).min(largest);
        let number = query(asked, "page").unwrap_or(1);
        let from = (number - 1) * size;
        let info = format!(r#""page":{number},"total_count":{total},"total_pages":{}"#, total.div_ceil(size));
        page((from..total.min(from + size)).map(user), &info)
    })
    .await
}

async fn read(server: &Canned) -> Summary {
    within_seconds(server.client().summary()).await.unwrap()
}

fn partial(reason: &str) -> Completeness {
    Completeness::Partial(reason.to_owned())
}

#[tokio::test]
async fn all_pages_are_read_in_the_largest_size_that_is_granted() {
    for (largest, wanted) in [
        (1_000, &["/summary", "/summary?page=1&per_page=1000", "/summary?page=2&per_page=1000"][..]),
        (
            20,
            &[
                "/summary",
                "/summary?page=1&per_page=1000",
                "/summary?page=2",
                "/summary?page=3",
                "/summary?page=4",
            ][..],
        ),
    ] {
        let total = if largest == 20 { 75 } else { 1_500 };
        let server = paging(total, largest).await;
        let mut options = server.options();
        options.pii = Pii::Keep;
        let summary = client(options, &budget()).summary().await.unwrap();
        assert_eq!((summary.rows.len(), &summary.completeness), (total, &Completeness::Complete));
        assert!(summary.rows.is_sorted_by_key(|row| row.user));
        let identities = summary.identities.unwrap();
        assert_eq!(identities.get(Uuid::from_u128(74)), Some(("74@e", "n")));
        let wanted: Vec<String> = wanted.iter().map(|line| format!("GET {line}")).collect();
        assert_eq!(server.lines(), wanted);
        assert_eq!(summary.pages as usize, wanted.len());
    }
}

#[tokio::test]
async fn what_was_learned_of_pages_is_remembered() {
    for (largest, wanted) in [
        (1_000, vec!["GET /summary?page=1&per_page=1000"]),
        (20, vec!["GET /summary", "GET /summary?page=2"]),
    ] {
        let server = paging(40, largest).await;
        let client = server.client();
        client.summary().await.unwrap();
        let before = server.asked().len();
        assert_eq!(client.summary().await.unwrap().completeness, Completeness::Complete);
        assert_eq!(server.lines()[before..], wanted);
    }
}

#[tokio::test]
async fn a_size_that_is_refused_is_not_asked_for_again() {
    let server = Canned::start(|_, asked| match query(asked, "per_page") {
        Some(_) => bad(400, 1004, "per_page is too large"),
        None => {
            let number = query(asked, "page").unwrap_or(1);
            page((number * 2 - 2..number * 2).map(user), r#""total_pages":2,"total_count":4"#)
        }
    })
    .await;
    let client = server.client();
    for pages in [3, 2] {
        let summary = client.summary().await.unwrap();
        assert_eq!(
            (summary.rows.len(), summary.completeness, summary.pages),
            (4, Completeness::Complete, pages)
        );
    }
}

#[tokio::test]
async fn a_size_that_is_refused_after_it_was_granted_is_not_asked_for_again() {
    let server = Canned::start(|before, asked| {
        let number = query(asked, "page").unwrap_or(1);
        match query(asked, "per_page") {
            // The first reading asks without a size, then with one.
            Some(_) if before < 2 => page((0..4).map(user), r#""total_pages":1,"total_count":4"#),
            Some(_) => bad(400, 1004, "per_page is too large"),
            None => page((number * 2 - 2..number * 2).map(user), r#""total_pages":2,"total_count":4"#),
        }
    })
    .await;
    let client = server.client();
    for wanted in [
        &["GET /summary", "GET /summary?page=1&per_page=1000"][..],
        &["GET /summary?page=1&per_page=1000", "GET /summary", "GET /summary?page=2"],
        &["GET /summary", "GET /summary?page=2"],
    ] {
        let before = server.asked().len();
        let summary = client.summary().await.unwrap();
        assert_eq!((summary.rows.len(), summary.completeness), (4, Completeness::Complete));
        assert_eq!(server.lines()[before..], *wanted);
    }
}

#[tokio::test]
async fn without_a_promise_of_more_one_request_is_all() {
    for (info, completeness) in [
        ("", Completeness::Complete),
        (r#""total_count":3"#, Completeness::Complete),
        (r#""total_count":3,"total_pages":1"#, Completeness::Complete),
        (r#""count":900,"per_page":1,"page":1"#, Completeness::Complete),
        (r#""total_count":null,"total_pages":"many""#, Completeness::Complete),
        (r#""total_count":2"#, partial("3 of 2 elements arrived")),
    ] {
        let server = Canned::script([page((0..3).map(user), info)]).await;
        let summary = read(&server).await;
        assert_eq!((summary.rows.len(), summary.completeness), (3, completeness), "{info}");
        assert_eq!(server.asked().len(), 1, "{info}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_turn_pages_is_noticed() {
    let server = Canned::script([page((0..3).map(user), r#""total_count":2000,"total_pages":100"#)]).await;
    let summary = read(&server).await;
    assert_eq!((summary.rows.len(), summary.completeness), (3, partial("page 2 repeats earlier pages")));
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn totals_that_are_not_delivered_make_a_list_partial() {
    for (second, completeness) in [
        (page([], r#""total_count":5"#), partial("3 of 5 elements arrived")),
        (page((3..4).map(user), r#""total_count":5"#), partial("page 3 repeats earlier pages")),
        (
            page((3..5).map(user), r#""total_count":6,"total_pages":2"#),
            partial("page 3 repeats earlier pages"),
        ),
        (
            page((3..6).map(user), r#""total_count":6,"total_pages":2"#),
            partial("the total changed from 5 to 6 while the pages were read"),
        ),
        (page((2..4).map(user), r#""total_count":5,"total_pages":2"#), partial("4 of 5 elements arrived")),
        (page((3..5).map(user), r#""total_count":5,"total_pages":2"#), Completeness::Complete),
        (page((3..5).map(user), ""), Completeness::Complete),
    ] {
        let server = Canned::start(move |_, asked| match query(asked, "page") {
            None | Some(1) => page((0..3).map(user), r#""total_count":5"#),
            Some(_) => second.clone(),
        })
        .await;
        assert_eq!(read(&server).await.completeness, completeness);
    }
}

#[tokio::test]
async fn a_page_that_fails_makes_the_list_partial_unless_every_request_would_fail() {
    for (second, kind) in [
        (bad(429, 971, "wait"), Some(Kind::Limited(zt_risk_exporter::cloudflare::Limiter::Cloudflare))),
        (bad(401, 10000, "Authentication error"), Some(Kind::Refused)),
        (bad(403, 3314, "Forbidden"), Some(Kind::NotEntitled)),
        (bad(500, 1000, "internal"), None),
        (answer(200, &[], "{"), None),
        (bad(404, 7003, "gone"), None),
    ] {
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let server = Canned::start(move |_, asked| match query(asked, "page") {
            None | Some(1) => page((0..3).map(user), r#""total_count":6"#),
            Some(_) => {
                counted.fetch_add(1, Ordering::Relaxed);
                second.clone()
            }
        })
        .await;
        let result = within_seconds(server.client().summary()).await;
        assert!(tries.load(Ordering::Relaxed) > 0);
        match (result, kind) {
            (Err(error), Some(kind)) => assert_eq!(error.kind(), kind),
            (Ok(summary), None) => match summary.completeness {
                Completeness::Partial(reason) => {
                    assert!(reason.starts_with("page 2 is missing: "), "{reason}");
                }
                Completeness::Complete => panic!("page 2 is missing"),
            },
            (result, kind) => panic!("{kind:?} wanted, not {result:?}"),
        }
    }
}

#[tokio::test]
async fn rows_are_counted_whether_they_can_be_read_or_not() {
    let nobody = "{}".to_owned();
    let broken = |number: usize| user(number).replace("2019", "year");
    let mut many: Vec<String> = (0..199).map(user).collect();
    many.push(nobody.clone());
    let one_broken = |whole: usize| (0..whole).map(user).chain([broken(whole)]).collect();
    for (users, total, wanted) in [
        (many, 200, (199, 0, 1, Completeness::Complete)),
        // One in a hundred may be unreadable.
        (one_broken(99), 100, (99, 1, 0, Completeness::Complete)),
        (one_broken(98), 99, (98, 1, 0, partial("1 of 99 elements are unreadable"))),
        (vec![user(1), user(1), broken(1)], 1, (1, 0, 0, Completeness::Complete)),
        (vec![user(1), broken(2), broken(2)], 2, (1, 1, 0, partial("1 of 2 elements are unreadable"))),
        (vec![user(1), nobody], 2, (1, 0, 1, partial("1 of 2 elements are unreadable"))),
    ] {
        let server = Canned::script([page(users, &format!(r#""total_count":{total}"#))]).await;
        let summary = read(&server).await;
        let got = (summary.rows.len(), summary.unreadable.len(), summary.anonymous, summary.completeness);
        assert_eq!(got, wanted);
    }
}

#[tokio::test]
async fn unreadable_rows_are_known_again_however_many_they_are() {
    let broken = |number: usize| user(number).replace("2019-12", "a year");
    let many = 100_000;
    let server = Canned::start(move |_, asked| {
        // As many unreadable rows on each page, all of them known from the third page on.
        let from = if query(asked, "page") == Some(2) { many } else { 0 };
        page((from..from + many).map(broken), r#""total_pages":9"#)
    })
    .await;
    let summary = read(&server).await;
    assert_eq!(summary.unreadable.len(), 2 * many);
    assert_eq!(summary.completeness, partial("page 3 repeats earlier pages"));
}

#[tokio::test]
async fn pages_are_bounded_in_number_and_in_rows() {
    let endless = |_: usize, asked: &DetailRequest| {
        let number = query(asked, "page").unwrap_or(1);
        page((number * 3..number * 3 + 3).map(user), r#""total_pages":1000000"#)
    };
    let server = Canned::start(endless).await;
    let mut options = server.options();
    options.bounds.pages = 5;
    let summary = client(options, &budget()).summary().await.unwrap();
    assert_eq!((summary.rows.len(), summary.completeness), (15, partial("there are more than 5 pages")));

    let mut options = server.options();
    options.bounds.elements = 10;
    let error = client(options, &budget()).summary().await.unwrap_err();
    assert!(error.to_string().contains("it is too large: more than 10 elements"), "{error}");
}

#[tokio::test]
async fn events_come_in_pages_too() {
    let event = |number: usize| {
        format!(
            r#"{{"id":"e{number}","name":"imp_travel","risk_level":"high","timestamp":"2019-12-27T18:11:{number:02}Z"}}"#
        )
    };
    let server = Canned::start(move |_, asked| {
        let number = query(asked, "page").unwrap_or(1);
        let events: Vec<String> = (number * 2 - 2..number * 2).map(event).collect();
        let events = events.join(",");
        let body = format!(
            r#"{{"success":true,"result":{{"events":[{events}],"risk_level":"high"}},"result_info":{{"total_count":6,"total_pages":3}}}}"#
        );
        answer(200, &[], body)
    })
    .await;
    let user = server.client().user(Uuid::from_u128(1)).await.unwrap();
    let ids: Vec<&str> = user.events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!((ids, user.completeness), (vec!["e0", "e1", "e2", "e3", "e4", "e5"], Completeness::Complete));
}
