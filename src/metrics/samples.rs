//! How the samples of each family come out of the accounts' snapshots.
//!
//! Presence is the snapshots' business: `None` is a family that is not there yet. What is there has a sample
//! for every known label value, 0 included: PromQL sees no rise in a counter whose first sample is a 1.

use std::sync::Arc;

use super::encode::{Family, Number, Samples, Writer};
use super::families::cloudflare as f;
use crate::model::{
    BehaviorStatus, EventTotals, Integration, Level, PerLevel, Resource, Snapshot, UserSeries, Users,
};

/// What an `_info` sample says.
const ONE: u64 = 1;

/// The labels `from` and `to`, in the order of [`crate::model::LevelChanges`].
const STANDINGS: [&str; 4] = ["none", "low", "medium", "high"];

/// Writes every family that has samples, each over all accounts, because a family may begin only once.
pub(super) fn write(writer: &mut Writer, snapshots: &[Arc<Snapshot>]) {
    let page = &mut Page { writer, snapshots };
    accounts(page);
    users(page);
    totals(page);
    pending(page);
    series(page);
    behaviors(page);
    integrations(page);
}

struct Page<'p> {
    writer: &'p mut Writer,
    snapshots: &'p [Arc<Snapshot>],
}

fn accounts(page: &mut Page<'_>) {
    page.family(&f::ACCOUNT_INFO, |account, snapshot, out| {
        out.put([account, &snapshot.account.id], ONE);
    });
    page.family(&f::UP, |account, snapshot, out| {
        if let Some(up) = snapshot.up {
            out.put([account], u64::from(up));
        }
    });
    page.family(&f::LAST_SUCCESS, |account, snapshot, out| {
        for (endpoint, date) in &snapshot.last_success {
            out.put([account, endpoint.as_str()], *date);
        }
    });
    page.family(&f::REJECTED_ROWS, |account, snapshot, out| {
        for endpoint in Resource::with_rows() {
            let rows = snapshot.rejected_rows.get(&endpoint).copied().unwrap_or(0);
            out.put([account, endpoint.as_str()], rows);
        }
    });
}

fn users(page: &mut Page<'_>) {
    page.users(&f::USERS, |account, users, out| {
        by_level(&users.count, |level, count| out.put([account, level], *count));
    });
    page.users(&f::REPORTED_EVENTS, |account, users, out| {
        by_level(&users.reported_events, |level, count| {
            out.put([account, level], *count);
        });
    });
    page.users(&f::OLDEST_USER, |account, users, out| {
        by_level(&users.oldest, |level, since| {
            if let Some(since) = since {
                out.put([account, level], *since);
            }
        });
    });
}

fn totals(page: &mut Page<'_>) {
    page.family(&f::COUNTING_SINCE, |account, snapshot, out| {
        if let Some(since) = snapshot.counting_since {
            out.put([account], since);
        }
    });
    page.totals(&f::EVENTS, |account, totals, out| {
        for (behavior, counts) in &totals.events {
            by_level(counts, |level, count| {
                out.put([account, behavior, level], *count);
            });
        }
    });
    page.totals(&f::BEHAVIOR_USERS, |account, totals, out| {
        for (behavior, count) in &totals.behavior_users {
            out.put([account, behavior], *count);
        }
    });
    page.totals(&f::LEVEL_CHANGES, |account, totals, out| {
        for (from, counts) in STANDINGS.into_iter().zip(totals.level_changes) {
            for (to, count) in STANDINGS.into_iter().zip(counts) {
                if from != to {
                    out.put([account, from, to], count);
                }
            }
        }
    });
    page.totals(&f::RESETS, |account, totals, out| {
        out.put([account], totals.resets);
    });
    page.totals(&f::TIME_TO_RESET, |account, totals, out| {
        by_level(&totals.time_to_reset, |level, times| {
            out.put_histogram([account, level], times);
        });
    });
    page.totals(&f::EVENTS_UNATTRIBUTED, |account, totals, out| {
        for (reason, count) in &totals.unattributed {
            out.put([account, reason], *count);
        }
    });
    page.totals(&f::EVENT_OBSERVATION_DELAY, |account, totals, out| {
        out.put_histogram([account], &totals.observation_delay);
    });
}

fn pending(page: &mut Page<'_>) {
    page.users(&f::PENDING_USERS, |account, users, out| {
        out.put([account], users.pending);
    });
    page.users(&f::OLDEST_PENDING, |account, users, out| {
        if let Some(since) = users.oldest_pending {
            out.put([account], since);
        }
    });
}

fn series(page: &mut Page<'_>) {
    page.user(&f::USER_REPORTED_EVENTS, |user| Some(u64::from(user.reported_events).into()));
    page.user(&f::USER_MAX_RISK_LEVEL, |user| Some(as_number(user.level)));
    page.user(&f::USER_SINCE, |user| Some(user.since.into()));
    page.user(&f::USER_LAST_EVENT, |user| Some(user.last_event.into()));
    page.user(&f::USER_LAST_RESET, |user| user.last_reset.map(Number::from));
    page.users(&f::USER_INFO, |account, users, out| {
        for user in &users.series {
            if let Some(who) = &user.identity {
                out.put([account, &user.label, &who.email, &who.name], ONE);
            }
        }
    });
    page.users(&f::USERS_OMITTED, |account, users, out| {
        out.put([account], users.omitted);
    });
}

fn behaviors(page: &mut Page<'_>) {
    page.behaviors(&f::BEHAVIOR_ENABLED, |account, behavior, out| {
        out.put([account, &behavior.label], u64::from(behavior.enabled));
    });
    page.behaviors(&f::BEHAVIOR_RISK_LEVEL, |account, behavior, out| {
        out.put([account, &behavior.label], as_number(behavior.level));
    });
    page.behaviors(&f::BEHAVIOR_INFO, |account, behavior, out| {
        out.put([account, &behavior.label, &behavior.name], ONE);
    });
}

fn integrations(page: &mut Page<'_>) {
    page.integrations(&f::INTEGRATION_ACTIVE, |account, id, integration, out| {
        out.put([account, id, &integration.kind], u64::from(integration.active));
    });
    page.integrations(&f::INTEGRATION_INFO, |account, id, integration, out| {
        out.put([account, id, &integration.reference_id, &integration.tenant_url], ONE);
    });
}

impl Page<'_> {
    fn family<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &Snapshot, &mut Samples<'_, N>),
    ) {
        let mut out = self.writer.family(family);
        for snapshot in self.snapshots {
            samples(&snapshot.account.alias, snapshot, &mut out);
        }
    }

    fn users<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &Users, &mut Samples<'_, N>),
    ) {
        self.family(family, |account, snapshot, out| {
            if let Some(users) = &snapshot.users {
                samples(account, users, out);
            }
        });
    }

    fn user(&mut self, family: &Family<2>, value: impl Fn(&UserSeries) -> Option<Number>) {
        self.users(family, |account, users, out| {
            for user in &users.series {
                if let Some(value) = value(user) {
                    out.put([account, &user.label], value);
                }
            }
        });
    }

    fn totals<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &EventTotals, &mut Samples<'_, N>),
    ) {
        self.family(family, |account, snapshot, out| {
            if snapshot.totals.started {
                samples(account, &snapshot.totals, out);
            }
        });
    }

    fn behaviors<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &BehaviorStatus, &mut Samples<'_, N>),
    ) {
        self.family(family, |account, snapshot, out| {
            for behavior in snapshot.behaviors.iter().flatten() {
                samples(account, behavior, out);
            }
        });
    }

    fn integrations<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &str, &Integration, &mut Samples<'_, N>),
    ) {
        self.family(family, |account, snapshot, out| {
            for integration in snapshot.integrations.iter().flatten() {
                samples(account, &integration.id.to_string(), integration, out);
            }
        });
    }
}

/// Goes through the levels with their words, [`Level::Unknown`] included: it is a known label value too.
fn by_level<T>(values: &PerLevel<T>, mut each: impl FnMut(&'static str, &T)) {
    for (level, value) in Level::ALL.into_iter().zip(values) {
        each(level.as_str(), value);
    }
}

/// 0 unknown, 1 low, 2 medium, 3 high.
fn as_number(level: Level) -> Number {
    Number::Whole(level as u64)
}
