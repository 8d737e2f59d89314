//! Fills the metric families from the accounts' snapshots.
//!
//! A metric is missing as long as the snapshot has `None` for it. After that it has a sample for every known label value,
//! 0 included: PromQL sees no increase in a counter whose first sample is 1.

use std::sync::Arc;

use super::account_rows::{AccountRows, account_rows};
use super::encode::{FamilyWriter, Number, Writer};
use super::families::cloudflare as f;
use super::family::Family;
use super::label_text::label_text;
use crate::clock::Timestamp;
use crate::model::{
    Drift, DriftSetting, EventTotals, Level, PerLevel, Resource, Snapshot, UserSeries, Users,
};

/// The value of an `_info` sample.
const ONE: u64 = 1;

/// The labels `from` and `to`, in the order of [`crate::model::LevelChanges`].
const LEVELS_AND_NONE: [&str; 4] = ["none", "low", "medium", "high"];

/// Writes every family that has samples, each for all accounts, because a family may occur only once.
pub(super) fn write(writer: &mut Writer, snapshots: &[Arc<Snapshot>]) {
    let out = &mut Families { writer, accounts: &account_rows(snapshots) };
    accounts(out);
    users(out);
    totals(out);
    pending(out);
    user_series(out);
    behaviors(out);
    drift(out);
    integrations(out);
}

struct Families<'a> {
    writer: &'a mut Writer,
    accounts: &'a [AccountRows<'a>],
}

fn accounts(families: &mut Families<'_>) {
    families.family(&f::ACCOUNT_INFO, |account, snapshot, out| {
        out.put([account, &snapshot.account.id], ONE);
    });
    families.family(&f::UP, |account, snapshot, out| {
        if let Some(up) = snapshot.up {
            out.put([account], u64::from(up));
        }
    });
    families.family(&f::LAST_SUCCESS, |account, snapshot, out| {
        for (resource, date) in &snapshot.last_success {
            out.put([account, resource.as_str()], *date);
        }
    });
    families.family(&f::REJECTED_ROWS, |account, snapshot, out| {
        for resource in Resource::with_rows() {
            let rows = snapshot.rejected_rows.get(&resource).copied().unwrap_or(0);
            out.put([account, resource.as_str()], rows);
        }
    });
    families.family(&f::UNEXPECTED_FIELDS, |account, snapshot, out| {
        for resource in Resource::with_rows() {
            for field in resource.checked_fields() {
                let times = snapshot.unexpected_fields.get(&(resource, *field)).copied().unwrap_or(0);
                out.put([account, resource.as_str(), field], times);
            }
        }
    });
}

fn users(families: &mut Families<'_>) {
    families.users(&f::USERS, |account, users, out| {
        by_level(&users.count, |level, count| out.put([account, level], *count));
    });
    families.users(&f::REPORTED_EVENTS, |account, users, out| {
        by_level(&users.reported_events, |level, count| {
            out.put([account, level], *count);
        });
    });
    families.users(&f::OLDEST_USER, |account, users, out| {
        by_level(&users.oldest, |level, since| {
            if let Some(since) = since {
                out.put([account, level], *since);
            }
        });
    });
}

fn totals(families: &mut Families<'_>) {
    families.family(&f::COUNTING_SINCE, |account, snapshot, out| {
        if let Some(since) = snapshot.counting_since {
            out.put([account], since);
        }
    });
    families.rows(&f::EVENTS, |account, out| {
        for (behavior, counts) in account.events() {
            by_level(&counts, |level, count| {
                out.put([account.alias, &behavior, level], *count);
            });
        }
    });
    families.rows(&f::BEHAVIOR_USERS, |account, out| {
        for (behavior, count) in account.behavior_users() {
            out.put([account.alias, &behavior], count);
        }
    });
    families.totals(&f::LEVEL_CHANGES, |account, totals, out| {
        for (from, counts) in LEVELS_AND_NONE.into_iter().zip(totals.level_changes) {
            for (to, count) in LEVELS_AND_NONE.into_iter().zip(counts) {
                if from != to {
                    out.put([account, from, to], count);
                }
            }
        }
    });
    families.totals(&f::RESETS, |account, totals, out| {
        out.put([account], totals.resets);
    });
    families.totals(&f::TIME_TO_RESET, |account, totals, out| {
        by_level(&totals.time_to_reset, |level, times| {
            out.put_histogram([account, level], times);
        });
    });
    families.totals(&f::EVENTS_UNATTRIBUTED, |account, totals, out| {
        for (reason, count) in &totals.unattributed {
            out.put([account, reason], *count);
        }
    });
    families.totals(&f::EVENT_OBSERVATION_DELAY, |account, totals, out| {
        out.put_histogram([account], &totals.observation_delay);
    });
}

fn pending(families: &mut Families<'_>) {
    families.users(&f::PENDING_USERS, |account, users, out| {
        out.put([account], users.pending);
    });
    families.users(&f::OLDEST_PENDING, |account, users, out| {
        if let Some(since) = users.oldest_pending {
            out.put([account], since);
        }
    });
    families.users(&f::DEPARTED_USERS_SKIPPED, |account, users, out| {
        out.put([account], users.departures_skipped);
    });
}

fn user_series(families: &mut Families<'_>) {
    families.user(&f::USER_REPORTED_EVENTS, |user| user.reported_events.map(|count| u64::from(count).into()));
    families.user(&f::USER_MAX_RISK_LEVEL, |user| Some(as_number(user.level)));
    families.user(&f::USER_SINCE, |user| Some(user.since.into()));
    families.user(&f::USER_LAST_EVENT, |user| {
        (user.last_event != Timestamp::UNKNOWN).then(|| user.last_event.into())
    });
    families.user(&f::USER_LAST_RESET, |user| user.last_reset.map(Number::from));
    families.rows(&f::USER_INFO, |account, out| {
        for user in &account.users {
            if let Some(identity) = &user.identity {
                let (email, name) = (label_text(&identity.email), label_text(&identity.name));
                out.put([account.alias, &user.label, &email, &name], ONE);
            }
        }
    });
    families.users(&f::USERS_OMITTED, |account, users, out| {
        out.put([account], users.omitted);
    });
}

fn behaviors(families: &mut Families<'_>) {
    families.rows(&f::BEHAVIOR_ENABLED, |account, out| {
        for behavior in &account.behaviors {
            if let Some(enabled) = behavior.enabled {
                out.put([account.alias, &behavior.label], u64::from(enabled));
            }
        }
    });
    families.rows(&f::BEHAVIOR_RISK_LEVEL, |account, out| {
        for behavior in &account.behaviors {
            out.put([account.alias, &behavior.label], as_number(behavior.level));
        }
    });
    families.rows(&f::BEHAVIOR_INFO, |account, out| {
        for behavior in &account.behaviors {
            out.put([account.alias, &behavior.label, &behavior.name], ONE);
        }
    });
}

fn drift(families: &mut Families<'_>) {
    families.drift(&f::BEHAVIOR_DRIFTED, |account, drift, out| {
        for behavior in &drift.declared {
            for setting in DriftSetting::ALL {
                if let Some(is_drifted) = behavior.is_drifted(setting) {
                    out.put([account, &behavior.id, setting.as_str()], u64::from(is_drifted));
                }
            }
        }
    });
    families.drift(&f::BEHAVIORS_UNDECLARED, |account, drift, out| {
        out.put([account], drift.undeclared.len() as u64);
    });
}

fn integrations(families: &mut Families<'_>) {
    families.rows(&f::INTEGRATION_ACTIVE, |account, out| {
        for integration in &account.integrations {
            out.put([account.alias, &integration.id, &integration.kind], u64::from(integration.active));
        }
    });
    families.rows(&f::INTEGRATION_INFO, |account, out| {
        for integration in &account.integrations {
            let [reference_id, tenant_url] = [&integration.reference_id, &integration.tenant_url];
            out.put([account.alias, &integration.id, reference_id, tenant_url], ONE);
        }
    });
}

impl Families<'_> {
    fn rows<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&AccountRows<'_>, &mut FamilyWriter<'_, N>),
    ) {
        let mut out = self.writer.family(family);
        for account in self.accounts {
            samples(account, &mut out);
        }
    }

    fn family<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &Snapshot, &mut FamilyWriter<'_, N>),
    ) {
        self.rows(family, |account, out| samples(account.alias, account.snapshot, out));
    }

    fn users<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &Users, &mut FamilyWriter<'_, N>),
    ) {
        self.family(family, |account, snapshot, out| {
            if let Some(users) = &snapshot.users {
                samples(account, users, out);
            }
        });
    }

    fn drift<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &Drift, &mut FamilyWriter<'_, N>),
    ) {
        self.family(family, |account, snapshot, out| {
            if let Some(drift) = &snapshot.drift {
                samples(account, drift, out);
            }
        });
    }

    fn user(&mut self, family: &Family<2>, value: impl Fn(&UserSeries) -> Option<Number>) {
        self.rows(family, |account, out| {
            for user in &account.users {
                if let Some(value) = value(user) {
                    out.put([account.alias, &user.label], value);
                }
            }
        });
    }

    fn totals<const N: usize>(
        &mut self,
        family: &Family<N>,
        samples: impl Fn(&str, &EventTotals, &mut FamilyWriter<'_, N>),
    ) {
        self.family(family, |account, snapshot, out| {
            if snapshot.totals.started {
                samples(account, &snapshot.totals, out);
            }
        });
    }
}

/// Calls `each` with the name and the value of every level, [`Level::Unknown`] included, which is a known label value
/// too.
fn by_level<T>(values: &PerLevel<T>, mut each: impl FnMut(&'static str, &T)) {
    for (level, value) in Level::ALL.into_iter().zip(values) {
        each(level.as_str(), value);
    }
}

/// The value of a sample: 0 unknown, 1 low, 2 medium, 3 high.
fn as_number(level: Level) -> Number {
    Number::Whole(level.index() as u64)
}
