//! `feed tail`: shows the latest records of a feed's file, and then those that come.

mod words;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::super::admin::args::listed_level;
use super::super::candidates::behaviors;
use crate::commands::{Failure, Outcome};
use crate::feed::Follower;
use crate::model::Level;
use words::Words;

/// How often the file is looked at. The exporter writes at most once a second.
const INTERVAL: Duration = Duration::from_millis(250);

/// Show the latest records of a feed, and then those that come, until interrupted
#[derive(Debug, Clone, Args)]
pub(crate) struct Tail {
    /// The file of the feed, of the format json; its rotations are followed
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only records of this level, which for a reset is the one before; give several with commas, or repeat the flag
    #[arg(id = "risk_level", long = "level", value_name = "LEVEL", value_delimiter = ',', value_parser = listed_level())]
    level: Vec<Level>,
    /// Only records about this behavior; give several with commas, or repeat the flag
    #[arg(long, value_name = "BEHAVIOR", value_delimiter = ',', add = ArgValueCandidates::new(behaviors))]
    behavior: Vec<String>,
    /// How many of the latest records are shown first
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    lines: usize,
    /// Show the latest records and end
    #[arg(long)]
    no_follow: bool,
}

impl Tail {
    pub(crate) fn run(&self) -> Outcome {
        let failed = |error: io::Error| Failure::Runtime(format!("{}: {error}", self.file.display()));
        let mut follower = Follower::open(&self.file).map_err(failed)?;
        let mut latest = VecDeque::new();
        while let Some(line) = follower.next_line().map_err(failed)? {
            let Some(words) = self.selected(&line)? else { continue };
            if latest.len() == self.lines {
                latest.pop_front();
            }
            if latest.len() < self.lines {
                latest.push_back(words);
            }
        }
        let mut heading = String::new();
        let mut show = |words: &Words| {
            let mut text = words.line();
            if words.heading() != heading {
                heading = words.heading();
                text = format!("{heading}\n{text}");
            }
            writeln!(io::stdout(), "{text}")
        };
        let mut shown = latest.iter().try_for_each(&mut show);
        while shown.is_ok() && !self.no_follow {
            match follower.next_line().map_err(failed)? {
                Some(line) => shown = self.selected(&line)?.as_ref().map_or(Ok(()), &mut show),
                None => thread::sleep(INTERVAL),
            }
        }
        match shown {
            // The reader of a pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            shown => shown.map_err(|error| Failure::Runtime(format!("standard output: {error}"))),
        }
    }

    /// The record, if it is one that was asked for.
    fn selected(&self, line: &str) -> Result<Option<Words>, Failure> {
        let words = Words::read(line).ok_or_else(|| {
            Failure::Runtime(format!("{}: a line is no record of the format json", self.file.display()))
        })?;
        let has_level = self.level.is_empty() || words.level.is_some_and(|level| self.level.contains(&level));
        let has_behavior = self.behavior.is_empty()
            || words.behavior.as_ref().is_some_and(|behavior| self.behavior.contains(behavior));
        Ok((has_level && has_behavior).then_some(words))
    }
}
