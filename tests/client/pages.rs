//! Lists in pages: from servers that page, ignore the page size, count wrongly, or change in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use uuid::Uuid;
use zt_risk_exporter::cloudflare::{Kind, Pii};
use zt_risk_exporter::model::{Completeness, Summary};

use crate::canned::{Canned, DetailRequest, Step, answer, bad, budget, client, within_seconds};

fn user(number: usize) -> String {
    let id = Uuid::from_u128(number as u128);
    format!(
        r#"{{"user_id":"{id}","last_event":"2019-12-27T18:11:19Z","event_count":{number},"max_risk_level":"low","email":"{number}@e","name":"n"}}"#
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

/// A server of `total` users in pages of 20, or of the requested size up to `largest`.
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
async fn all_pages_are_read_in_the_largest_accepted_size() {
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
async fn the_accepted_page_size_is_remembered() {
    for (largest, wanted) in [
        (1_000, vec!["GET /summary?page=1&per_page=1000"]),
        (20, vec!["GET /summary", "GET /summary?page=2"]),
    ] {
        let server = paging(40, largest).await;
        let client = server.client();
        client.summary().await.unwrap();
        let before = server.requests().len();
        assert_eq!(client.summary().await.unwrap().completeness, Completeness::Complete);
        assert_eq!(server.lines()[before..], wanted);
    }
}

#[tokio::test]
async fn a_refused_page_size_is_not_requested_again() {
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
async fn a_page_size_that_is_refused_later_is_not_requested_again() {
    let server = Canned::start(|before, asked| {
        let number = query(asked, "page").unwrap_or(1);
        match query(asked, "per_page") {
            // The first reading sends a request without a size, then one with a size.
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
        let before = server.requests().len();
        let summary = client.summary().await.unwrap();
        assert_eq!((summary.rows.len(), summary.completeness), (4, Completeness::Complete));
        assert_eq!(server.lines()[before..], *wanted);
    }
}

#[tokio::test]
async fn without_a_sign_of_more_pages_one_request_is_sent() {
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
        assert_eq!(server.requests().len(), 1, "{info}");
    }
}

#[tokio::test]
async fn a_server_that_repeats_a_page_is_detected() {
    let server = Canned::script([page((0..3).map(user), r#""total_count":2000,"total_pages":100"#)]).await;
    let summary = read(&server).await;
    assert_eq!((summary.rows.len(), summary.completeness), (3, partial("page 2 repeats earlier pages")));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_list_shorter_than_its_total_is_partial() {
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
async fn a_failed_page_makes_the_list_partial_unless_every_request_would_fail() {
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
    let anonymous = "{}".to_owned();
    let broken = |number: usize| user(number).replace("\"low\"", "[]");
    let mut many: Vec<String> = (0..199).map(user).collect();
    many.push(anonymous.clone());
    let broken_from =
        |good: usize, bad: usize| (0..good).map(user).chain((good..good + bad).map(broken)).collect();
    let one_broken = |good: usize| broken_from(good, 1);
    for (users, total, wanted) in [
        (many, 200, (199, 0, 1, Completeness::Complete)),
        // Three may be unreadable, or one in a hundred.
        (one_broken(4), 5, (4, 1, 0, Completeness::Complete)),
        (broken_from(2, 3), 5, (2, 3, 0, Completeness::Complete)),
        (
            broken_from(2, 4),
            6,
            (
                2,
                4,
                0,
                partial(
                    "4 of 6 elements are unreadable: max_risk_level of row 3 is an unexpected array (and 3 more)",
                ),
            ),
        ),
        (broken_from(396, 4), 400, (396, 4, 0, Completeness::Complete)),
        (
            broken_from(395, 4),
            399,
            (
                395,
                4,
                0,
                partial(
                    "4 of 399 elements are unreadable: max_risk_level of row 396 is an unexpected array (and 3 more)",
                ),
            ),
        ),
        (
            broken_from(0, 1),
            1,
            (
                0,
                1,
                0,
                partial("1 of 1 elements are unreadable: max_risk_level of row 1 is an unexpected array"),
            ),
        ),
        (vec![user(1), user(1), broken(1)], 1, (1, 0, 0, Completeness::Complete)),
        (vec![user(1), broken(2), broken(2)], 2, (1, 1, 0, Completeness::Complete)),
        (vec![user(1), anonymous], 2, (1, 0, 1, Completeness::Complete)),
    ] {
        let server = Canned::script([page(users, &format!(r#""total_count":{total}"#))]).await;
        let summary = read(&server).await;
        let got = (summary.rows.len(), summary.unreadable.len(), summary.anonymous, summary.completeness);
        assert_eq!(got, wanted);
    }
}

#[tokio::test]
async fn unreadable_rows_are_recognized_on_later_pages() {
    let broken = |number: usize| user(number).replace("\"low\"", "[]");
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

/// 45 users in pages of 20, and the server's sign of more pages: as `(result_info, Link)` for a page.
async fn without_totals(
    how: impl Fn(usize) -> (String, String) + Send + 'static,
    follow: impl Fn(&DetailRequest) -> usize + Send + 'static,
) -> Canned {
    Canned::start(move |_, asked| {
        let number = follow(asked);
        let from = (number - 1) * 20;
        let users: Vec<String> = (from.min(45)..45.min(from + 20)).map(user).collect();
        let (info, link) = how(number);
        let body = format!(
            r#"{{"success":true,"result":{{"users":[{}]}},"result_info":{{{info}}}}}"#,
            users.join(",")
        );
        let lines: Vec<&str> = if link.is_empty() { Vec::new() } else { vec![&link] };
        answer(200, &lines, body)
    })
    .await
}

#[tokio::test]
async fn every_sign_of_more_pages_is_followed_to_the_end() {
    let by_page = |asked: &DetailRequest| query(asked, "page").unwrap_or(1);
    let by_cursor =
        |parameter: &'static str| move |asked: &DetailRequest| query(asked, parameter).unwrap_or(1);
    let no_link = String::new;
    let more = |number: usize| number < 3;
    let count = move |number: usize| if more(number) { 20 } else { 5 };
    let cursor = move |name: &'static str| {
        move |number: usize| {
            let cursor = if more(number) { format!(r#","{name}":"{}""#, number + 1) } else { String::new() };
            (format!(r#""per_page":20,"count":{}{cursor}"#, count(number)), no_link())
        }
    };
    let servers = [
        without_totals(
            move |number| (format!(r#""page":{number},"per_page":20,"count":{}"#, count(number)), no_link()),
            by_page,
        )
        .await,
        without_totals(
            move |_| (r#""per_page":20,"total_count":null,"total_pages":null"#.to_owned(), no_link()),
            by_page,
        )
        .await,
        without_totals(
            move |number| {
                (
                    format!(r#""page":"{number}","per_page":"20","total_count":"45","total_pages":"3""#),
                    no_link(),
                )
            },
            by_page,
        )
        .await,
        // Each page counts itself.
        without_totals(
            move |number| {
                (format!(r#""per_page":20,"total_count":{},"total_pages":1"#, count(number)), no_link())
            },
            by_page,
        )
        .await,
        without_totals(cursor("cursor"), by_cursor("cursor")).await,
        without_totals(cursor("next_cursor"), by_cursor("cursor")).await,
        without_totals(cursor("nextCursor"), by_cursor("cursor")).await,
        without_totals(cursor("after"), by_cursor("after")).await,
        without_totals(cursor("next_page_token"), by_cursor("page_token")).await,
        without_totals(
            move |number| {
                let cursor = if more(number) {
                    format!(r#""cursors":{{"after":"{}"}}"#, number + 1)
                } else {
                    String::new()
                };
                (cursor, no_link())
            },
            by_cursor("cursor"),
        )
        .await,
        // A cursor that the server ignores: the pages are numbered.
        without_totals(cursor("cursor"), by_page).await,
        without_totals(
            move |number| {
                let link = if more(number) {
                    format!("Link: <?page={}>; rel=\"next\"", number + 1)
                } else {
                    no_link()
                };
                (String::new(), link)
            },
            by_page,
        )
        .await,
    ];
    for (case, server) in servers.iter().enumerate() {
        let client = server.client();
        for _ in 0..2 {
            let summary = within_seconds(client.summary()).await.unwrap();
            assert_eq!(
                (summary.rows.len(), summary.completeness),
                (45, Completeness::Complete),
                "case {case}"
            );
        }
    }
}

#[tokio::test]
async fn a_sign_of_more_pages_that_cannot_be_followed_makes_a_list_partial() {
    for (info, link, completeness, requests) in [
        // Only a full page suggests more, and the server has no pages.
        (r#""per_page":20"#, "", Completeness::Complete, 3),
        (r#""per_page":20,"cursor":"abc""#, "", partial("page 2 repeats earlier pages"), 4),
        (r#""per_page":20,"total_count":"45""#, "", partial("page 2 repeats earlier pages"), 3),
        (
            "",
            "Link: <https://elsewhere.example.com/x?page=2>; rel=next",
            partial("the link to the next page leads elsewhere"),
            2,
        ),
        (r#""per_page":21"#, "", Completeness::Complete, 1),
    ] {
        let server = without_totals(move |_| (info.to_owned(), link.to_owned()), |_| 1).await;
        let summary = read(&server).await;
        assert_eq!((summary.rows.len(), summary.completeness), (20, completeness), "{info} {link}");
        assert_eq!(server.requests().len(), requests, "{info} {link}: {:?}", server.lines());
    }
}

#[tokio::test]
async fn totals_that_count_something_else_do_not_prove_truncation() {
    for (users, info, rows) in [
        (
            vec![user(0), user(1), user(1)],
            r#""page":1,"per_page":100,"count":3,"total_count":3,"total_pages":1"#,
            2,
        ),
        (vec![user(0), user(1)], r#""page":1,"per_page":20,"count":0,"total_count":0,"total_pages":0"#, 2),
        (Vec::new(), r#""page":1,"per_page":20,"total_count":0"#, 0),
    ] {
        let server = Canned::script([page(users, info)]).await;
        let summary = read(&server).await;
        assert_eq!((summary.rows.len(), summary.completeness), (rows, Completeness::Complete), "{info}");
        assert_eq!(server.requests().len(), 1, "{info}");
    }
    let null =
        |info: &str| answer(200, &[], format!(r#"{{"success":true,"result":{{"users":null}}{info}}}"#));
    for (info, is_list) in [
        ("", true),
        (r#","result_info":{"total_count":0}"#, true),
        (r#","result_info":{"total_count":null}"#, true),
        (r#","result_info":{"total_count":4}"#, false),
    ] {
        let server = Canned::script([null(info)]).await;
        match within_seconds(server.client().summary()).await {
            Ok(summary) => assert_eq!(
                (summary.rows.len(), summary.completeness, is_list),
                (0, Completeness::Complete, true),
                "{info}"
            ),
            Err(error) => assert_eq!((error.kind(), is_list), (Kind::Shape, false), "{info}"),
        }
    }
}

#[tokio::test]
async fn the_pages_of_a_users_events_are_followed_and_bounded() {
    let event = |number: usize| {
        format!(
            r#"{{"id":"e{number}","name":"n","risk_level":"high","timestamp":"2019-12-27T18:{:02}:{:02}Z"}}"#,
            number / 60,
            number % 60
        )
    };
    let server = Canned::start(move |_, asked| {
        let number = query(asked, "page").unwrap_or(1);
        let from = ((number - 1) * 20).min(144);
        let events: Vec<String> = (from..144.min(from + 20)).map(event).collect();
        answer(
            200,
            &[],
            format!(
                r#"{{"success":true,"result":{{"events":[{}]}},"result_info":{{"per_page":20}}}}"#,
                events.join(",")
            ),
        )
    })
    .await;
    let user = server.client().user(Uuid::from_u128(1)).await.unwrap();
    assert_eq!((user.events.len(), user.completeness), (144, Completeness::Complete));

    for (events, text_bytes, kept, reason) in [
        (50, 1 << 20, 50, "it has more than 50 elements"),
        (10, 1 << 20, 10, "it has more than 10 elements"),
        (1_000, 100, 27, "its elements have more than 100 bytes of text"),
        (1_000, 10, 3, "its elements have more than 10 bytes of text"),
    ] {
        let mut options = server.options();
        (options.bounds.events, options.bounds.text_bytes) = (events, text_bytes);
        let user = client(options, &budget()).user(Uuid::from_u128(1)).await.unwrap();
        assert_eq!((user.events.len(), user.completeness), (kept, partial(reason)));
    }
}

#[tokio::test]
async fn the_names_of_all_pages_share_one_limit() {
    let named = |number: usize| user(number).replace(r#""name":"n""#, &format!(r#""name":"{:n>1000}""#, "n"));
    let server = Canned::start(move |_, asked| {
        let number = query(asked, "page").unwrap_or(1);
        page((((number - 1) * 5)..(number * 5).min(20)).map(named), r#""total_count":20"#)
    })
    .await;
    for (text_bytes, with_names) in [(1 << 20, 20), (3_000, 4), (0, 0)] {
        let mut options = server.options();
        (options.pii, options.bounds.text_bytes) = (Pii::Keep, text_bytes);
        let summary = client(options, &budget()).summary().await.unwrap();
        assert_eq!((summary.rows.len(), &summary.completeness), (20, &Completeness::Complete));
        let identities = summary.identities.unwrap();
        let known = summary.rows.iter().filter(|row| identities.get(row.user).is_some()).count();
        assert_eq!(known, with_names, "{text_bytes} bytes");
        let cut = summary.odd.iter().find(|odd| odd.field == "name").map_or(0, |odd| odd.count as usize);
        assert_eq!(cut, 20 - with_names, "{text_bytes} bytes");
    }
}

#[tokio::test]
async fn larger_pages_are_not_tried_if_they_would_not_help() {
    // A page as large as the one that would be requested, and a page whose text takes much of the limit.
    for (users, pii, text_bytes) in [(1_000, Pii::Drop, 1 << 20), (20, Pii::Keep, 10_000)] {
        let server = Canned::start(move |_, asked| {
            let from = (query(asked, "page").unwrap_or(1) - 1) * users;
            let named =
                |number: usize| user(number).replace(r#""name":"n""#, &format!(r#""name":"{:n>400}""#, "n"));
            page((from..from + users).map(named), &format!(r#""total_count":{}"#, users * 2))
        })
        .await;
        let mut options = server.options();
        (options.pii, options.bounds.text_bytes) = (pii, text_bytes);
        let summary = client(options, &budget()).summary().await.unwrap();
        assert_eq!((summary.rows.len(), &summary.completeness), (users * 2, &Completeness::Complete));
        assert_eq!(server.lines(), ["GET /summary", "GET /summary?page=2"]);
    }
}
