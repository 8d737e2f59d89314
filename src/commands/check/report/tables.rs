//! The tables of a report.

use std::time::Duration;

use super::{Finding, Subject, Verdict};
use crate::app::logging::Colour;
use crate::cloudflare::without_ray;
use crate::commands::terminal::counted;
use crate::commands::terminal::table::{Cell, Column, Extent, table};
use crate::commands::terminal::wrap::wrapped;
use crate::model::Resource;

/// The tables of several accounts. Those that are well share the last one. Those with the same trouble share a table too, without
/// what works, which may differ.
pub(super) fn brief_tables(tables: &[&[Finding]], colour: Colour, width: Option<usize>) -> Vec<String> {
    let mut groups: Vec<Vec<&[Finding]>> = Vec::new();
    let mut well: Vec<&[Finding]> = Vec::new();
    for &findings in tables {
        let is_account = findings.iter().any(|finding| finding.table().is_some());
        match groups.iter_mut().find(|group| is_account && group.iter().any(|one| is_same(one, findings))) {
            _ if is_account && troubles(findings).next().is_none() => well.push(findings),
            Some(group) => group.push(findings),
            None => groups.push(vec![findings]),
        }
    }
    let shown = |group: &Vec<&[Finding]>| match group.as_slice() {
        [findings] => render_table(&title(findings), *findings, colour, width),
        several => {
            let aliases: Vec<&str> =
                several.iter().filter_map(|findings| findings.first()?.table()).collect();
            let title = format!("{} accounts: {}", aliases.len(), aliases.join(", "));
            let first: Vec<&Finding> = several.iter().take(1).flat_map(|one| troubles(one)).collect();
            render_table(&wrapped(&title, width), first, colour, width)
        }
    };
    let well = (!well.is_empty()).then(|| well_table(&well, colour, width));
    groups.iter().map(shown).chain(well).collect()
}

/// What a person should look at.
fn troubles(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| matches!(finding.verdict, Verdict::Failed | Verdict::Warning))
}

/// Whether two accounts have the same trouble.
fn is_same(one: &[Finding], other: &[Finding]) -> bool {
    let key = |finding: &Finding| {
        let remark = finding.remark.as_deref().map(|remark| without_ray(remark).to_owned());
        (finding.subject, finding.verdict, finding.text.clone(), remark, finding.lacks)
    };
    let are_accounts = [one, other].iter().all(|all| all.iter().any(|finding| finding.table().is_some()));
    are_accounts && troubles(one).map(key).eq(troubles(other).map(key))
}

/// A line for each account that is well, and each remark once.
fn well_table(accounts: &[&[Finding]], colour: Colour, width: Option<usize>) -> String {
    const COLUMNS: &[Column] = &[
        Column::new("ACCOUNT").cut_last(),
        Column::new("RESULT"),
        Column::new("TIME").right(),
        Column::new("ANSWER").cut(),
    ];
    let row = |findings: &&[Finding]| -> Vec<Cell> {
        let account = findings.first().and_then(Finding::table).unwrap_or_default();
        let took: Duration = findings.iter().filter_map(|finding| finding.took).sum();
        let skipped = findings.iter().filter(|finding| finding.verdict == Verdict::Skipped).count();
        let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        let of_users = |finding: &&Finding| finding.subject == Subject::Endpoint(Resource::Summary);
        let users = findings.iter().find(of_users).map_or("", |finding| finding.text.as_str());
        let answer = format!("{}{skipped}: {users}", counted(findings.len(), "check"));
        let result = Cell::toned(Verdict::Passed.as_str(), Verdict::Passed.tone());
        vec![account.into(), result, seconds(took).into(), answer.into()]
    };
    let rows: Vec<Vec<Cell>> = accounts.iter().map(row).collect();
    let all = accounts.iter().flat_map(|findings| findings.iter());
    let title = match accounts.len() {
        1 => "1 account is well".to_owned(),
        several => format!("{several} accounts are well"),
    };
    format!("{title}\n{}{}", table(COLUMNS, &rows, Extent::Fitting(width), colour), below(all, width))
}

/// The title of the table with these findings.
pub(super) fn title(findings: &[Finding]) -> String {
    match findings.first().and_then(Finding::table) {
        Some(account) => format!("account {account}"),
        None => "configuration".to_owned(),
    }
}

/// The findings of one account, or those that need no request.
pub(super) fn render_table<'a>(
    title: &str,
    findings: impl IntoIterator<Item = &'a Finding> + Clone,
    colour: Colour,
    width: Option<usize>,
) -> String {
    const COLUMNS: &[Column] = &[
        Column::new("CHECK"),
        Column::new("RESULT"),
        Column::new("TIME").right(),
        Column::new("ANSWER").wrapped(),
    ];
    let row = |Finding { subject, verdict, text, took, .. }: &Finding| -> Vec<Cell> {
        let took = took.map(seconds).unwrap_or_default();
        let result = Cell::toned(verdict.as_str(), verdict.tone());
        vec![subject.as_str().into(), result, took.into(), text.as_str().into()]
    };
    let rows: Vec<Vec<Cell>> = findings.clone().into_iter().map(row).collect();
    format!("{title}\n{}{}", table(COLUMNS, &rows, Extent::Fitting(width), colour), below(findings, width))
}

fn seconds(took: Duration) -> String {
    format!("{:.2} s", took.as_secs_f64())
}

/// The lines below a table.
fn below<'a>(findings: impl IntoIterator<Item = &'a Finding> + Clone, width: Option<usize>) -> String {
    let mut lines = Vec::new();
    for (subjects, remark) in remarks(findings.clone()) {
        lines.push(format!("{}: {remark}", subjects.join(", ")));
    }
    let mut lacking: Vec<&str> = Vec::new();
    for permission in findings.into_iter().filter_map(|finding| finding.lacks) {
        if !lacking.contains(&permission) {
            lacking.push(permission);
        }
    }
    if !lacking.is_empty() {
        lines.push(format!("add to the token: {}", lacking.join(" and ")));
    }
    lines.iter().map(|line| format!("{}\n", wrapped(line, width))).collect()
}

/// Each remark once, with the checks it is about.
fn remarks<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<(Vec<&'static str>, &'a str)> {
    let mut remarks: Vec<(Vec<&'static str>, &str)> = Vec::new();
    for finding in findings {
        let (subject, Some(remark)) = (finding.subject.as_str(), finding.remark.as_deref()) else {
            continue;
        };
        match remarks.iter_mut().find(|(_, known)| without_ray(known) == without_ray(remark)) {
            Some((subjects, _)) if subjects.contains(&subject) => {}
            Some((subjects, _)) => subjects.push(subject),
            None => remarks.push((vec![subject], remark)),
        }
    }
    remarks
}
