//! Saves the events of users to a file before a reset, because Cloudflare may not list them afterwards.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::Failure;
use super::people::Person;
use crate::clock::Timestamp;
use crate::commands::session::Session;
use crate::commands::terminal::sheet::json;
use crate::model::{Completeness, DetailedEvent, UserRisk};

#[derive(Serialize)]
struct Document<'a> {
    /// `None` if the users are of several accounts.
    account: Option<&'a str>,
    saved_at: String,
    users: Vec<User<'a>>,
}

#[derive(Serialize)]
struct User<'a> {
    id: String,
    name: &'a str,
    email: &'a str,
    risk_level: &'static str,
    last_reset: Option<String>,
    events: Vec<Event>,
    account: &'a str,
}

#[derive(Serialize)]
struct Event {
    id: String,
    /// The id or the display name of the behavior, as Cloudflare gives it.
    name: String,
    risk_level: &'static str,
    timestamp: String,
    details: Option<Value>,
}

/// # Errors
/// There is something at `path`.
pub(super) fn refuse_existing(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::Usage(format!("nothing was reset: {}: {error}", path.display()))),
        Ok(_) => Err(Failure::Usage(format!(
            "nothing was reset: {} already exists and is not overwritten; choose another file",
            path.display()
        ))),
    }
}

/// Reads the events of all `targets`, and writes them to a new file that only its owner may read.
///
/// # Errors
/// Some events cannot be read, or the file cannot be written or exists. Nothing was reset.
pub(super) async fn save<'a>(
    targets: impl Iterator<Item = (&'a Session, &'a Person)>,
    now: Timestamp,
    path: &Path,
) -> Result<(), Failure> {
    let mut users = Vec::new();
    for (session, person) in targets {
        let risk = session.client.user_in_detail(person.id).await;
        let risk = risk
            .map_err(|error| Failure::Runtime(format!("nothing was reset: user {}: {error}", person.id)))?;
        if risk.completeness != Completeness::Complete || risk.rejected > 0 {
            return Err(Failure::Runtime(format!(
                "nothing was reset: not all events of user {} can be read and saved",
                person.id
            )));
        }
        users.push(user(person, risk));
    }
    let mut accounts: Vec<&str> = users.iter().map(|user| user.account).collect();
    accounts.dedup();
    let account = match accounts.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let document = Document { account, saved_at: now.to_string(), users };
    write(path, json(&document).as_bytes())
        .map_err(|error| Failure::Runtime(format!("nothing was reset: {}: {error}", path.display())))
}

fn user(person: &Person, risk: UserRisk<DetailedEvent>) -> User<'_> {
    let event = |DetailedEvent { event, details }: DetailedEvent| Event {
        id: event.id,
        name: event.name,
        risk_level: event.level.as_str(),
        timestamp: event.timestamp.to_string(),
        details: details.as_deref().and_then(|json| serde_json::from_str(json).ok()),
    };
    User {
        id: person.id.to_string(),
        name: &person.name,
        email: &person.email,
        risk_level: person.level.as_str(),
        last_reset: risk.last_reset.map(|date| date.to_string()),
        events: risk.events.into_iter().map(event).collect(),
        account: &person.account,
    }
}

/// Writes a new file of mode 0600, and waits until it is on disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
