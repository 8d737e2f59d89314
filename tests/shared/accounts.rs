//! Two accounts made by hand: one in which everything occurs that can, one that was never read.

#![allow(dead_code, reason = "every test and bench that includes this uses a part of it")]

use std::collections::BTreeMap;

use zt_risk_exporter::clock::Timestamp;
use zt_risk_exporter::model::{
    AccountName, BehaviorSetting, BehaviorStatus, CurrentSetting, DeclaredBehavior, Drift, EventTotals,
    Histogram, Identity, Integration, Level, Resource, Snapshot, UserSeries, Users,
};

/// An account in which everything occurs that can: all levels, an unknown one, names that need escaping.
pub(crate) fn full() -> Snapshot {
    let mut observation_delay = Histogram::new(&[60.0, 300.0]);
    observation_delay.observe(12.5);
    observation_delay.observe(400.0);
    let mut time_to_reset = [(); 4].map(|()| Histogram::new(&[3_600.0, 86_400.0]));
    time_to_reset[Level::High.index()].observe(3_600.0);
    time_to_reset[Level::High.index()].observe(7_200.0);
    Snapshot {
        account: AccountName {
            alias: "acme \"EU\" \\ north".to_owned(),
            id: "0123456789abcdef0123456789abcdef".to_owned(),
        },
        up: Some(true),
        up_until: None,
        last_success: BTreeMap::from([
            (Resource::Summary, Timestamp::from_millis(1_795_219_200_250)),
            (Resource::User, Timestamp::from_seconds(1_795_219_190)),
            (Resource::Behaviors, Timestamp::from_seconds(1_795_219_100)),
            (Resource::Integrations, Timestamp::from_seconds(1_795_219_101)),
        ]),
        users: Some(Users {
            count: [1, 2, 0, 1],
            reported_events: [4, 5, 0, 4_000_000_000],
            oldest: [
                Some(Timestamp::from_seconds(1_795_000_000)),
                Some(Timestamp::from_millis(1_794_000_000_001)),
                None,
                Some(Timestamp::from_seconds(1_795_219_000)),
            ],
            series: vec![
                UserSeries {
                    id: uuid::Uuid::from_u128(1),
                    label: "00000000-0000-0000-0000-000000000001".to_owned(),
                    reported_events: Some(4_000_000_000),
                    level: Level::High,
                    since: Timestamp::from_seconds(1_795_219_000),
                    last_event: Timestamp::from_millis(1_795_219_199_999),
                    last_reset: Some(Timestamp::from_seconds(1_790_000_000)),
                    identity: Some(Identity {
                        email: "ada@example.com".to_owned(),
                        name: "Ada \"the\nfirst\" Lövelace".to_owned(),
                    }),
                },
                UserSeries {
                    id: uuid::Uuid::from_u128(2),
                    label: "00000000-0000-0000-0000-000000000002".to_owned(),
                    reported_events: Some(0),
                    level: Level::Unknown,
                    since: Timestamp::from_seconds(1_795_000_000),
                    last_event: Timestamp::from_seconds(1_794_999_999),
                    last_reset: None,
                    identity: None,
                },
            ],
            omitted: 2,
            pending: 1,
            oldest_pending: Some(Timestamp::from_seconds(1_795_219_199)),
            departures_skipped: 0,
        }),
        counting_since: Some(Timestamp::from_seconds(1_794_000_000)),
        behaviors: Some(vec![
            BehaviorStatus {
                label: "high_dlp".to_owned(),
                name: "High Number of DLP Policies Triggered".to_owned(),
                enabled: Some(false),
                level: Level::Unknown,
            },
            BehaviorStatus {
                label: "imp_travel".to_owned(),
                name: "Impossible Travel".to_owned(),
                enabled: Some(true),
                level: Level::High,
            },
        ]),
        drift: Some(Drift {
            declared: vec![
                DeclaredBehavior {
                    id: "high_dlp".to_owned(),
                    declared: BehaviorSetting { enabled: true, level: Level::Medium },
                    current: CurrentSetting::Listed { enabled: Some(false), level: Level::Unknown },
                },
                DeclaredBehavior {
                    id: "imp_travel".to_owned(),
                    declared: BehaviorSetting { enabled: true, level: Level::High },
                    current: CurrentSetting::Listed { enabled: Some(true), level: Level::High },
                },
                DeclaredBehavior {
                    id: "malicious_file".to_owned(),
                    declared: BehaviorSetting { enabled: true, level: Level::High },
                    current: CurrentSetting::Missing,
                },
            ],
            undeclared: vec!["sentinel_one".to_owned()],
        }),
        integrations: Some(vec![Integration {
            id: uuid::Uuid::from_u128(0x4cfe_8442_664b_4915_acd4_b39c_d65c_4314),
            kind: "Okta".to_owned(),
            reference_id: "hr".to_owned(),
            tenant_url: "https://example.okta.com".to_owned(),
            well_known_url: "https://ssf.example.com/.well-known/sse-configuration/1".to_owned(),
            active: true,
            created_at: Timestamp::from_seconds(1_742_414_036),
        }]),
        totals: EventTotals {
            started: true,
            events: BTreeMap::from([
                ("high_dlp".to_owned(), [0; 4]),
                ("imp_travel".to_owned(), [1, 0, 2, 30]),
            ]),
            behavior_users: BTreeMap::from([("high_dlp".to_owned(), 0), ("imp_travel".to_owned(), 3)]),
            level_changes: [[0, 1, 2, 3], [4, 0, 5, 6], [7, 8, 0, 9], [10, 11, 12, 0]],
            resets: 2,
            unattributed: BTreeMap::from([("listing_cap", 0), ("unknown_user", 7)]),
            observation_delay,
            time_to_reset,
        },
        rejected_rows: BTreeMap::from([(Resource::Summary, 3)]),
        unexpected_fields: BTreeMap::from([
            ((Resource::Summary, "last_event"), 4),
            ((Resource::User, "timestamp"), 5),
        ]),
    }
}

/// An account of which only the name is known.
pub(crate) fn unread() -> Snapshot {
    Snapshot {
        account: AccountName {
            alias: "branch".to_owned(),
            id: "ffffffffffffffffffffffffffffffff".to_owned(),
        },
        up: None,
        up_until: None,
        last_success: BTreeMap::new(),
        users: None,
        counting_since: None,
        behaviors: None,
        drift: None,
        integrations: None,
        totals: EventTotals::default(),
        rejected_rows: BTreeMap::new(),
        unexpected_fields: BTreeMap::new(),
    }
}

/// `count` accounts with `users` users of their own series each, for measuring; a user takes some 650 bytes.
pub(crate) fn many(count: u32, users: u32) -> Vec<std::sync::Arc<Snapshot>> {
    let account = |number| {
        let mut snapshot = full();
        snapshot.account = AccountName { alias: format!("account-{number}"), id: format!("{number:032x}") };
        if let Some(listed) = &mut snapshot.users {
            let template = listed.series[0].clone();
            let user = |id| UserSeries {
                label: uuid::Uuid::from_u128(id).to_string(),
                identity: None,
                last_event: template.last_event + std::time::Duration::from_millis(id as u64),
                ..template.clone()
            };
            listed.series = (0..u128::from(users)).map(user).collect();
        }
        std::sync::Arc::new(snapshot)
    };
    (0..count).map(account).collect()
}
