//! The cost of applying a decoded summary: comparing it with the known users and updating those that changed.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use zt_risk_exporter::clock::{Instant, Timestamp};
use zt_risk_exporter::internals::collector::account::{Account, Settings};
use zt_risk_exporter::internals::collector::user_label::UserLabel;
use zt_risk_exporter::internals::model::resource::Intervals;
use zt_risk_exporter::model::{
    AccountName, Completeness, Level, OddFields, Row, RowFingerprint, Summary, UserId,
};

fn account() -> Account {
    let intervals = Intervals {
        summary: Duration::from_secs(30),
        behaviors: Duration::from_secs(300),
        integrations: Duration::from_secs(300),
        audit: Duration::from_secs(21_600),
    };
    Account::new(Settings {
        name: AccountName { alias: "bench".to_owned(), id: "0".repeat(32) },
        intervals,
        budget: 300,
        user_limit: 100,
        user_label: UserLabel::Id,
        baseline: None,
        secret: [0; 16],
        seed: 0,
    })
}

/// A list of `users` rows. Every `changed`th user has one event more than in the first list.
fn summary(users: u32, changed: Option<u32>) -> Summary {
    let rows = (0..users).map(|n| {
        // Ids are spread out like real ones, and sorted like those from the client.
        let user = UserId::from_u128(u128::from(n) << 96 | u128::from(n.wrapping_mul(2_654_435_761)));
        let more = changed.is_some_and(|every| n % every == 0);
        let last_event = Timestamp::from_seconds(1_700_000_000 + i64::from(n % 86_400) + i64::from(more));
        let level = [Level::Low, Level::Low, Level::Medium, Level::High][n as usize % 4];
        Row { user, tuple: RowFingerprint { last_event, count: (1 + n % 9 + u32::from(more)).into(), level } }
    });
    Summary {
        rows: rows.collect(),
        unreadable: Vec::new(),
        anonymous: 0,
        odd: OddFields::default(),
        is_null: false,
        completeness: Completeness::Complete,
        date: Some(Timestamp::from_seconds(1_800_000_000)),
        identities: None,
        pages: 1,
    }
}

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    group.sample_size(10);
    for users in [10_000, 1_000_000] {
        group.throughput(Throughput::Elements(u64::from(users)));
        let (first, same, changed) = (summary(users, None), summary(users, None), summary(users, Some(100)));
        let read = |account: &mut Account, summary: &Summary| {
            account.summary_read(summary, Instant::default(), Timestamp::from_seconds(1_800_000_000));
        };
        group.bench_function(format!("first/{users}"), |bencher| {
            bencher.iter_batched_ref(
                account,
                |account| read(account, black_box(&first)),
                BatchSize::PerIteration,
            );
        });
        let known = || {
            let mut account = account();
            read(&mut account, &first);
            account
        };
        for (name, summary) in [("unchanged", &same), ("one_in_100_changed", &changed)] {
            group.bench_function(format!("{name}/{users}"), |bencher| {
                bencher.iter_batched_ref(
                    known,
                    |account| read(account, black_box(summary)),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
