//! Measures an account: reads its list once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{AllAccounts, Basis, Load, USER_TIME};
use crate::app::ClientError;
use crate::clock::{Clock, Timestamp};
use crate::cloudflare::limit::Budget;
use crate::cloudflare::limit::WINDOW;
use crate::cloudflare::{self, Options};
use crate::commands::session::{Session, foreground};
use crate::config::{Account, Config};
use crate::model::{Completeness, Row, Summary};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Why an account could not be measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The client cannot be created.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The request failed.
    #[error("summary: {0}")]
    Request(#[from] cloudflare::Error),
    /// The list is incomplete.
    #[error("summary: the list is incomplete: {0}")]
    Partial(String),
}

/// Measures the load of an account by reading its list once.
pub(super) async fn measure(config: &Config, account: &Account, clock: &Clock) -> Result<Load, Error> {
    let budget = Budget::new(account.budget_share, clock.clone());
    let session = Session::open(config, account, budget, foreground(), clock)?;
    let begun = clock.now();
    let summary = session.client.summary().await?;
    let took = clock.now().since(begun);
    if let Completeness::Partial(reason) | Completeness::Unfinished(reason) = summary.completeness {
        return Err(Error::Partial(reason));
    }
    let (users, pages) = (summary.rows.len() + summary.unreadable.len(), pages(&summary));
    let date = summary.date.unwrap_or_else(|| clock.date());
    Ok(Load {
        users: users as u64,
        pages,
        page_size: page_size(users, pages),
        page_time: took / summary.pages.max(1),
        user_time: USER_TIME,
        changes: changes(&summary.rows, date),
        basis: Basis::Measured,
        budget_share: account.budget_share,
        sharing: config.sharing(account),
        intervals: config.intervals,
        all: Some(all(config)),
    })
}

/// The accounts of this shard, and the budgets of their credentials.
fn all(config: &Config) -> AllAccounts {
    let mut shares = BTreeMap::new();
    for account in &config.accounts {
        shares.insert(account.credential, account.budget_share);
    }
    let budget = shares.values().map(|share| Budget::requests(*share)).sum();
    AllAccounts { accounts: config.accounts.len(), credentials: shares.len(), budget }
}

/// The pages of a list. The first reading of a list with pages sends one request more, to find the largest page size.
fn pages(summary: &Summary) -> u32 {
    if summary.pages > 1 { summary.pages - 1 } else { 1 }
}

/// The users on a page. If there was only one page, its size is unknown: at least what the client requests when there are
/// pages.
fn page_size(users: usize, pages: u32) -> u32 {
    let listed = u32::try_from(users.div_ceil(pages as usize)).unwrap_or(u32::MAX);
    if pages == 1 { listed.max(Options::default().page_size) } else { listed }
}

/// Users who change in five minutes, by how many had their latest event in the last hour or in the last day, whichever
/// gives more.
fn changes(rows: &[Row], date: Timestamp) -> f64 {
    let within = |span: Duration| {
        let recent = rows.iter().filter(|row| row.tuple.last_event + span > date).count();
        recent as f64 * WINDOW.as_secs_f64() / span.as_secs_f64()
    };
    within(HOUR).max(within(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Level, RowFingerprint, UserId};

    #[test]
    fn changes_are_those_of_the_busier_of_hour_and_day() {
        let row = |ago: u64| {
            let last_event = Timestamp::from_seconds(1_000_000) - Duration::from_secs(ago);
            Row {
                user: UserId::from_u128(ago.into()),
                tuple: RowFingerprint { last_event, count: 1.into(), level: Level::Low },
            }
        };
        let rows = |ages: std::ops::Range<u64>| ages.map(row).collect::<Vec<_>>();
        let date = Timestamp::from_seconds(1_000_000);
        // 600 in an hour are 50 in five minutes; 2,880 in a day are 10.
        for (ages, wanted) in [(0..600, 50.0), (7_200..10_080, 10.0), (90_000..90_100, 0.0)] {
            assert_eq!(changes(&rows(ages.clone()), date), wanted, "{ages:?}");
        }
    }

    #[test]
    fn a_list_that_took_several_requests_took_one_to_learn_the_size_of_a_page() {
        for (taken, wanted) in [(1, 1), (2, 1), (6, 5)] {
            assert_eq!(pages(&Summary { pages: taken, ..Summary::whole(Vec::new()) }), wanted);
        }
    }

    #[test]
    fn a_page_lists_what_came_on_one_and_a_single_one_a_thousand_at_least() {
        for (users, pages, wanted) in [(4_500, 5, 900), (30, 1, 1_000), (50_000, 1, 50_000), (0, 1, 1_000)] {
            assert_eq!(page_size(users, pages), wanted, "{users} in {pages}");
        }
    }
}
