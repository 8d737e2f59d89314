//! The predictions of `plan` against the schedule itself, and the output of the command.

mod world;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::internals::commands::plan::{Aim, Basis, Load, Plan, Verdict};
use zt_risk_exporter::internals::model::resource::Intervals;
use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario, Simulator};

use crate::program::program;

/// An account with the same credential.
const OTHER: &str = "fedcba9876543210fedcba9876543210";

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn load(users: u64, pages: u32, changes: f64) -> Load {
    let (summary, fives, audit) = (seconds(30), seconds(300), seconds(21_600));
    Load {
        users,
        pages,
        page_size: u32::try_from(users.div_ceil(pages.into())).unwrap(),
        page_time: Duration::from_millis(100),
        user_time: Duration::from_millis(100),
        changes,
        basis: Basis::Given,
        budget_share: 0.25,
        sharing: 1,
        all: None,
        intervals: Intervals { summary, behaviors: fives, integrations: fives, audit },
    }
}

fn up_to(plan: &Plan, aim: Aim) -> f64 {
    plan.goals.iter().find(|goal| goal.aim == aim).unwrap().up_to
}

fn verdict(plan: &Plan, aim: Aim) -> Verdict {
    plan.goals.iter().find(|goal| goal.aim == aim).unwrap().verdict
}

/// The prediction and the measurement, for a share of the changes that can be read.
fn planned_and_seen(users: u64, pages: u32, budget_share: f64, part: f64) -> (Plan, world::Seen) {
    let load = |changes| Load { budget_share, ..load(users, pages, changes) };
    let carries = up_to(&Plan::of(load(1.0)), Aim::Changes);
    let plan = Plan::of(load(carries * part));
    assert_eq!(verdict(&plan, Aim::Changes), Verdict::Holds);
    let seen = world::watch(&plan.load, plan.budget);
    (plan, seen)
}

/// The predicted times beside the measured ones.
fn times(plan: &Plan, seen: &world::Seen) -> [(&'static str, f64, f64); 3] {
    let latency = plan.latency.unwrap();
    let cycle = plan.summary_interval.mul_f64(1.05) + plan.reading;
    [
        ("median", latency.median.as_secs_f64(), seen.median),
        ("p99", latency.p99.as_secs_f64(), seen.p99),
        ("cycle", cycle.as_secs_f64(), seen.cycle),
    ]
}

#[test]
fn the_formula_is_within_15_percent_of_the_schedule_at_work() {
    // Users, requests that the list takes, share of the budget.
    let sizes = [
        (1_000, 1, 0.25),
        (5_000, 5, 0.25),
        (20_000, 20, 0.25),
        (20_000, 20, 0.1),
        (100_000, 100, 0.25),
        (100_000, 100, 1.0),
        (1_000_000, 100, 0.25),
        (1_000_000, 1_000, 0.25),
    ];
    let mut wrong = Vec::new();
    for (users, pages, share) in sizes {
        for part in [0.02, 0.3, 0.7] {
            let (plan, seen) = planned_and_seen(users, pages, share, part);
            let changes = plan.requests.iter().find(|row| row.kind.as_str() == "user_changes").unwrap();
            let others = [
                ("audit round", plan.audit_round.as_secs_f64(), seen.audit_round, 0.15),
                // With few changes the results vary by chance.
                ("changes read", changes.expected, seen.changes, if part < 0.1 { 0.3 } else { 0.15 }),
            ];
            let times = times(&plan, &seen).map(|(what, said, seen)| (what, said, seen, 0.15));
            for (what, said, seen, within) in times.into_iter().chain(others) {
                if (said / seen - 1.0).abs() > within {
                    let case = format!("{users} users in {pages} requests, {share}, {part}");
                    wrong.push(format!("{case}: {what} is {seen:.0}, not {said:.0}"));
                }
            }
            let bound = plan.latency.unwrap().bound;
            if seen.worst > bound.as_secs_f64() {
                wrong.push(format!(
                    "{users} users in {pages} requests, {share}, {part}: {:.0} is beyond {bound:?}",
                    seen.worst
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn with_a_list_of_most_of_a_window_the_times_hold_and_the_worst_is_close() {
    for part in [0.3, 0.7] {
        let (plan, seen) = planned_and_seen(1_000_000, 1_000, 1.0, part);
        for (what, said, seen) in times(&plan, &seen) {
            assert!((said / seen - 1.0).abs() <= 0.15, "{part}: {what} is {seen:.0}, not {said:.0}");
        }
        let bound = plan.latency.unwrap().bound.as_secs_f64();
        assert!(seen.worst <= 1.2 * bound, "{part}: {:.0} is beyond {bound:.0}", seen.worst);
    }
}

#[test]
fn the_queue_grows_without_bound_exactly_where_the_plan_says_so() {
    for (users, pages) in [(5_000, 5), (100_000, 100), (1_000_000, 1_000)] {
        let carries = up_to(&Plan::of(load(users, pages, 1.0)), Aim::Changes);
        for (part, wanted) in [(0.7, Verdict::Holds), (0.95, Verdict::Tight), (1.3, Verdict::Breaks)] {
            let load = load(users, pages, carries * part);
            let plan = Plan::of(load);
            assert_eq!(
                (verdict(&plan, Aim::Changes), plan.latency.is_none()),
                (wanted, part > 1.0),
                "{part}"
            );
            let seen = world::watch(&load, plan.budget);
            // What a cycle brings waits now and then; that of several only where it is never caught up with.
            let of_a_cycle = load.changes * seen.cycle / 300.0;
            if wanted != Verdict::Tight {
                assert_eq!(
                    seen.waiting as f64 > 3.0 * of_a_cycle,
                    wanted == Verdict::Breaks,
                    "{users} {part}: {seen:?}"
                );
            }
        }
    }
}

#[test]
fn the_figures_of_the_manual_are_reproduced() {
    // With the defaults and a list in one request that is 259 and 28 requests; 200 s for a list of 100.
    for (pages, interval, changes, audits) in
        [(1, 30, 259.0, 28.0), (16, 32, 133.0, 14.0), (100, 200, 133.0, 14.0)]
    {
        let plan = Plan::of(load(1_000, pages, 1.0));
        let most = |kind: &str| plan.requests.iter().find(|row| row.kind.as_str() == kind).unwrap().most;
        assert_eq!((plan.budget, plan.summary_interval), (300, seconds(interval)), "{pages}");
        assert_eq!((most("user_changes"), most("user_audit")), (changes, audits), "{pages}");
    }
}

#[test]
fn the_proposed_share_suffices_and_a_hundredth_less_does_not() {
    for (users, pages, changes) in
        [(20_000, 20, 10.0), (100_000, 100, 300.0), (5_000, 5, 210.0), (1_000, 1, 20.0)]
    {
        let load = load(users, pages, changes);
        for goal in Plan::of(load).goals {
            let then = |load: Load| verdict(&Plan::of(load), goal.aim);
            if goal.verdict == Verdict::Holds {
                assert_eq!((goal.share, goal.interval), (None, None));
            }
            if let Some(share) = goal.share {
                assert_eq!(then(Load { budget_share: share, ..load }), Verdict::Holds, "{goal:?}");
                assert_ne!(then(Load { budget_share: share - 0.01, ..load }), Verdict::Holds, "{goal:?}");
            }
            if let Some(interval) = goal.interval {
                let mut intervals = load.intervals;
                match goal.aim {
                    Aim::AuditInterval => intervals.audit = interval,
                    Aim::SummaryInterval | Aim::Changes => intervals.summary = interval,
                }
                assert_eq!(then(Load { intervals, ..load }), Verdict::Holds, "{goal:?}");
            }
        }
    }
}

#[test]
fn a_goal_holds_up_to_the_limit_and_fails_beyond_it() {
    let plan = Plan::of(load(10_000, 10, 1.0));
    // 15 pages of 1,000 users in half of 300 requests every 30 s.
    assert_eq!(up_to(&plan, Aim::SummaryInterval), 15_000.0);
    for (pages, wanted) in [(15, Verdict::Holds), (16, Verdict::Breaks)] {
        let plan = Plan::of(load(u64::from(pages) * 1_000, pages, 1.0));
        assert_eq!(verdict(&plan, Aim::SummaryInterval), wanted, "{pages}");
    }
    // 28 requests in five minutes are 2,016 in six hours.
    for (users, wanted) in [(2_016, Verdict::Holds), (2_017, Verdict::Breaks)] {
        let plan = Plan::of(load(users, 1, 1.0));
        assert_eq!((verdict(&plan, Aim::AuditInterval), up_to(&plan, Aim::AuditInterval)), (wanted, 2_016.0));
    }
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = program().envs(variables.iter().copied()).arg("plan").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn numbers_are_planned_without_an_account() {
    let (code, json, errors) = run(&["--users", "100000", "--output", "json"], &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["summary_interval_seconds"], 200.0);
    assert_eq!(plan["changes_basis"], "assumed");
    assert_eq!(plan["goals"]["summary_interval"]["verdict"], "breaks");
    let (_, csv, _) = run(&["--users", "100000", "--output", "csv"], &[]);
    assert!(csv.starts_with("name,value\n") && csv.contains("\nsummary_interval_seconds,200.0\n"), "{csv}");
    let (_, table, _) = run(&["--users", "100000", "--changes", "1000"], &[]);
    for part in ["100000 users in 100 requests", "(given)", "\nsummary ", "only grows", "breaks"] {
        assert!(table.contains(part), "{part} in {table}");
    }
}

#[test]
fn with_the_smallest_budget_a_single_change_waits_only_for_the_list() {
    let (code, json, _) =
        run(&["--users", "1", "--changes", "0", "--budget-share", "0.01", "--output", "json"], &[]);
    let plan: Value = serde_json::from_str(&json).unwrap();
    // One list in 300 s / (12 / 2), by a tenth longer at most.
    assert_eq!((code, &plan["summary_interval_seconds"]), (Some(0), &50.0.into()));
    assert!(plan["latency_seconds"]["p99"].as_f64() < Some(56.0), "{json}");
}

#[test]
fn flags_take_precedence_over_the_environment_and_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "intervals: { summary: 2m, behaviors: 10m }\n").unwrap();
    let path = file.path().to_str().unwrap();
    let variables = [("ZT_RISK_EXPORTER__INTERVALS__BEHAVIORS", "20m")];
    let flags =
        ["--users", "10", "--config.file", path, "--output", "json", "--integrations-interval", "30m"];
    let (code, json, errors) = run(&flags, &variables);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let plan: Value = serde_json::from_str(&json).unwrap();
    let interval = |kind: &str| plan["requests_in_5m"][kind]["interval_seconds"].as_f64();
    let intervals = ["summary", "behaviors", "integrations"].map(interval);
    assert_eq!(intervals, [Some(120.0), Some(1_200.0), Some(1_800.0)]);
}

#[test]
fn an_invalid_command_line_exits_with_2() {
    let table: [&[&str]; 8] = [
        &["--users", "1000000", "--page-size", "99"],
        &["--users", "1", "--account", "acme"],
        &["--page-size", "100"],
        &["--users", "1", "--page-size", "0"],
        &["--users", "1", "--budget-share", "1.5"],
        &["--users", "1", "--summary-interval", "30"],
        &["--users", "1", "--audit-interval", "10s"],
        &["--users", "1", "--changes", "-1"],
    ];
    for arguments in table {
        let (code, output, errors) = run(arguments, &[]);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{arguments:?}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_an_account_is_requested_once() {
    let simulator = Simulator::start(Scenario::generated(2_500, 1), Clock::system()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = configured(&folder, &simulator);
    let path = path.to_str().unwrap().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let refused = [vec![], vec!["--account", "nobody"]];
        let refused = refused.map(|flags| run(&[vec!["--config.file", &path], flags].concat(), &[]));
        (run(&["--config.file", &path, "--account", "acme", "--output", "json"], &[]), refused)
    });
    let ((code, json, errors), refused) = asked.await.unwrap();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&plan["users"], &plan["summary_requests"]), (&2_500.into(), &1.into()));
    // Half of 1,200 requests, shared with the other account.
    assert_eq!((&plan["budget_in_5m"], &plan["changes_basis"]), (&300.into(), &"measured".into()));
    let all = ["accounts", "credentials", "budget_of_all_in_5m"].map(|name| plan[name].as_u64());
    assert_eq!(all, [2, 1, 600].map(Some));
    for (code, _, errors) in refused {
        assert_eq!((code, errors.contains(": acme, subsidiary")), (Some(2), true), "{errors}");
    }
    let requests = simulator.ground_truth().requests;
    assert_eq!(requests.len(), 1, "{requests:?}");
}

fn configured(folder: &tempfile::TempDir, simulator: &Simulator) -> PathBuf {
    let path = folder.path().join("zt.yaml");
    let text = format!(
        "accounts:\n\
           - {{ id: {GENERATED_ACCOUNT}, alias: acme, token: {GENERATED_TOKEN}, budget_share: 0.5 }}\n\
           - {{ id: {OTHER}, alias: subsidiary, token: {GENERATED_TOKEN}, budget_share: 0.5 }}\n\
         cloudflare: {{ base_url: \"{}\" }}\n",
        simulator.base_url()
    );
    std::fs::write(&path, text).unwrap();
    path
}
