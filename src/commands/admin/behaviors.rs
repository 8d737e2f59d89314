//! `behaviors`: lists, compares and changes the behaviors that make a user risky.
//!
//! Cloudflare accepts a change of some behaviors and leaves the others as they are, so only differences are sent. The
//! behaviors are read again right before: if someone else changed them meanwhile, the command stops.

use serde::Serialize;

use super::args::{self, BehaviorsAction, SetBehavior};
use super::baseline::{self, Difference, Stage};
use super::change_log::{Actor, Change, Operation, Outcome, lacks_result, record_accepted, record_failed};
use super::{Failure, Report, listed, unreadable};
use crate::app::logging::Colour;
use crate::cloudflare::UpdatedBehavior;
use crate::collector::behavior_labels::Labels;
use crate::commands::session::Session;
use crate::commands::terminal::confirm::{self, Confirmation};
use crate::commands::terminal::interrupt::Interrupt;
use crate::commands::terminal::sheet::{Output, Sheet, json};
use crate::commands::terminal::table::{Cell, Column};
use crate::commands::terminal::{counted, printable};
use crate::model::{Baseline, Behavior, BehaviorSetting, Drift, Level, Listing};

/// # Errors
/// The behaviors cannot be read, an id does not exist, the change was not confirmed, or it was refused.
pub(super) async fn run(session: &Session, action: &BehaviorsAction) -> Result<Report, Failure> {
    match action {
        BehaviorsAction::List(_) => {
            let found = read(session).await?;
            let remarks = unreadable(found.rejected, "behavior").into_iter().collect();
            Ok(Report::found(list(session, &found.rows)).remarking(remarks))
        }
        BehaviorsAction::Export(_) => {
            let found = read(session).await?;
            let (text, omitted) = baseline::exported(&session.alias, &found.rows);
            let omitted = (!omitted.is_empty()).then(|| {
                let ids = listed(omitted.iter().copied());
                format!("left out, because their settings are not known: {ids}")
            });
            let remarks = unreadable(found.rejected, "behavior").into_iter().chain(omitted).collect();
            Ok(Report::text(text).remarking(remarks))
        }
        BehaviorsAction::Set(set) => {
            let confirmation = set.consent.confirmation()?;
            let found = read(session).await?;
            let setting = setting(set, &found.rows)?;
            let wanted: Baseline = [(set.id.clone(), setting)].into_iter().collect();
            let differences = baseline::differences(&drift(&wanted, &found), &found.rows)?;
            change(session, confirmation, set.common.shared.output, differences, &[]).await
        }
        BehaviorsAction::Diff(diff) => {
            let Compared { differences, undeclared, name } = compare(session, diff).await?;
            let differs = format!("{} from {}", differ(differences.len()), printable(&name));
            let failure = (!differences.is_empty()).then_some(Failure::Differs(differs));
            let sheet = baseline::sheet(&session.alias, &differences, &undeclared, Stage::Found);
            Ok(Report::found(sheet).remarking(remarks(&undeclared)).failing(failure))
        }
        BehaviorsAction::Apply(apply) => {
            let confirmation = apply.consent.confirmation()?;
            let Compared { differences, undeclared, name: _ } = compare(session, &apply.baseline).await?;
            let output = apply.baseline.common.shared.output;
            change(session, confirmation, output, differences, &undeclared).await
        }
    }
}

async fn read(session: &Session) -> Result<Listing<Behavior>, Failure> {
    session.client.behaviors().await.map_err(|error| Failure::request(&error))
}

/// The behaviors beside a baseline.
struct Compared {
    differences: Vec<Difference>,
    /// The ids of the behaviors that the baseline does not have.
    undeclared: Vec<String>,
    /// The file.
    name: String,
}

async fn compare(session: &Session, args: &args::Baseline) -> Result<Compared, Failure> {
    let (wanted, name) = baseline::read(session, args.file.as_deref())?;
    let found = read(session).await?;
    let drift = drift(&wanted, &found);
    Ok(Compared {
        differences: baseline::differences(&drift, &found.rows)?,
        undeclared: drift.undeclared,
        name,
    })
}

fn drift(wanted: &Baseline, found: &Listing<Behavior>) -> Drift {
    wanted.drift(&found.rows, found.rejected)
}

fn differ(number: usize) -> String {
    format!("{} {}", counted(number, "behavior"), if number == 1 { "differs" } else { "differ" })
}

fn remarks(undeclared: &[String]) -> Vec<String> {
    let names = || listed(undeclared.iter().map(String::as_str));
    let remark = (!undeclared.is_empty()).then(|| format!("not in the baseline: {}", names()));
    remark.into_iter().collect()
}

/// The new setting of a behavior: the flags, and for the rest the current setting.
fn setting(set: &SetBehavior, behaviors: &[Behavior]) -> Result<BehaviorSetting, Failure> {
    let Some(now) = behaviors.iter().find(|behavior| behavior.id == set.id) else {
        return Err(Failure::Unclear(baseline::unknown_ids(&[&set.id], behaviors)));
    };
    let enabled = if set.enable || set.disable { Some(set.enable) } else { now.enabled };
    let enabled = enabled.ok_or_else(|| baseline::without_setting(&[&set.id]))?;
    match set.level.unwrap_or(now.level) {
        Level::Unknown | Level::Unrecognized => {
            let text = format!(
                "the level of {} is unknown and cannot be sent back; give --level",
                listed([&*set.id].into_iter())
            );
            Err(Failure::Usage(text))
        }
        level => Ok(BehaviorSetting { enabled, level }),
    }
}

/// Shows the differences, asks for confirmation, and changes them.
async fn change(
    session: &Session,
    confirmation: Confirmation,
    output: Output,
    differences: Vec<Difference>,
    undeclared: &[String],
) -> Result<Report, Failure> {
    let sheet = |stage| baseline::sheet(&session.alias, &differences, undeclared, stage);
    if differences.is_empty() {
        let mut remarks = remarks(undeclared);
        remarks.push("there is nothing to change".to_owned());
        return Ok(Report::found(sheet(Stage::NothingDone)).remarking(remarks));
    }
    let width = confirm::width();
    let preview = sheet(Stage::Found).table(output.extent(width), Colour::Off, width);
    confirmation.confirm(preview, format!("Change {}?", counted(differences.len(), "behavior"))).await?;
    let now = read(session).await?.rows;
    let is_as_before =
        |difference: &&Difference| baseline::setting_of(&now, &difference.id) == Some(difference.now);
    if let Some(changed) = differences.iter().find(|difference| !is_as_before(difference)) {
        let id = listed([changed.id.as_str()].into_iter());
        return Err(Failure::Runtime(format!(
            "nothing was changed: {id} was changed meanwhile; review it and try again"
        )));
    }
    let wanted = differences.iter().map(|difference| (difference.id.clone(), difference.wanted)).collect();
    let actor = Actor::identify(session).await;
    let result = Interrupt::listen()?.after(session.client.update_behaviors(&wanted)).await;
    let cf_ray = session.ray();
    let is_doubtful = match &result {
        Ok(answered) => differences.iter().any(|difference| contradict(answered, difference)),
        Err(error) => lacks_result(error),
    };
    if let (Err(error), false) = (&result, is_doubtful) {
        for difference in &differences {
            record_failed(session, &actor, difference.logged(&difference.text()), error);
        }
        return Err(Failure::change(error, "behaviors"));
    }
    let outcomes = if is_doubtful {
        settle(session, &differences).await
    } else {
        vec![Outcome::Done; differences.len()]
    };
    for (difference, outcome) in differences.iter().zip(&outcomes) {
        record_accepted(session, &actor, difference.logged(&difference.text()), *outcome, cf_ray.as_deref());
    }
    let is = |wanted: Outcome| outcomes.iter().all(|outcome| *outcome == wanted);
    let stage = match () {
        () if is(Outcome::Done) => Stage::Done,
        () if is(Outcome::NotDone) => Stage::NothingDone,
        () => Stage::Unknown,
    };
    let undone = differences.iter().zip(&outcomes).find(|(_, outcome)| **outcome != Outcome::Done);
    let failure = undone.map(|(difference, outcome)| {
        let id = listed([difference.id.as_str()].into_iter());
        Failure::Runtime(match outcome {
            Outcome::NotDone => format!("cloudflare accepted the change, but {id} has not changed"),
            _ => format!(
                "cloudflare accepted the change, but it is unclear whether {id} has changed: check with \
                 `zt-risk-exporter behaviors` before you repeat it"
            ),
        })
    });
    let report = Report::found(sheet(stage)).remarking(remarks(undeclared)).failing(failure);
    Ok(if stage == Stage::Done { report.done(made(&differences), "behaviors") } else { report })
}

/// What was changed, as a sentence.
fn made(differences: &[Difference]) -> String {
    match differences {
        [only] => format!("the behavior {} was changed: {}", printable(&only.id), only.text()),
        several => {
            let change =
                |difference: &Difference| format!("{} ({})", printable(&difference.id), difference.text());
            let changes: Vec<_> = several.iter().map(change).collect();
            format!("{} were changed: {}", counted(several.len(), "behavior"), changes.join(", "))
        }
    }
}

/// The outcome of each change that Cloudflare accepted without showing the result, by reading the behaviors again.
async fn settle(session: &Session, differences: &[Difference]) -> Vec<Outcome> {
    let now = read(session).await.map(|found| found.rows).unwrap_or_default();
    let outcome = |difference: &Difference| match baseline::setting_of(&now, &difference.id) {
        Some(now) if now == difference.wanted => Outcome::Done,
        Some(now) if now == difference.now => Outcome::NotDone,
        Some(_) | None => Outcome::Unknown,
    };
    differences.iter().map(outcome).collect()
}

impl Difference {
    /// The change that removes it, for the log.
    fn logged<'a>(&'a self, text: &'a str) -> Change<'a> {
        Change { operation: Operation::SetBehavior, subject: &self.id, change: Some(text) }
    }
}

/// Whether the answer to a change shows another setting for this behavior.
fn contradict(answered: &[UpdatedBehavior], difference: &Difference) -> bool {
    answered.iter().any(|answered| {
        let says = BehaviorSetting { enabled: answered.enabled, level: answered.level };
        answered.id == difference.id && says != difference.wanted
    })
}

#[derive(Serialize)]
struct Document<'a> {
    account: &'a str,
    behaviors: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    enabled: Option<bool>,
    risk_level: &'static str,
}

fn list(session: &Session, behaviors: &[Behavior]) -> Sheet {
    const COLUMNS: &[Column] = &[
        Column::new("ID"),
        Column::new("ENABLED"),
        Column::new("LEVEL"),
        Column::new("NAME").cut(),
        Column::new("DESCRIPTION").wide(),
    ];
    const FIELDS: &[&str] = &["id", "name", "description", "enabled", "risk_level"];
    let enabled = |behavior: &Behavior| {
        behavior.enabled.map_or_else(|| "unknown".to_owned(), |enabled| enabled.to_string())
    };
    let cells = |behavior: &Behavior| -> Vec<Cell> {
        vec![
            behavior.id.as_str().into(),
            enabled(behavior).into(),
            Cell::level(behavior.level.as_str()),
            behavior.name.as_str().into(),
            behavior.description.as_str().into(),
        ]
    };
    let texts = |behavior: &Behavior| -> Vec<String> {
        let [id, name, description, level] =
            [&*behavior.id, &*behavior.name, &*behavior.description, behavior.level.as_str()]
                .map(str::to_owned);
        vec![id, name, description, enabled(behavior), level]
    };
    let shown = behaviors.iter().map(|behavior| Shown {
        id: &behavior.id,
        name: &behavior.name,
        description: &behavior.description,
        enabled: behavior.enabled,
        risk_level: behavior.level.as_str(),
    });
    Sheet {
        heading: format!("account {}", session.alias),
        columns: COLUMNS,
        rows: behaviors.iter().map(cells).collect(),
        fields: FIELDS,
        records: behaviors.iter().map(texts).collect(),
        document: json(&Document { account: &session.alias, behaviors: shown.collect() }),
    }
}

/// Maps events to behaviors: an event names its behavior by id or by display name.
pub(super) struct Catalogue {
    behaviors: Vec<Behavior>,
    labels: Labels,
    remarks: Vec<String>,
}

impl Catalogue {
    pub(super) async fn read(session: &Session) -> Result<Self, Failure> {
        let found = read(session).await?;
        Ok(Self::of(found.rows, unreadable(found.rejected, "behavior")))
    }

    /// The same, but if the behaviors cannot be read, an empty catalogue with a remark.
    pub(super) async fn read_if_allowed(session: &Session) -> Self {
        Self::read(session).await.unwrap_or_else(|failure| {
            Self::of(Vec::new(), Some(format!("behaviors have the names that the events give: {failure}")))
        })
    }

    fn of(behaviors: Vec<Behavior>, remark: Option<String>) -> Self {
        let mut labels = Labels::default();
        labels.list(&behaviors);
        Self { behaviors, labels, remarks: remark.into_iter().collect() }
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }

    /// # Errors
    /// No behavior has this id.
    pub(super) fn knows(&self, id: &str) -> Result<(), Failure> {
        let known = self.behaviors.iter().any(|behavior| behavior.id == id);
        if known { Ok(()) } else { Err(Failure::Unclear(baseline::unknown_ids(&[id], &self.behaviors))) }
    }

    /// The id of the behavior that an event names `said`; `said` itself if no behavior has that name.
    pub(super) fn id<'a>(&'a self, said: &'a str) -> &'a str {
        let label = self.labels.get(said).and_then(|label| self.labels.names().get(label.index()));
        label.map_or(said, String::as_str)
    }

    /// The display name of the behavior that an event names `said`.
    pub(super) fn name<'a>(&'a self, said: &'a str) -> &'a str {
        let id = self.id(said);
        let behavior = self.behaviors.iter().find(|behavior| behavior.id == id);
        behavior.map_or(said, |behavior| &behavior.name)
    }
}
