//! The feed: where records are written to, and what they have.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::{Error, Mistakes};
use super::naming::Naming;
use super::reading::Reading;
use super::sources::{Layers, Setting};
use super::{Config, IdentityPolicy, keys, parse};
use crate::feed::Format;
use crate::feed::file::FileSettings;
use crate::feed::record::{Details, History};
use crate::feed::sinks::{Settings, Stdout};

/// The bounds of `feed.rotate_mib`. A file of 1 TiB is never rotated in practice.
const ROTATE_MIB: std::ops::RangeInclusive<u64> = 1..=1_048_576;

/// The bounds of `feed.keep`. Every start lists the files.
const KEEP: std::ops::RangeInclusive<usize> = 1..=10_000;

/// The bounds of `feed.buffer_records`. Ten million take 10 GiB at most.
const BUFFER_RECORDS: std::ops::RangeInclusive<usize> = 100..=10_000_000;

/// The feed.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Where it is written to.
    pub(crate) settings: Settings,
    /// How a record is written.
    pub(crate) format: Format,
    /// How records name users.
    pub(crate) identity: IdentityPolicy,
    /// Whether records have the details of events.
    pub(crate) details: Details,
    /// What the first list of users writes.
    pub(crate) history: History,
}

/// The feed, as it is declared, before a file with a key for hashes is read.
pub(super) struct DeclaredFeed {
    pub(super) settings: Settings,
    format: Format,
    /// `None` if records name users as the metrics do.
    naming: Option<Naming>,
    details: Details,
    history: History,
}

impl DeclaredFeed {
    /// The outer `None` is a mistake; the inner one is no feed.
    pub(super) fn from_layers(layers: &Layers, mistakes: &mut Mistakes) -> Option<Option<Self>> {
        let identity = layers.get_or_default(keys::FEED_IDENTITY);
        let naming = match identity.text.as_str() {
            "inherit" => Some(None),
            _ => Naming::of(layers, &identity, "inherit, id, hash, email or none", mistakes).map(Some),
        };
        let mut read = Reading::new(layers, mistakes);
        let path = read.optional(keys::FEED_PATH, parse::path);
        let stdout = read.value(keys::FEED_STDOUT, |it| parse::switch(it, Stdout::Used, Stdout::Unused));
        let format = read.value(keys::FEED_FORMAT, format);
        let rotate_mib = read.value(keys::FEED_ROTATE, |it| it.parse(parse::whole_number(ROTATE_MIB)));
        let keep = read.value(keys::FEED_KEEP, |it| it.parse(parse::whole_number(KEEP)));
        let mode = read.value(keys::FEED_MODE, mode);
        let details = read.value(keys::FEED_DETAILS, |it| parse::switch(it, Details::Kept, Details::Dropped));
        let history =
            read.value(keys::FEED_HISTORY, |it| parse::switch(it, History::Written, History::Omitted));
        let records = read.value(keys::FEED_BUFFER, |it| it.parse(parse::whole_number(BUFFER_RECORDS)));
        let (path, stdout) = (path?, stdout?);
        let sink = match (&path, stdout) {
            (Some(_), _) => layers.get(keys::FEED_PATH),
            (None, Stdout::Used) => layers.get(keys::FEED_STDOUT),
            (None, Stdout::Unused) => None,
        };
        if let Some(sink) = &sink
            && layers.get(keys::STATE_PATH).is_none()
            && !layers.is_misspelled(keys::STATE_PATH)
        {
            mistakes.add(sink.refuse(
                "needs state.path: without a state file, a restart would lose records or write them twice",
            ));
            return None;
        }
        let rotate_bytes = rotate_mib? << 20;
        let (keep, mode) = (keep?, mode?);
        let file = path.map(|path| FileSettings { path, rotate_bytes, keep, mode });
        let settings = Settings { file, stdout, buffer_records: records? };
        let (format, naming, details, history) = (format?, naming?, details?, history?);
        Some(sink.map(|_| Self { settings, format, naming, details, history }))
    }

    /// Adds a mistake if the file, or the lock beside it, is one of these: a rotation would rename it.
    pub(super) fn refuse_used<'a>(
        &self,
        used: impl IntoIterator<Item = (&'a str, &'a Path)>,
        layers: &Layers,
        mistakes: &mut Mistakes,
    ) {
        let (Some(file), Some(setting)) = (&self.settings.file, layers.get(keys::FEED_PATH)) else { return };
        let own = [file.path.clone(), file.lock()];
        let is_own = |(_, path): &(&str, &Path)| own.iter().any(|own| is_same_file(own, path));
        if let Some((what, _)) = used.into_iter().find(is_own) {
            mistakes.add(setting.refuse(&format!("is {what}; the feed needs a file of its own")));
        }
    }

    /// The file with the key for hashes, if records name users by a hash and the metrics do not.
    pub(super) fn key_file(&self) -> Option<&Path> {
        self.naming.as_ref().and_then(Naming::key_file)
    }

    /// The feed, in which users are named like `of_metrics` unless it says otherwise.
    ///
    /// # Errors
    /// The file with the key for hashes has no usable key.
    pub(super) fn with_key(self, of_metrics: &IdentityPolicy) -> Result<Feed, Error> {
        let Self { settings, format, naming, details, history } = self;
        let identity = naming.map_or_else(|| Ok(of_metrics.clone()), Naming::policy)?;
        Ok(Feed { settings, format, identity, details, history })
    }
}

impl Config {
    /// Whether something shows the names and e-mail addresses of users.
    pub(crate) fn keeps_names(&self) -> bool {
        let identities = [Some(&self.users.identity), self.feed.as_ref().map(|feed| &feed.identity)];
        identities.into_iter().flatten().any(|identity| matches!(identity, IdentityPolicy::Email))
    }
}

/// Whether two paths lead to one file, or would if it were there.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).ok().map(|there| (there.dev(), there.ino()));
    let place = |path: &Path| {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = fs::canonicalize(directory.unwrap_or(Path::new("."))).ok()?;
        Some(directory.join(path.file_name()?))
    };
    let is_equal = |one: Option<_>, other| one.is_some() && one == other;
    one == other
        || place(one).is_some_and(|one| Some(one) == place(other))
        || is_equal(identity(one), identity(other))
}

fn format(setting: &Setting) -> Result<Format, Error> {
    let known = Format::ALL.into_iter().find(|format| format.as_str() == setting.text);
    known.ok_or_else(|| setting.must_be("json, ocsf or ecs"))
}

/// Reads the mode of a file in octal digits. The exporter itself must be able to read and write it.
fn mode(setting: &Setting) -> Result<u32, Error> {
    const OWNER: u32 = 0o600;
    let is_plain = setting.text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(&setting.text, 8).ok().filter(|mode| is_plain && *mode <= 0o777);
    mode.filter(|mode| mode & OWNER == OWNER)
        .ok_or_else(|| setting.must_be("the mode of a file that its owner may read and write, such as 0640"))
}
