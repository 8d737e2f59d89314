//! Lists in pages: from servers that page, ignore the page size, count wrongly, or change in between.

mod sizes;

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

async fn read(server: &Canned) -> Summary {
    within_seconds(server.client().summary()).await.unwrap()
}

fn partial(reason: &str) -> Completeness {
    Completeness::Partial(reason.to_owned())
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
                other => panic!("page 2 is missing: {other:?}"),
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
        // A total of each page, and no size.
        without_totals(
            move |number| {
                let cursor =
                    if more(number) { format!(r#","cursor":"{}""#, number + 1) } else { String::new() };
                (format!(r#""total_count":{}{cursor}"#, count(number)), no_link())
            },
            by_cursor("cursor"),
        )
        .await,
        // Nothing at all, and a field that says no more than that there are more.
        without_totals(move |_| (String::new(), no_link()), by_page).await,
        without_totals(move |number| (format!(r#""has_more":{}"#, more(number)), no_link()), by_page).await,
        without_totals(
            move |number| {
                (format!(r#""next_page":{}"#, if more(number) { number + 1 } else { 0 }), no_link())
            },
            by_page,
        )
        .await,
        without_totals(
            move |number| {
                let next =
                    if more(number) { format!(r#""?page={}""#, number + 1) } else { "null".to_owned() };
                (format!(r#""next":{next}"#), no_link())
            },
            by_page,
        )
        .await,
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
            partial("the link to the next page leads elsewhere, and page 2 repeats earlier pages"),
            3,
        ),
        (
            r#""next":"/client/v4/next?x=1","has_more":true"#,
            "",
            partial("the link to the next page leads elsewhere, and page 2 repeats earlier pages"),
            3,
        ),
        (r#""has_more":true"#, "", partial("has_more is true, and page 2 repeats earlier pages"), 3),
        // The total may be that of the page.
        (r#""total_count":20,"cursor":"abc""#, "", partial("page 2 repeats earlier pages"), 4),
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
        assert!(!summary.is_null, "{info}");
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
                (summary.rows.len(), summary.completeness, summary.is_null, is_list),
                (0, Completeness::Complete, true, true),
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
