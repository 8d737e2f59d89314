//! Counts past events on a grid of dates, and writes them as OpenMetrics with timestamps.
//!
//! A sample counts the events up to its date. Only dates with events are stored, so memory depends on the events and not
//! on the users: at most one number for each behavior, level and date.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::collector::behavior_labels::{LabelId, Labels};
use crate::metrics::encode::{Format, Writer, lines};
use crate::metrics::families::cloudflare::BACKFILL_EVENTS;
use crate::model::{Behavior, Event, Level};

/// The labels that Prometheus adds to scraped samples. The dashboards select by them.
const JOB: &str = "zt-risk-exporter";
const INSTANCE: &str = "backfill";

/// The most samples of a series: more than a year in steps of five minutes.
pub(super) const MOST_SAMPLES: u64 = 120_000;

/// The time range and the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    /// Events at or before this date are not counted.
    pub(super) since: Timestamp,
    /// Events after this date are not counted.
    pub(super) until: Timestamp,
    /// The time between two samples.
    pub(super) step: Duration,
}

impl Span {
    fn step_millis(&self) -> i64 {
        i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    /// The date of the first sample, whose value is 0. It is a multiple of the step, so that each hour starts with a
    /// sample.
    fn first(&self) -> i64 {
        self.since.millis().div_euclid(self.step_millis()) * self.step_millis()
    }

    /// The number of steps. The last one may be shorter.
    pub(super) fn steps(&self) -> u64 {
        let span = self.until.millis().saturating_sub(self.first());
        u64::try_from(span).unwrap_or(0).div_ceil(self.step_millis().unsigned_abs())
    }

    /// The number of the first sample that counts an event at `date`, if it is within the range.
    fn step_of(&self, date: Timestamp) -> Option<u32> {
        if date <= self.since || date > self.until {
            return None;
        }
        let after = (date.millis() - self.first()).unsigned_abs();
        u32::try_from(after.div_ceil(self.step_millis().unsigned_abs())).ok()
    }

    /// The dates of the samples, with their numbers.
    fn dates(&self) -> impl Iterator<Item = (u32, Timestamp)> {
        let (first, step, last) = (self.first(), self.step_millis(), self.until);
        let date = move |number: u32| Timestamp::from_millis(first + i64::from(number) * step).min(last);
        (0..=u32::try_from(self.steps()).unwrap_or(u32::MAX)).map(move |number| (number, date(number)))
    }
}

/// The counts of a time range.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct History {
    span: Span,
    labels: Labels,
    series: Vec<Series>,
}

/// Events of one behavior and level, by the number of the first sample that counts them.
#[derive(Debug, Serialize, Deserialize)]
struct Series {
    behavior: LabelId,
    level: Level,
    events: BTreeMap<u32, u32>,
}

impl History {
    pub(super) fn new(span: Span) -> Self {
        Self { span, labels: Labels::default(), series: Vec::new() }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn series(&self) -> usize {
        self.series.len()
    }

    /// Whether a history that was read from a file is consistent.
    pub(super) fn is_sound(&self) -> bool {
        let names = self.labels.names().len();
        let last = self.span.steps();
        self.labels.is_sound()
            && last <= MOST_SAMPLES
            && self.series.iter().all(|series| {
                series.behavior.index() < names && series.events.keys().all(|step| u64::from(*step) <= last)
            })
    }

    /// Sets the labels of the listed behaviors. Must be called before [`History::add`].
    pub(super) fn label(&mut self, behaviors: &[Behavior]) {
        self.labels.list(behaviors);
    }

    /// Counts the events of one user within the range, and returns how many there are.
    pub(super) fn add(&mut self, events: &[Event]) -> u64 {
        let mut counted = 0;
        for event in events {
            let Some(step) = self.span.step_of(event.timestamp) else { continue };
            let behavior = self.labels.learn(&event.name);
            let count = self.series_of(behavior, event.level).events.entry(step).or_default();
            *count = count.saturating_add(1);
            counted += 1;
        }
        counted
    }

    fn series_of(&mut self, behavior: LabelId, level: Level) -> &mut Series {
        let same = |series: &Series| (series.behavior, series.level) == (behavior, level);
        let at = self.series.iter().position(same).unwrap_or_else(|| {
            self.series.push(Series { behavior, level, events: BTreeMap::new() });
            self.series.len() - 1
        });
        &mut self.series[at]
    }

    /// Writes the family: one series after the other, each in order of time.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub(super) fn write(&self, account: &str, out: &mut impl Write) -> io::Result<()> {
        let mut names: Vec<_> = self.series.iter().map(|series| (self.name(series), series)).collect();
        names.sort_by_key(|(name, series)| (*name, series.level));
        let mut head = Head::Missing;
        for (name, series) in names {
            let samples = lines(&BACKFILL_EVENTS, |samples| {
                let mut total = 0_u64;
                for (number, date) in self.span.dates() {
                    total += u64::from(series.events.get(&number).copied().unwrap_or(0));
                    samples.put_at([account, name, series.level.as_str(), JOB, INSTANCE], total, date);
                }
            });
            let samples = match head {
                Head::Missing => {
                    let mut writer = Writer::new(Format::OpenMetrics, samples.len());
                    writer.family(&BACKFILL_EVENTS).put_lines(&samples);
                    head = Head::Written;
                    writer.part()
                }
                Head::Written => samples,
            };
            out.write_all(samples.as_bytes())?;
        }
        out.write_all(Writer::new(Format::OpenMetrics, 0).last_part().as_bytes())
    }

    fn name(&self, series: &Series) -> &str {
        self.labels.names().get(series.behavior.index()).map_or("", String::as_str)
    }
}

/// Whether the header of the family was written.
enum Head {
    Missing,
    Written,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn event(name: &str, level: Level, second: i64) -> Event {
        Event { id: second.to_string(), name: name.to_owned(), level, timestamp: at(second) }
    }

    fn span(since: i64, until: i64, step: u64) -> Span {
        Span { since: at(since), until: at(until), step: Duration::from_secs(step) }
    }

    fn written(history: &History) -> String {
        let mut out = Vec::new();
        history.write("acme", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_counts_from_the_first_sample_that_is_not_earlier() {
        let span = span(1_010, 1_930, 300);
        let dates: Vec<_> = span.dates().map(|(_, date)| date.millis() / 1_000).collect();
        assert_eq!(dates, [900, 1_200, 1_500, 1_800, 1_930]);
        for (second, number) in [
            (1_010, None),
            (1_011, Some(1)),
            (1_200, Some(1)),
            (1_201, Some(2)),
            (1_801, Some(4)),
            (1_930, Some(4)),
            (1_931, None),
            (-5, None),
        ] {
            assert_eq!(span.step_of(at(second)), number, "{second}");
        }
    }

    #[test]
    fn a_span_that_ends_with_a_step_has_no_shorter_one() {
        let dates: Vec<_> = span(600, 1_200, 300).dates().map(|(_, date)| date.millis() / 1_000).collect();
        assert_eq!(dates, [600, 900, 1_200]);
        assert_eq!(span(600, 600, 300).steps(), 0);
        assert_eq!(span(600, 300, 300).steps(), 0);
    }

    #[test]
    fn series_are_whole_their_dates_rise_and_they_begin_at_0() {
        let mut history = History::new(span(600, 1_000, 300));
        history.label(&[Behavior {
            id: "imp_travel".to_owned(),
            name: "Impossible Travel".to_owned(),
            description: String::new(),
            enabled: Some(true),
            level: Level::High,
        }]);
        let (high, low) = (Level::High, Level::Low);
        assert_eq!(history.add(&[event("Impossible Travel", high, 601), event("imp_travel", high, 950)]), 2);
        assert_eq!(history.add(&[event("a", low, 900), event("a", low, 600), event("a", low, 1_001)]), 1);
        assert_eq!(history.add(&[event("imp_travel", high, 901)]), 1);
        let name = "cloudflare_zt_risk_backfill_events";
        let sample = |behavior: &str, level: &str, value: u64, date: i64| {
            format!(
                "{name}_total{{account=\"acme\",behavior=\"{behavior}\",risk_level=\"{level}\",\
                 job=\"zt-risk-exporter\",instance=\"backfill\"}} {value} {date}\n"
            )
        };
        let head = format!("# HELP {name} {}\n# TYPE {name} counter\n", BACKFILL_EVENTS.help);
        let a = sample("a", "low", 0, 600) + &sample("a", "low", 1, 900) + &sample("a", "low", 1, 1_000);
        let travel: String = [(0, 600), (1, 900), (3, 1_000)]
            .map(|(value, date)| sample("imp_travel", "high", value, date))
            .concat();
        assert_eq!(written(&history), format!("{head}{a}{travel}# EOF\n"));
    }

    #[test]
    fn without_events_there_is_no_family() {
        assert_eq!(written(&History::new(span(600, 1_200, 300))), "# EOF\n");
    }

    #[test]
    fn what_is_kept_is_read_back_and_nonsense_is_noticed() {
        let mut history = History::new(span(600, 1_200, 300));
        history.add(&[event("a", Level::Low, 700), event("b", Level::Unknown, 1_000)]);
        let kept = serde_json::to_string(&history).unwrap();
        let read: History = serde_json::from_str(&kept).unwrap();
        assert!(read.is_sound());
        assert_eq!(written(&read), written(&history));
        for (from, to) in [("\"behavior\":1", "\"behavior\":9"), ("\"events\":{\"1\"", "\"events\":{\"77\"")]
        {
            let spoilt: History = serde_json::from_str(&kept.replace(from, to)).unwrap();
            assert!(!spoilt.is_sound(), "{to}");
        }
    }
}
