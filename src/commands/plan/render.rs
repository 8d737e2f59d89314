//! A plan as tables for people, as JSON, and as CSV.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Aim, AllAccounts, Goal, Latency, Plan, Verdict};
use crate::app::logging::Colour;
use crate::clock::duration;
use crate::cloudflare::limit::WINDOW;
use crate::commands::terminal;
use crate::commands::terminal::sheet::{Output, csv, json as json_text};
use crate::commands::terminal::table::{Cell, Column, Extent, Tone, table};
use crate::commands::terminal::wrap::wrapped;

/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// The plan in this format. The lines of tables and prose are at most `width` columns wide.
pub(super) fn render(plan: &Plan, output: Output, colour: Colour, width: Option<usize>) -> String {
    match output {
        Output::Table | Output::Wide => tables(plan, output.extent(width), colour, width),
        Output::Json => json_text(&document(plan)),
        Output::Csv => {
            let mut rows = Vec::new();
            flatten("", &document(plan), &mut rows);
            csv(["name", "value"], &rows)
        }
    }
}

/// Two tables with a summary of each.
fn tables(plan: &Plan, extent: Extent, colour: Colour, width: Option<usize>) -> String {
    const REQUESTS: &[Column] = &[
        Column::new("REQUESTS FOR"),
        Column::new("EVERY"),
        Column::new("IN 5 MINUTES").right(),
        Column::new("AT MOST").right(),
    ];
    const GOALS: &[Column] = &[
        Column::new("GOAL"),
        Column::new("RESULT"),
        Column::new("NOW").right(),
        Column::new("UP TO"),
        Column::new("SHARE").right(),
        Column::new("INTERVAL"),
    ];
    let load = &plan.load;
    let head = format!(
        "{} in {}; {} in 5 minutes ({}); budget: {} in 5 minutes",
        counted(load.users as f64, "user"),
        counted(load.pages.into(), "request"),
        counted(load.changes, "change"),
        load.basis.as_str(),
        counted(plan.budget.into(), "request"),
    );
    let all = load.all.filter(|all| all.accounts > 1).map(|all| {
        let AllAccounts { accounts, credentials, budget } = all;
        let [accounts, credentials] = [(accounts, "account"), (credentials, "credential")]
            .map(|(number, noun)| terminal::counted(number, noun));
        format!("\n{accounts} with {credentials}: at most {budget} requests in 5 minutes together")
    });
    let head = head + &all.unwrap_or_default();
    let requests = plan.requests.iter().map(|row| {
        let every = row.interval.map_or_else(|| "on change".to_owned(), rounded);
        vec![row.kind.as_str().into(), every.into(), number(row.expected).into(), number(row.most).into()]
    });
    let goals = plan.goals.iter().map(|goal| {
        vec![
            meaning(plan, goal.aim).into(),
            Cell::toned(goal.verdict.as_str(), tone(goal.verdict)),
            number(goal.now).into(),
            counted(goal.up_to.floor(), goal.aim.noun()).into(),
            proposed(goal, goal.share.map(|share| format!("{share:.2}"))).into(),
            proposed(goal, goal.interval.map(rounded)).into(),
        ]
    });
    let (requests, goals): (Vec<Vec<Cell>>, Vec<Vec<Cell>>) = (requests.collect(), goals.collect());
    format!(
        "{}\n\n{}\n{}\n\n{}",
        wrapped(&head, width),
        table(REQUESTS, &requests, extent, colour),
        wrapped(&format!("{}\n{}", latency(plan), feed(plan)), width),
        table(GOALS, &goals, extent, colour),
    )
}

const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Holds => Tone::Good,
        Verdict::Tight => Tone::Caution,
        Verdict::Breaks => Tone::Bad,
    }
}

/// One JSON object, with times in seconds and rates per five minutes.
fn document(plan: &Plan) -> Value {
    let load = &plan.load;
    let requests = plan.requests.iter().map(|row| {
        let row_of = json!({
            "interval_seconds": row.interval.map(seconds),
            "expected": tidy(row.expected),
            "most": tidy(row.most),
        });
        (row.kind.as_str().to_owned(), row_of)
    });
    let goals = plan.goals.iter().map(|goal| {
        let row_of = json!({
            "verdict": goal.verdict.as_str(),
            "unit": goal.aim.unit(),
            "now": tidy(goal.now),
            "up_to": tidy(goal.up_to.floor()),
            "budget_share": goal.share,
            "interval_seconds": goal.interval.map(seconds),
        });
        (goal.aim.as_str().to_owned(), row_of)
    });
    json!({
        "users": load.users,
        "changes_in_5m": tidy(load.changes),
        "changes_basis": load.basis.as_str(),
        "budget_share": load.budget_share,
        "budget_in_5m": plan.budget,
        "accounts": load.all.map(|all| all.accounts),
        "credentials": load.all.map(|all| all.credentials),
        "budget_of_all_in_5m": load.all.map(|all| all.budget),
        "summary_requests": load.pages,
        "summary_interval_seconds": seconds(plan.summary_interval),
        "summary_reading_seconds": seconds(plan.reading),
        "audit_round_seconds": seconds(plan.audit_round),
        "latency_seconds": plan.latency.map(|Latency { median, p99, bound }| json!({
            "median": seconds(median),
            "p99": seconds(p99),
            "bound": seconds(bound),
        })),
        "feed_records_per_day": {"least": tidy(records(plan)), "most": tidy(2.0 * records(plan))},
        "requests_in_5m": Value::Object(requests.collect()),
        "goals": Value::Object(goals.collect()),
    })
}

/// One row for each number, with its path in the object as its name.
fn flatten(name: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    let Value::Object(fields) = value else {
        let text = match value {
            Value::Null => String::new(),
            Value::String(word) => word.clone(),
            other => other.to_string(),
        };
        rows.push(vec![name.to_owned(), text]);
        return;
    };
    for (field, value) in fields {
        let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
        flatten(&name, value, rows);
    }
}

fn latency(plan: &Plan) -> String {
    let audit = format!("every user is read again within {}", rounded(plan.audit_round));
    let Some(Latency { median, p99, bound }) = plan.latency else {
        return format!("more users change than can be read, so the queue only grows\n{audit}");
    };
    let verdict = plan.goals.iter().find(|goal| goal.aim == Aim::Changes).map(|goal| goal.verdict);
    let doubt = if verdict == Some(Verdict::Tight) { "; so close to the limit it may be longer" } else { "" };
    format!(
        "a change is counted after {} (median), {} (99th percentile), {} (worst case){doubt}\n{audit}",
        rounded(median),
        rounded(p99),
        rounded(bound)
    )
}

/// The records of a day in the feed, if each change is one event. It is one record, and the change of a level another.
fn records(plan: &Plan) -> f64 {
    plan.load.changes * (DAY / WINDOW.as_secs_f64())
}

fn feed(plan: &Plan) -> String {
    let (least, most) = (number(records(plan)), counted(2.0 * records(plan), "record"));
    format!("the feed has {least} to {most} in a day, if each change is one event")
}

fn meaning(plan: &Plan, aim: Aim) -> String {
    let intervals = &plan.load.intervals;
    match aim {
        Aim::SummaryInterval => format!("read the list every {}", duration::spell(intervals.summary)),
        Aim::Changes => "read all changed users".to_owned(),
        Aim::AuditInterval => format!("audit all users every {}", duration::spell(intervals.audit)),
    }
}

fn proposed(goal: &Goal, proposal: Option<String>) -> String {
    let nothing = if goal.verdict == Verdict::Holds { "" } else { "none" };
    proposal.unwrap_or_else(|| nothing.to_owned())
}

/// A duration rounded up for reading: to seconds up to ten minutes, to minutes up to ten hours, then to hours.
fn rounded(span: Duration) -> String {
    let whole = span.as_secs_f64().ceil() as u64;
    let unit = match whole {
        ..=600 => 1,
        601..=36_000 => 60,
        _ => 3_600,
    };
    duration::spell(Duration::from_secs(whole.div_ceil(unit) * unit))
}

/// A number below 10 with one decimal, others without.
fn number(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn counted(value: f64, noun: &str) -> String {
    terminal::counted(number(value), noun)
}

/// A number with three decimals.
fn tidy(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn seconds(span: Duration) -> f64 {
    tidy(span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up_for_reading() {
        let table = [
            (0.2, "1s"),
            (15.1, "16s"),
            (600.0, "10m"),
            (601.0, "11m"),
            (5_494.0, "1h32m"),
            (36_001.0, "11h"),
            (2.1e6, "24d8h"),
        ];
        for (span, text) in table {
            assert_eq!(rounded(Duration::from_secs_f64(span)), text, "{span}");
        }
    }
}
