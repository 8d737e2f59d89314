//! Lists that a server cuts into pages, with every combination of what it may say about them: the client reads them to
//! the end, or calls them partial.

use uuid::Uuid;
use zt_risk_exporter::clock::{Clock, Timestamp};
use zt_risk_exporter::cloudflare::limit::Budget;
use zt_risk_exporter::cloudflare::{Client, Credentials, Options};
use zt_risk_exporter::model::Completeness;
use zt_risk_exporter::simulator::{Scenario, Simulator};

use crate::canned::{ACCOUNT, TOKEN, within_seconds};

const USERS: usize = 230;
const EVENTS: usize = 144;

/// What an answer says about the number of rows.
const TOTALS: [&str; 7] = ["numbers", "strings", "null", "zero", "page", "absent", "no_info"];

/// What an answer says about the size of a page.
const SIZES: [&str; 3] = ["granted", "asked", "absent"];

/// How an answer refers to the next page, if the client can follow that.
const FOLLOWED: [&str; 8] =
    ["page", "link", "cursor", "cursors_after", "next_cursor", "next_page_token", "next", "has_more"];

/// How an answer refers to a page that cannot be requested.
const UNREACHABLE: [&str; 2] = ["nowhere", "long_cursor"];

/// Whether pages are requested with a cursor that is in `result_info`. Without `result_info` nothing leads to them.
fn is_lost_without_info(next_page: &str) -> bool {
    next_page.contains("cursor") || next_page.contains("token") || next_page == "nowhere"
}

/// 230 users, one of them with 144 events, in pages of 20, or of up to 50 if a client asks for more.
async fn start(api: &str) -> (Simulator, Client) {
    let users: String = (0..USERS as u128)
        .map(|number| {
            let (id, count) = (Uuid::from_u128(number), if number == 0 { EVENTS } else { 1 });
            format!("      - {{ id: {id}, events: [{{ behavior: imp_travel, at: -2d, count: {count} }}] }}\n")
        })
        .collect();
    let text = format!(
        "accounts:\n  - id: {ACCOUNT}\n    users:\n{users}\
         tokens: [{{ token: {TOKEN}, permissions: [Zero Trust Read, 'Zero Trust: PII Read'] }}]\n\
         api: {{ pages: {{ sized: {{ standard: 20, largest: 50 }} }}, {api} }}\n"
    );
    // The seconds of this clock pass in milliseconds, so that no budget and no rate limit is used up for long.
    let clock = Clock::scaled(Timestamp::from_seconds(1_900_000_000), 1_000.0);
    let simulator = Simulator::start(Scenario::from_yaml(&text).unwrap(), clock.clone()).await.unwrap();
    let options = Options { base_url: simulator.base_url(), ..Options::default() };
    let token = Credentials::Token(TOKEN.into());
    let client = Client::new(ACCOUNT, token, Budget::new(1.0, clock), options).unwrap();
    (simulator, client)
}

/// How many users and events are read, and whether both lists are complete. Each list is read twice, because the second
/// reading knows more about pages.
async fn read(client: &Client) -> Vec<((usize, Completeness), (usize, Completeness))> {
    let mut readings = Vec::new();
    for _ in 0..2 {
        let summary = within_seconds(client.summary()).await.unwrap();
        let user = within_seconds(client.user(Uuid::from_u128(0))).await.unwrap();
        readings.push(((summary.rows.len(), summary.completeness), (user.events.len(), user.completeness)));
    }
    readings
}

#[tokio::test]
async fn lists_in_pages_are_read_to_the_end_whatever_is_said_about_them() {
    for totals in TOTALS {
        for size in SIZES {
            for next_page in FOLLOWED {
                if totals == "no_info" && is_lost_without_info(next_page) {
                    continue;
                }
                let api = format!("totals: {totals}, per_page: {size}, next_page: {next_page}");
                let (_simulator, client) = start(&api).await;
                let whole = ((USERS, Completeness::Complete), (EVENTS, Completeness::Complete));
                assert_eq!(read(&client).await, [whole.clone(), whole], "{api}");
            }
        }
    }
}

#[tokio::test]
async fn lists_in_pages_are_read_to_the_end_whatever_is_beyond_the_last_page() {
    for totals in TOTALS {
        for size in SIZES {
            for beyond in ["empty", "last", "bad_request", "not_found"] {
                let api = format!("totals: {totals}, per_page: {size}, beyond_last: {beyond}");
                let (_simulator, client) = start(&api).await;
                let whole = ((USERS, Completeness::Complete), (EVENTS, Completeness::Complete));
                assert_eq!(read(&client).await, [whole.clone(), whole], "{api}");
            }
        }
    }
}

#[tokio::test]
async fn lists_whose_further_pages_cannot_be_requested_are_partial() {
    for totals in TOTALS.into_iter().filter(|totals| *totals != "no_info") {
        for size in SIZES {
            for next_page in UNREACHABLE {
                let api = format!("totals: {totals}, per_page: {size}, next_page: {next_page}");
                let (_simulator, client) = start(&api).await;
                for (users, events) in read(&client).await {
                    for (received, completeness) in [users, events] {
                        assert!(matches!(completeness, Completeness::Partial(_)), "{api}: {received} is all");
                    }
                }
            }
        }
    }
}
