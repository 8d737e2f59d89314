//! The size of pages: which one is requested, and what is done where no answer names it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use uuid::Uuid;
use zt_risk_exporter::cloudflare::{Limits, OperationLimits, Pii};
use zt_risk_exporter::model::Completeness;

use super::{page, partial, query, user};
use crate::canned::{Canned, Step, answer, bad, budget, client, within_seconds};

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
async fn a_row_that_is_listed_twice_makes_no_page_larger() {
    for odd_readings in [[true, false, false], [false, true, false]] {
        let is_odd = Arc::new(AtomicBool::new(false));
        let odd = Arc::clone(&is_odd);
        let server = Canned::start(move |_, asked| {
            let number = query(asked, "page").unwrap_or(1);
            let again = (number == 1 && odd.load(Ordering::Relaxed)).then(|| user(0));
            page((number * 4 - 4..21.min(number * 4)).map(user).chain(again), "")
        })
        .await;
        let client = server.client();
        for odd in odd_readings {
            is_odd.store(odd, Ordering::Relaxed);
            let summary = client.summary().await.unwrap();
            assert_eq!((summary.rows.len(), summary.completeness), (21, Completeness::Complete), "{odd}");
        }
    }
}

#[tokio::test]
async fn a_list_without_pages_takes_one_request_once_its_size_is_known() {
    for (info, completeness, requests) in [
        // The answer names its size, or a total that it reaches.
        (r#""per_page":20"#, Completeness::Complete, [1, 1, 1]),
        (
            r#""page":1,"per_page":20,"count":3,"total_count":3,"total_pages":1"#,
            Completeness::Complete,
            [1, 1, 1],
        ),
        // It does not, so the first reading asks for page 2, and the server repeats page 1.
        ("", Completeness::Complete, [2, 1, 1]),
        (r#""total_count":3"#, Completeness::Complete, [2, 1, 1]),
        (r#""total_count":3,"total_pages":1"#, Completeness::Complete, [2, 1, 1]),
        (r#""count":900,"per_page":1,"page":1"#, Completeness::Complete, [2, 1, 1]),
        (r#""total_count":null,"total_pages":"many""#, Completeness::Complete, [2, 1, 1]),
        (r#""total_count":2"#, partial("3 of 2 elements arrived"), [2, 2, 2]),
    ] {
        let server = Canned::script([page((0..3).map(user), info)]).await;
        let client = server.client();
        for requests in requests {
            let before = server.requests().len();
            let summary = within_seconds(client.summary()).await.unwrap();
            assert_eq!((summary.rows.len(), &summary.completeness), (3, &completeness), "{info}");
            assert_eq!(server.requests().len() - before, requests, "{info}: {:?}", server.lines());
        }
    }
}

#[tokio::test]
async fn a_list_whose_size_is_unknown_is_asked_for_more_when_it_is_larger_than_ever() {
    let users = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&users);
    let server = Canned::start(move |_, asked| {
        let from = (query(asked, "page").unwrap_or(1) - 1) * 20;
        let total = now.load(Ordering::Relaxed);
        page((from.min(total)..total.min(from + 20)).map(user), "")
    })
    .await;
    let client = server.client();
    for (total, requests) in [
        // Page 2 is empty.
        (10, &["GET /summary", "GET /summary?page=2"][..]),
        (9, &["GET /summary"]),
        // A page may have 10 users, and the server turns pages, so the larger size is tried once.
        (10, &["GET /summary", "GET /summary?page=1&per_page=1000", "GET /summary?page=2"]),
        (10, &["GET /summary", "GET /summary?page=2"]),
        (45, &["GET /summary", "GET /summary?page=2", "GET /summary?page=3"]),
        (19, &["GET /summary"]),
        (20, &["GET /summary", "GET /summary?page=2"]),
    ] {
        users.store(total, Ordering::Relaxed);
        let before = server.requests().len();
        let summary = within_seconds(client.summary()).await.unwrap();
        assert_eq!((summary.rows.len(), summary.completeness), (total, Completeness::Complete));
        assert_eq!(server.lines()[before..], *requests, "{total} users");
    }
}

/// A server whose larger pages fail as long as the flag is set. Without a size, it has pages of two users.
async fn failing_when_large(fails: &Arc<AtomicBool>) -> Canned {
    let fails = Arc::clone(fails);
    Canned::start(move |_, asked| {
        let size = query(asked, "per_page");
        if size.is_some() && fails.load(Ordering::Relaxed) {
            return answer(504, &["Content-Type: text/html"], "<html>gateway time-out</html>");
        }
        let (number, size) = (query(asked, "page").unwrap_or(1), size.unwrap_or(2));
        let from = (number - 1) * size;
        let info = format!(
            r#""page":{number},"per_page":{size},"total_count":4,"total_pages":{}"#,
            4_usize.div_ceil(size)
        );
        page((from.min(4)..4.min(from + size)).map(user), &info)
    })
    .await
}

#[tokio::test]
async fn a_granted_size_that_fails_twice_is_given_up_for_a_while() {
    let fails = Arc::new(AtomicBool::new(false));
    let server = failing_when_large(&fails).await;
    let mut options = server.options();
    options.limits = Limits::all(OperationLimits { attempts: 1, ..OperationLimits::default() });
    let client = client(options, &budget());
    let own_size = &["GET /summary", "GET /summary?page=2"][..];
    let larger = &["GET /summary?page=1&per_page=1000"][..];
    let mut readings = vec![
        (false, true, [&own_size[..1], larger].concat()),
        (false, true, larger.to_vec()),
        (true, false, larger.to_vec()),
        (true, true, [larger, own_size].concat()),
    ];
    readings.extend(std::iter::repeat_n((true, true, own_size.to_vec()), 15));
    // Then it is tried again, and given up after two failures again.
    readings.extend([
        (true, true, [&own_size[..1], larger, &own_size[1..]].concat()),
        (true, true, [&own_size[..1], larger, &own_size[1..]].concat()),
        (false, true, own_size.to_vec()),
    ]);
    for (number, (failing, succeeds, wanted)) in readings.into_iter().enumerate() {
        fails.store(failing, Ordering::Relaxed);
        let before = server.requests().len();
        let summary = within_seconds(client.summary()).await;
        assert_eq!(summary.is_ok(), succeeds, "reading {number}: {summary:?}");
        if let Ok(summary) = summary {
            assert_eq!((summary.rows.len(), summary.completeness), (4, Completeness::Complete));
        }
        assert_eq!(server.lines()[before..], wanted, "reading {number}");
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

/// Reads a list of users again and again, of sizes that follow each other. Returns how many users were read of each, for how
/// many requests.
async fn read_in_turn(server: &Canned, users: &AtomicUsize, sizes: &[usize]) -> Vec<(usize, usize)> {
    let client = server.client();
    let mut read = Vec::new();
    for size in sizes {
        users.store(*size, Ordering::Relaxed);
        let before = server.requests().len();
        let summary = within_seconds(client.summary()).await.unwrap();
        assert_eq!(summary.completeness, Completeness::Complete, "{size} users");
        read.push((summary.rows.len(), server.requests().len() - before));
    }
    read
}

/// What an answer says of a list without pages, and the status of the answer to a request with a query.
const WITHOUT_QUERIES: [(&str, u16); 9] = [
    ("", 400),
    ("", 403),
    ("", 404),
    ("", 422),
    ("", 500),
    (r#""total_count":5"#, 400),
    (r#""page":1,"count":5,"total_count":5,"total_pages":1"#, 404),
    (r#""page":1,"per_page":5,"count":5,"total_count":5,"total_pages":1"#, 400),
    (r#""page":1,"per_page":5,"count":5,"total_count":5,"total_pages":1"#, 403),
];

#[tokio::test]
async fn a_server_that_refuses_every_query_has_no_pages() {
    for (info, status) in WITHOUT_QUERIES {
        let server = Canned::start(move |_, asked| match asked.line.contains('?') {
            true => bad(status, 1_001, "unknown parameter"),
            false => page((0..5).map(user), info),
        })
        .await;
        let mut options = server.options();
        options.limits = Limits::all(OperationLimits { attempts: 1, ..OperationLimits::default() });
        let client = client(options, &budget());
        // It is not clear at first whether the page or something else is the reason.
        let doubtful = if matches!(status, 403 | 500) { 2 } else { 0 };
        for reading in 0..9 {
            let summary = within_seconds(client.summary()).await.unwrap();
            let is_whole = summary.completeness == Completeness::Complete;
            assert_eq!(
                (summary.rows.len(), is_whole),
                (5, reading >= doubtful),
                "{info} {status}: {reading}"
            );
        }
        if !info.contains("per_page") {
            let requests = server.requests().len();
            assert!(requests <= 14, "{info} {status}: it is not asked all the time: {:?}", server.lines());
        }
    }
}

#[tokio::test]
async fn a_refused_page_makes_a_list_partial_if_something_says_that_there_is_more() {
    for (info, status, wanted) in [
        (r#""per_page":5"#, 400, None),
        (r#""per_page":5"#, 403, None),
        (r#""total_count":6"#, 400, None),
        (r#""has_more":true"#, 404, None),
        // There is no page beyond a full one.
        (r#""per_page":5"#, 404, Some(Completeness::Complete)),
    ] {
        let server = Canned::start(move |_, asked| match asked.line.contains('?') {
            true => bad(status, 1_001, "no"),
            false => page((0..5).map(user), info),
        })
        .await;
        let client = server.client();
        for _ in 0..4 {
            let summary = within_seconds(client.summary()).await.unwrap();
            match &wanted {
                Some(completeness) => assert_eq!(&summary.completeness, completeness, "{info} {status}"),
                None => assert!(matches!(summary.completeness, Completeness::Partial(_)), "{info} {status}"),
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_is_refused_once_pages_were_turned_is_beyond_the_last_one() {
    let users = Arc::new(AtomicUsize::new(0));
    for (info, status) in [("", 400), ("", 404), (r#""per_page":20"#, 400), (r#""per_page":20"#, 404)] {
        let now = Arc::clone(&users);
        let server = Canned::start(move |_, asked| {
            let (from, total) = ((query(asked, "page").unwrap_or(1) - 1) * 20, now.load(Ordering::Relaxed));
            if from > 0 && from >= total {
                return bad(status, 1_001, "invalid page");
            }
            page((from..total.min(from + 20)).map(user), info)
        })
        .await;
        let sizes = [45, 40, 20, 45, 20, 60];
        let read: Vec<_> =
            read_in_turn(&server, &users, &sizes).await.into_iter().map(|(rows, _)| rows).collect();
        assert_eq!(read, sizes, "{info} {status}");
    }
}

/// A user may join between the two requests that show whether the server has pages.
#[tokio::test]
async fn a_list_without_pages_that_grows_while_it_is_read_takes_one_request_later() {
    let users = AtomicUsize::new(5);
    let server = Canned::start(move |_, asked| {
        if query(asked, "page") == Some(2) {
            users.store(6, Ordering::Relaxed);
        }
        page((0..users.load(Ordering::Relaxed)).map(user), "")
    })
    .await;
    let client = server.client();
    let mut requests = Vec::new();
    for _ in 0..3 {
        let before = server.requests().len();
        let summary = within_seconds(client.summary()).await.unwrap();
        assert_eq!((summary.rows.len(), summary.completeness), (6, Completeness::Complete));
        requests.push(server.requests().len() - before);
    }
    assert_eq!(requests, [3, 1, 1]);
}

#[tokio::test]
async fn a_list_that_passes_through_the_page_size_is_not_cut_though_the_last_page_is_repeated() {
    for totals in ["", "page"] {
        let users = Arc::new(AtomicUsize::new(0));
        let now = Arc::clone(&users);
        let server = Canned::start(move |_, asked| {
            let total = now.load(Ordering::Relaxed);
            // A page beyond the last one is the last one.
            let last = total.div_ceil(20).max(1);
            let from = (query(asked, "page").unwrap_or(1).min(last) - 1) * 20;
            let rows = from..total.min(from + 20);
            let info =
                if totals == "page" { format!(r#""total_count":{}"#, rows.len()) } else { String::new() };
            page(rows.map(user), &info)
        })
        .await;
        // Pages were turned before.
        let sizes = [45, 20, 20, 45, 40, 20, 60];
        let read: Vec<_> =
            read_in_turn(&server, &users, &sizes).await.into_iter().map(|(rows, _)| rows).collect();
        assert_eq!(read, sizes, "{totals}");
    }
}

#[tokio::test]
async fn a_list_that_grows_beyond_a_page_is_read_whole_after_a_few_readings() {
    let users = Arc::new(AtomicUsize::new(0));
    for beyond in ["empty", "last"] {
        for totals in ["", "page"] {
            let now = Arc::clone(&users);
            let server = Canned::start(move |_, asked| {
                let (total, number) = (now.load(Ordering::Relaxed), query(asked, "page").unwrap_or(1));
                let number = if beyond == "last" { number.min(total.div_ceil(20).max(1)) } else { number };
                let rows = total.min((number - 1) * 20)..total.min(number * 20);
                let info =
                    if totals == "page" { format!(r#""total_count":{}"#, rows.len()) } else { String::new() };
                page(rows.map(user), &info)
            })
            .await;
            let sizes: Vec<_> = (18..60).collect();
            let read = read_in_turn(&server, &users, &sizes).await;
            let cut: Vec<_> = sizes
                .iter()
                .zip(&read)
                .filter(|(size, (rows, _))| *size != rows)
                .map(|(size, _)| *size)
                .collect();
            // A server that repeats the last page looks like one without pages, until it is asked again.
            let wanted: &[usize] = if beyond == "last" { &[21, 22] } else { &[] };
            assert_eq!(cut, wanted, "{beyond} {totals}");
        }
    }
}

#[tokio::test]
async fn a_list_with_fewer_events_than_expected_is_asked_for_more() {
    let events = |from: usize, to: usize| {
        let event = |number: usize| {
            format!(
                r#"{{"id":"{number}","name":"a","risk_level":"high","timestamp":"2025-01-01T00:00:00Z"}}"#
            )
        };
        (from..to).map(event).collect::<Vec<_>>().join(",")
    };
    let server = Canned::start(move |_, asked| {
        let path = asked.line.split('?').next().unwrap();
        let total = if path.ends_with("0001") { 20 } else { 100 };
        let last = usize::div_ceil(total, 20);
        let from = (query(asked, "page").unwrap_or(1).min(last) - 1) * 20;
        let events = events(from, total.min(from + 20));
        answer(
            200,
            &[],
            format!(r#"{{"success":true,"errors":[],"messages":[],"result":{{"events":[{events}]}}}}"#),
        )
    })
    .await;
    let client = server.client();
    for (user, expected, wanted) in [(1, 20, 20), (2, 100, 100), (1, 20, 20), (3, 100, 100)] {
        let risk =
            within_seconds(client.user_expecting(Uuid::from_u128(user), expected.into())).await.unwrap();
        assert_eq!((risk.events.len(), risk.completeness), (wanted, Completeness::Complete), "user {user}");
    }
}

/// An answer with events: their ids, and the seconds of their times.
fn events(events: impl IntoIterator<Item = (String, usize)>) -> Step {
    let event = |(id, second)| {
        format!(
            r#"{{"id":"{id}","name":"a","risk_level":"high","timestamp":"2025-01-01T00:{:02}:{:02}Z"}}"#,
            second / 60,
            second % 60
        )
    };
    let events: Vec<_> = events.into_iter().map(event).collect();
    let result = format!(r#"{{"events":[{}]}}"#, events.join(","));
    answer(200, &[], format!(r#"{{"success":true,"errors":[],"messages":[],"result":{result}}}"#))
}

#[tokio::test]
async fn a_server_without_pages_that_makes_something_new_for_each_answer_is_not_asked_without_end() {
    // Three events get new ids in each answer.
    let server = Canned::start(|before, _| events((0..3).map(|n| (format!("{before}-{n}"), n)))).await;
    let risk = within_seconds(server.client().user_expecting(Uuid::from_u128(1), 3.into())).await.unwrap();
    assert_eq!((risk.events.len(), risk.completeness), (3, Completeness::Complete));
    assert_eq!(server.lines().len(), 2, "{:?}", server.lines());

    // One event of three is as new as the answer.
    let server = Canned::start(|before, _| {
        events([("a".to_owned(), 0), ("b".to_owned(), 1), (format!("now-{before}"), 2 + before)])
    })
    .await;
    let risk = within_seconds(server.client().user_expecting(Uuid::from_u128(1), 3.into())).await.unwrap();
    assert_eq!((risk.events.len(), risk.completeness), (4, Completeness::Complete));
    assert_eq!(server.lines().len(), 2, "{:?}", server.lines());

    // The only event is as new as the answer.
    let server = Canned::start(|before, _| events([(format!("now-{before}"), before)])).await;
    let risk = within_seconds(server.client().user_expecting(Uuid::from_u128(1), 1.into())).await.unwrap();
    assert_eq!(risk.completeness, partial("each page has more elements, although 1 are all"));
    assert_eq!(server.lines().len(), 21, "{:?}", server.lines());
}
