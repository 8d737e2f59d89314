//! The progress of a backfill, in a file next to the one to write, so that an interrupted command can continue.
//!
//! Users are read in the order of keyed hashes of their ids, and the file holds the last hash. So it does not grow with
//! the number of users, stays valid when the list changes, and holds nothing about a user but that hash. Of events it
//! holds counts and no ids. It is replaced as a whole after each user.

use std::fs::{self, File, OpenOptions};
use std::hash::Hasher as _;
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use super::grid::{History, Span};
use crate::clock::Timestamp;
use crate::cloudflare::limit::WINDOW;
use crate::collector::ledger::persisted::{from_hex, hex};
use crate::commands::input_file::read;
use crate::model::UserId;

/// The most counts, one for each sample of some hundred series, take less than this.
const LONGEST_MIB: u64 = 1_024;

/// The format version. Files of another version are refused.
const FORMAT: u32 = 1;

/// Requests within this time are saved as one number, with the latest time. After a restart they count for this much
/// longer.
const SPENT_TOGETHER: Duration = Duration::from_secs(10);

/// The flags as they were written: only a command with the same flags continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    pub(super) account: String,
    pub(super) since: String,
    pub(super) until: Option<String>,
    pub(super) step: Duration,
}

/// The progress of a backfill, and the counts so far.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoint {
    format: u32,
    #[serde(rename = "order")]
    pub(super) parameters: Parameters,
    secret: String,
    /// The hash of the user that was read last.
    done: Option<u64>,
    pub(super) history: History,
    pub(super) found: Found,
    /// Requests of the last minutes, with the time of the latest in each group.
    sent: Vec<(Timestamp, u32)>,
}

/// Totals for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    /// Users who were requested.
    pub users: u64,
    /// Events counted.
    pub events: u64,
    /// Users who no longer exist, of those requested.
    pub gone: u64,
    /// Users whose events could not be read completely, of those requested.
    pub cut: u64,
}

/// The hash that gives the order of reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadingOrder([u8; 16]);

impl ReadingOrder {
    pub(super) fn of(self, user: UserId) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(user.as_bytes());
        hasher.finish()
    }
}

impl Checkpoint {
    /// Starts a backfill.
    pub(super) fn new(parameters: Parameters, span: Span, secret: [u8; 16]) -> Self {
        Self {
            format: FORMAT,
            parameters,
            secret: hex(&secret),
            done: None,
            history: History::new(span),
            found: Found::default(),
            sent: Vec::new(),
        }
    }

    /// The progress that an earlier process saved, if any.
    ///
    /// # Errors
    /// The file cannot be read, or this program did not write it.
    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        let text = match read(path, LONGEST_MIB) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let read: Self = serde_json::from_slice(&text).map_err(io::Error::other)?;
        let is_sound = read.format == FORMAT && read.history.is_sound() && from_hex(&read.secret).is_ok();
        is_sound.then_some(Some(read)).ok_or_else(|| io::Error::other("its parts contradict each other"))
    }

    /// Replaces the file at `path`.
    ///
    /// # Errors
    /// The file cannot be written. The old one is unchanged.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        replace(path, |out| serde_json::to_writer(out, self).map_err(io::Error::other))
    }

    pub(super) fn reading_order(&self) -> ReadingOrder {
        ReadingOrder(from_hex(&self.secret).expect("the secret was made here, or checked when it was read"))
    }

    /// Whether the user with this hash was read.
    pub(super) fn is_done(&self, place: u64) -> bool {
        self.done.is_some_and(|done| place <= done)
    }

    /// Marks the user with this hash as read.
    pub(super) fn done(&mut self, place: u64) {
        self.done = Some(place);
    }

    /// Adds requests to the spent budget; the latest was sent at `date`.
    pub(super) fn spent(&mut self, requests: u32, date: Timestamp) {
        self.sent.retain(|(at, _)| *at + WINDOW > date);
        match self.sent.last_mut() {
            _ if requests == 0 => {}
            Some((at, sent)) if date < *at + SPENT_TOGETHER => *sent = sent.saturating_add(requests),
            _ => self.sent.push((date + SPENT_TOGETHER, requests)),
        }
    }

    /// Requests of the last minutes.
    pub(super) fn sent(&self) -> &[(Timestamp, u32)] {
        &self.sent
    }
}

/// Writes a file that only its owner may read, and moves it to `path` once it is complete and on disk.
///
/// # Errors
/// The file cannot be written. `path` is unchanged.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let new = with_suffix(path, "new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&new, path)
}

/// The path with `.suffix` appended.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn checkpoint() -> Checkpoint {
        let at = Timestamp::from_seconds;
        let parameters = Parameters {
            account: "acme".to_owned(),
            since: "1d".to_owned(),
            until: None,
            step: Duration::from_secs(60),
        };
        Checkpoint::new(
            parameters,
            Span { since: at(0), until: at(600), step: Duration::from_secs(60) },
            [7; 16],
        )
    }

    #[test]
    fn what_is_saved_is_read_back_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("past.om.progress");
        assert!(Checkpoint::load(&path).unwrap().is_none());
        let mut checkpoint = checkpoint();
        checkpoint.done(u64::MAX - 1);
        checkpoint.found.events = 3;
        checkpoint.save(&path).unwrap();
        checkpoint.save(&path).unwrap();
        let read = Checkpoint::load(&path).unwrap().unwrap();
        assert_eq!((read.found, &read.parameters), (checkpoint.found, &checkpoint.parameters));
        assert_eq!([u64::MAX - 1, u64::MAX].map(|place| read.is_done(place)), [true, false]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else stays");
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("past.om.progress");
        checkpoint().save(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for spoilt in [
            text.replace("\"format\":1", "\"format\":2"),
            text.replace("0707", "07"),
            text[..text.len() / 2].to_owned(),
            String::new(),
        ] {
            fs::write(&path, &spoilt).unwrap();
            assert!(Checkpoint::load(&path).is_err(), "{spoilt}");
        }
    }

    #[test]
    fn requests_are_forgotten_when_they_weigh_no_more() {
        let mut checkpoint = checkpoint();
        for (second, requests) in [(0, 2), (5, 1), (30, 4), (40, 0)] {
            checkpoint.spent(requests, Timestamp::from_seconds(second));
        }
        let sent =
            |checkpoint: &Checkpoint| checkpoint.sent().iter().map(|(_, sent)| *sent).collect::<Vec<_>>();
        assert_eq!(sent(&checkpoint), [3, 4]);
        checkpoint.spent(1, Timestamp::from_seconds(320));
        assert_eq!(sent(&checkpoint), [4, 1]);
    }

    #[test]
    fn places_differ_by_user_and_by_file() {
        let user = UserId::from_u128;
        let order = [ReadingOrder([1; 16]), ReadingOrder([2; 16])]
            .map(|order| [order.of(user(1)), order.of(user(2))]);
        let distinct: std::collections::BTreeSet<_> = order.as_flattened().iter().collect();
        assert_eq!(distinct.len(), 4);
    }
}
