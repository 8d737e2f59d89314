//! `integrations`: lists and changes the systems that receive level changes.

use serde::Serialize;
use uuid::Uuid;

use super::args::{CreateIntegration, IntegrationsAction, UpdateIntegration};
use super::change_log::{self, Actor, Change, Operation, lacks_result, record_accepted, record_failed};
use super::{Failure, Report, unreadable};
use crate::app::logging::Colour;
use crate::cloudflare::{Error, IntegrationSetting, NewIntegration};
use crate::commands::session::Session;
use crate::commands::terminal::confirm::{self, Consent};
use crate::commands::terminal::interrupt::Interrupt;
use crate::commands::terminal::table::{Column, Sheet};
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
        IntegrationsAction::Delete { one, consent } => delete(session, one.id, consent).await,
    }
}

fn shown(session: &Session, found: Result<Integration, Error>) -> Result<Report, Failure> {
    let integration = found.map_err(|error| Failure::request_for_one(&error))?;
    Ok(Report::found(sheet(session, &[integration], Outcome::Read)))
}

async fn make(session: &Session, create: &CreateIntegration) -> Result<Report, Failure> {
    let confirmation = create.consent.confirmation()?;
    let new =
        NewIntegration { tenant_url: create.tenant_url.clone(), reference_id: create.reference_id.clone() };
    let question = format!("Send risk changes of {} to {:?} from now on?", session.alias, new.tenant_url);
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
    Ok(Report::found(sheet(session, &[made], Outcome::Created)))
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
        return Ok(Report::found(sheet(session, &[now], Outcome::NothingDone)).remarking(remarks));
    }
    let both = sheet(session, &[now.clone(), wanted.clone()], Outcome::Read);
    let preview = both.table(Colour::Off, confirm::width());
    confirmation.confirm(preview, "Replace the first with the second?".to_owned()).await?;
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
    Ok(Report::found(sheet(session, &[changed], Outcome::Updated)))
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

async fn delete(session: &Session, id: Uuid, consent: &Consent) -> Result<Report, Failure> {
    let confirmation = consent.confirmation()?;
    let integrations = [read(session, id).await?];
    let preview = sheet(session, &integrations, Outcome::Read);
    let preview = preview.table(Colour::Off, confirm::width());
    confirmation.confirm(preview, "Delete this integration?".to_owned()).await?;
    let [now] = &integrations;
    unchanged(session, now).await?;
    let actor = Actor::identify(session).await;
    let result = Interrupt::listen()?.after(session.client.delete_integration(id)).await;
    let (subject, cf_ray) = (id.to_string(), session.ray());
    let logged = Change { operation: Operation::DeleteIntegration, subject: &subject, change: None };
    finish(session, &actor, logged, result, cf_ray.as_deref(), "integrations")?;
    Ok(Report::found(sheet(session, &integrations, Outcome::Deleted)))
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

fn sheet(session: &Session, integrations: &[Integration], outcome: Outcome) -> Sheet {
    const COLUMNS: &[Column] = &[
        Column::Stacked("id"),
        Column::CsvOnly("integration_type"),
        Column::Stacked("reference_id"),
        Column::Stacked("tenant_url"),
        Column::CsvOnly("well_known_url"),
        Column::Plain("active"),
        Column::CsvOnly("created_at"),
    ];
    let shown = |integration: &'_ Integration| -> Vec<String> {
        let Integration { id, kind, reference_id, tenant_url, well_known_url, active, created_at } =
            integration;
        let [kind, reference_id, tenant_url, well_known_url] =
            [kind, reference_id, tenant_url, well_known_url].map(String::clone);
        let [id, active, created_at] = [id.to_string(), active.to_string(), created_at.to_string()];
        vec![id, kind, reference_id, tenant_url, well_known_url, active, created_at]
    };
    let rows = integrations.iter().map(shown).collect();
    let integrations = integrations.iter().map(|integration| Shown {
        id: integration.id.to_string(),
        integration_type: &integration.kind,
        reference_id: &integration.reference_id,
        tenant_url: &integration.tenant_url,
        well_known_url: &integration.well_known_url,
        active: integration.active,
        created_at: integration.created_at.to_string(),
    });
    let document =
        Document { account: &session.alias, integrations: integrations.collect(), outcome: outcome.as_str() };
    Sheet::new(format!("account {}", session.alias), COLUMNS, rows, &document)
}
