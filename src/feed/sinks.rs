//! The configured sinks: opened before anything runs, then one thread for each.

use std::thread;

use super::file::{Error, FileSettings, FileSink};
use super::hub::Feed;
use super::writer::{Sink, Writer};
use crate::clock::Clock;
use crate::store::State;

/// Where the feed is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The file, if there is one.
    pub(crate) file: Option<FileSettings>,
    /// Whether standard output is a sink.
    pub(crate) stdout: Stdout,
    /// The most records of all accounts that wait.
    pub(crate) buffer_records: usize,
}

/// Whether records are written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    Used,
    Unused,
}

/// The sinks of a feed that is not written yet.
#[derive(Debug)]
pub(crate) struct Sinks(Vec<Sink>);

impl Sinks {
    /// A feed with its sinks, which no other process may use from now on. Nothing is written before [`Sinks::start`].
    ///
    /// # Errors
    /// The file is in use, or cannot be created.
    pub(crate) fn open(settings: &Settings) -> Result<(Feed, Self), Error> {
        let Settings { file, stdout, buffer_records } = settings;
        let mut sinks = Vec::new();
        if let Some(file) = file {
            sinks.push(Sink::File(FileSink::lock(file.clone())?));
        }
        if *stdout == Stdout::Used {
            sinks.push(Sink::Stdout);
        }
        Ok((Feed::new(sinks.iter().map(Sink::kind).collect(), *buffer_records), Self(sinks)))
    }

    /// Starts a thread for each sink of `feed`, which must be the feed that was opened with them.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(self, feed: &Feed, state: &State, clock: &Clock) -> Result<(), Error> {
        for sink in self.0 {
            let name = format!("feed-{}", sink.kind().as_str());
            let (writer, feed) =
                (Writer::new(sink, feed.clone(), state.clone(), clock.clone()), feed.clone());
            feed.news().begin();
            let run = move || {
                writer.run();
                feed.news().end();
            };
            thread::Builder::new().name(name).spawn(run).map_err(Error::Thread)?;
        }
        Ok(())
    }
}
