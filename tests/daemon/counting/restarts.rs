//! What a process knows that continues from the saved rows of another one.

use std::collections::BTreeMap;

use zt_risk_exporter::internals::collector::persist::{Now, Saved};
use zt_risk_exporter::internals::store::row::Table;

use super::*;

impl Upstream {
    /// Another process continues with what this one saved.
    fn restart(&mut self) {
        let now = Now { instant: self.moment(), date: self.date() };
        let mut rows = BTreeMap::new();
        self.account.save_everything();
        let saved = self.account.changes(now).each(|put| {
            rows.insert((put.table, put.key.to_vec()), put.value.map(<[u8]>::to_vec));
            Ok::<(), ()>(())
        });
        saved.expect("memory takes every row");
        let mut saved = Saved::default();
        for ((table, key), value) in &rows {
            let value = value.as_ref().expect("rows of everything have values");
            saved.add(*table, key, value).expect("the row was just written");
        }
        assert!(rows.keys().any(|(table, _)| *table == Table::Users));
        self.account = Account::restore(settings(), saved, now).expect("the rows agree");
    }
}

#[test]
fn a_level_that_is_not_documented_is_no_change_after_a_restart() {
    let mut upstream = Upstream::untouched();
    for user in 1..=5 {
        upstream.listed.insert(user, fingerprint(1, -100, Level::Unrecognized));
        upstream.risks.insert(user, risk(vec![event("old", -100)]));
    }
    upstream.listed.insert(6, fingerprint(1, -50, Level::High));
    upstream.behaviors.rows[0].level = Level::Unrecognized;
    upstream.pass(400);
    let before = upstream.snapshot();
    let ranked = |snapshot: &Snapshot| {
        let users = snapshot.users.clone().expect("a list was read");
        users.series.iter().map(|user| (user.id.as_u128(), user.level)).collect::<Vec<_>>()
    };
    assert_eq!(ranked(&before).last(), Some(&(6, Level::High)), "they rank on top");

    upstream.restart();
    assert_eq!(ranked(&upstream.snapshot()), ranked(&before));
    assert_eq!(upstream.snapshot().behaviors, before.behaviors);
    upstream.requested.clear();
    upstream.pass(60);
    assert_eq!((upstream.requested.len(), upstream.pending()), (0, 0), "no user changed");
    assert_eq!(upstream.moves(), []);
}

#[test]
fn a_count_that_was_never_said_is_unknown_after_a_restart_too() {
    let mut upstream = Upstream::untouched();
    let unsaid = RowFingerprint {
        count: zt_risk_exporter::model::EventCount::UNKNOWN,
        ..fingerprint(50, -100, Level::High)
    };
    upstream.listed.insert(1, unsaid);
    upstream.risks.insert(1, risk(vec![event("old", -100)]));
    upstream.pass(60);
    upstream.restart();
    upstream.listed.insert(1, fingerprint(50, -100, Level::High));
    upstream.pass(4_000);
    assert_eq!((upstream.lost(), upstream.pending()), (vec![], 0));
}
