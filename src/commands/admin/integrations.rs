//! `integrations`: lists and changes the systems that receive level changes.

use serde::Serialize;
use uuid::Uuid;

use super::args::{CreateIntegration, IntegrationsAction, OneIntegration, UpdateIntegration};
use super::change_log::{self, Actor, Change, Operation, lacks_result, record_accepted, record_failed};
use super::{Failure, Report, unreadable};
use crate::app::logging::Colour;
use crate::cloudflare::{Error, IntegrationSetting, NewIntegration};
use crate::commands::session::Session;
use crate::commands::terminal::ago::ago_with_date;
use crate::commands::terminal::confirm::{self, Consent};
use crate::commands::terminal::interrupt::Interrupt;
use crate::commands::terminal::printable;
use crate::commands::terminal::sheet::{Sheet, json};
use crate::commands::terminal::table::{Cell, Column, Tone};
use crate::model::Integration;

/// # Errors
/// There is no such integration, the change was not confirmed, or Cloudflare refused it.
pub(super) async fn run(session: &Session, action: &IntegrationsAction) -> Result<Report, Failure> {
    match action {
        IntegrationsAction::List(_) => {
            let found = session.client.integrations().await.map_err(|error| Failure::request(&error))?;
            let remarks = unreadable(found.rejected, "integration").into_iter().collect();
            Ok(Report::found(sheet(session, &found.rows, Outcome::Read)).remarking(remarks))
        }
        IntegrationsAction::Get(one) => shown(session, session.client.integration(one.id).await),
        IntegrationsAction::ByReference { reference_id, .. } => {
            shown(session, session.client.integration_by_reference(reference_id).await)
        }
        IntegrationsAction::Create(create) => make(session, create).await,
        IntegrationsAction::Update(update) => change(session, update).await,
        IntegrationsAction::Delete { one, consent } => delete(session, one, consent).await,
    }
}

fn shown(session: &Session, found: Result<Integration, Error>) -> Result<Report, Failure> {
    let integration = found.map_err(|error| Failure::request_for_one(&error))?;
    Ok(Report::found(record(session, &integration, Outcome::Read)))
}

async fn make(session: &Session, create: &CreateIntegration) -> Result<Report, Failure> {
    let confirmation = create.consent.confirmation()?;
    let new =
        NewIntegration { tenant_url: create.tenant_url.clone(), reference_id: create.reference_id.clone() };
    let question = format!("Send level changes of {} to {} from now on?", session.alias, new.tenant_url);
    confirmation.confirm(String::new(), question).await?;
    let before = list(session).await?;
    let actor = Actor::identify(session).await;
    let result = Interrupt::listen()?.after(session.client.create_integration(&new)).await;
    let cf_ray = session.ray();
    let made = settle(result, async || {
        let is_new = |found: &Integration| before.iter().all(|known| known.id != found.id);
        let fits = |found: &Integration| {
            found.tenant_url == new.tenant_url
                && new.reference_id.as_ref().is_none_or(|reference| *reference == found.reference_id)
        };
        list(session).await.ok()?.into_iter().find(|found| is_new(found) && fits(found))
    });
    let made = made.await;
    // A new integration has no id yet.
    let subject = made.as_ref().map_or_else(|_| "new".to_owned(), |made| made.id.to_string());
    let logged = Change { operation: Operation::CreateIntegration, subject: &subject, change: None };
    let made = finish(session, &actor, logged, made, cf_ray.as_deref(), "integrations")?;
    let what = format!(
        "the integration {} was created and is active; enter {} in Okta",
        made.id,
        match made.well_known_url.as_str() {
            "" => "its well-known URL".to_owned(),
            url => printable(url),
        }
    );
    let look = format!("integrations get {}", made.id);
    Ok(Report::found(record(session, &made, Outcome::Created)).done(what, look))
}

async fn list(session: &Session) -> Result<Vec<Integration>, Failure> {
    let found = session.client.integrations().await.map_err(|error| Failure::request(&error))?;
    Ok(found.rows)
}

/// The result of a change. If Cloudflare answered with success but without the result, reading again may find it.
async fn settle(
    result: Result<Integration, Error>,
    read_again: impl AsyncFnOnce() -> Option<Integration>,
) -> Result<Integration, Error> {
    match result {
        Err(error) if lacks_result(&error) => read_again().await.ok_or(error),
        result => result,
    }
}

/// Logs a change, and turns its error into that of the command; `look` is the command that shows the current state.
fn finish<T>(
    session: &Session,
    actor: &Actor,
    change: Change<'_>,
    result: Result<T, Error>,
    cf_ray: Option<&str>,
    look: &str,
) -> Result<T, Failure> {
    match &result {
        Ok(_) => record_accepted(session, actor, change, change_log::Outcome::Done, cf_ray),
        Err(error) => record_failed(session, actor, change, error),
    }
    result.map_err(|error| Failure::change(&error, look))
}

async fn change(session: &Session, update: &UpdateIntegration) -> Result<Report, Failure> {
    let confirmation = update.consent.confirmation()?;
    let now = read(session, update.one.id).await?;
    let wanted = Integration {
        tenant_url: update.tenant_url.clone().unwrap_or_else(|| now.tenant_url.clone()),
        reference_id: update.reference_id.clone().unwrap_or_else(|| now.reference_id.clone()),
        active: if update.activate || update.deactivate { update.activate } else { now.active },
        ..now.clone()
    };
    if wanted == now {
        let remarks = vec!["there is nothing to change".to_owned()];
        return Ok(Report::found(record(session, &now, Outcome::NothingDone)).remarking(remarks));
    }
    let width = confirm::width();
    let comparison = comparison(session, &now, &wanted);
    let preview = comparison.table(update.one.common.shared.output.extent(width), Colour::Off, width);
    confirmation.confirm(preview, "Change this integration?".to_owned()).await?;
    // An update overwrites all fields.
    unchanged(session, &now).await?;
    let Integration { tenant_url, active, reference_id, .. } = wanted;
    let setting = IntegrationSetting { tenant_url, active, reference_id: Some(reference_id) };
    let actor = Actor::identify(session).await;
    let result = Interrupt::listen()?.after(session.client.update_integration(now.id, &setting)).await;
    let cf_ray = session.ray();
    let is_wanted = |found: &Integration| changed(found, &setting).is_empty();
    let result = settle(result, async || read(session, now.id).await.ok().filter(is_wanted)).await;
    let (subject, text) = (now.id.to_string(), changed(&now, &setting));
    let logged = Change { operation: Operation::UpdateIntegration, subject: &subject, change: Some(&text) };
    let look = format!("integrations get {subject}");
    let changed = finish(session, &actor, logged, result, cf_ray.as_deref(), &look)?;
    let what = format!("the integration {subject} was changed: {text}");
    Ok(Report::found(record(session, &changed, Outcome::Updated)).done(what, look))
}

/// The changed fields, without free text.
fn changed(now: &Integration, wanted: &IntegrationSetting) -> String {
    let active = (now.active != wanted.active).then(|| format!("active {} -> {}", now.active, wanted.active));
    let tenant = (now.tenant_url != wanted.tenant_url).then(|| "tenant_url".to_owned());
    let reference =
        (Some(&now.reference_id) != wanted.reference_id.as_ref()).then(|| "reference_id".to_owned());
    [active, tenant, reference].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

async fn read(session: &Session, id: Uuid) -> Result<Integration, Failure> {
    session.client.integration(id).await.map_err(|error| Failure::request_for_one(&error))
}

/// Fails if someone else has changed the integration since it was shown.
async fn unchanged(session: &Session, shown: &Integration) -> Result<(), Failure> {
    let id = shown.id;
    if read(session, id).await? == *shown {
        return Ok(());
    }
    Err(Failure::Runtime(format!("nothing was changed: {id} was changed meanwhile; review it and try again")))
}

async fn delete(session: &Session, one: &OneIntegration, consent: &Consent) -> Result<Report, Failure> {
    let confirmation = consent.confirmation()?;
    let id = one.id;
    let now = read(session, id).await?;
    let width = confirm::width();
    let preview = record(session, &now, Outcome::Read);
    let preview = preview.table(one.common.shared.output.extent(width), Colour::Off, width);
    confirmation.confirm(preview, "Delete this integration?".to_owned()).await?;
    unchanged(session, &now).await?;
    let actor = Actor::identify(session).await;
    let result = Interrupt::listen()?.after(session.client.delete_integration(id)).await;
    let (subject, cf_ray) = (id.to_string(), session.ray());
    let logged = Change { operation: Operation::DeleteIntegration, subject: &subject, change: None };
    finish(session, &actor, logged, result, cf_ray.as_deref(), "integrations")?;
    let what = format!("the integration {id} was deleted; level changes are no longer sent to it");
    Ok(Report::found(record(session, &now, Outcome::Deleted)).done(what, "integrations"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Read,
    NothingDone,
    Created,
    Updated,
    Deleted,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::NothingDone => "nothing_done",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    account: &'a str,
    integrations: Vec<Shown<'a>>,
    outcome: &'static str,
}

#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    integration_type: &'a str,
    reference_id: &'a str,
    tenant_url: &'a str,
    well_known_url: &'a str,
    active: bool,
    created_at: String,
}

/// The integrations as a list.
fn sheet(session: &Session, integrations: &[Integration], outcome: Outcome) -> Sheet {
    const COLUMNS: &[Column] = &[
        Column::new("ACTIVE"),
        Column::new("TENANT").cut(),
        Column::new("ID"),
        Column::new("REFERENCE").wide(),
        Column::new("CREATED").wide(),
        Column::new("TYPE").wide(),
        Column::new("WELL-KNOWN URL").wide(),
    ];
    const FIELDS: &[&str] =
        &["id", "integration_type", "reference_id", "tenant_url", "well_known_url", "active", "created_at"];
    let now = session.clock.date();
    let cells = |integration: &Integration| -> Vec<Cell> {
        vec![
            active(integration),
            integration.tenant_url.as_str().into(),
            integration.id.to_string().into(),
            integration.reference_id.as_str().into(),
            ago_with_date(integration.created_at, now).into(),
            integration.kind.as_str().into(),
            integration.well_known_url.as_str().into(),
        ]
    };
    let texts = |integration: &Integration| -> Vec<String> {
        let Integration { id, kind, reference_id, tenant_url, well_known_url, active, created_at } =
            integration;
        let [kind, reference_id, tenant_url, well_known_url] =
            [kind, reference_id, tenant_url, well_known_url].map(String::clone);
        let [id, active, created_at] = [id.to_string(), active.to_string(), created_at.to_string()];
        vec![id, kind, reference_id, tenant_url, well_known_url, active, created_at]
    };
    let shown = integrations.iter().map(|integration| Shown {
        id: integration.id.to_string(),
        integration_type: &integration.kind,
        reference_id: &integration.reference_id,
        tenant_url: &integration.tenant_url,
        well_known_url: &integration.well_known_url,
        active: integration.active,
        created_at: integration.created_at.to_string(),
    });
    let (account, outcome) = (session.alias.as_str(), outcome.as_str());
    Sheet {
        heading: format!("account {account}"),
        columns: COLUMNS,
        rows: integrations.iter().map(cells).collect(),
        fields: FIELDS,
        records: integrations.iter().map(texts).collect(),
        document: json(&Document { account, integrations: shown.collect(), outcome }),
    }
}

/// One integration: a line for each field, so that nothing of it is shortened.
fn record(session: &Session, integration: &Integration, outcome: Outcome) -> Sheet {
    const COLUMNS: &[Column] = &[Column::new(""), Column::new("")];
    let created = ago_with_date(integration.created_at, session.clock.date());
    let field = |name: &str, value: Cell| vec![name.into(), value];
    let rows = vec![
        field("id", integration.id.to_string().into()),
        field("type", integration.kind.as_str().into()),
        field("tenant", integration.tenant_url.as_str().into()),
        field("active", active(integration)),
        field("reference", integration.reference_id.as_str().into()),
        field("well-known URL", integration.well_known_url.as_str().into()),
        field("created", created.into()),
    ];
    Sheet { columns: COLUMNS, rows, ..sheet(session, std::slice::from_ref(integration), outcome) }
}

/// The fields that an update changes: what they are, and what they will be.
fn comparison(session: &Session, now: &Integration, wanted: &Integration) -> Sheet {
    const COLUMNS: &[Column] = &[Column::new("FIELD"), Column::new("NOW"), Column::new("AFTER")];
    let pairs = [
        ("tenant", now.tenant_url.clone(), wanted.tenant_url.clone()),
        ("active", now.active.to_string(), wanted.active.to_string()),
        ("reference", now.reference_id.clone(), wanted.reference_id.clone()),
    ];
    let changed = pairs.into_iter().filter(|(_, now, wanted)| now != wanted);
    let rows = changed.map(|(name, now, wanted)| vec![name.into(), now.into(), wanted.into()]).collect();
    let heading = format!("account {}\nintegration {}", session.alias, now.id);
    Sheet { heading, columns: COLUMNS, rows, ..sheet(session, &[], Outcome::Read) }
}

fn active(integration: &Integration) -> Cell {
    let tone = if integration.active { Tone::Good } else { Tone::Caution };
    Cell::toned(integration.active.to_string(), tone)
}
