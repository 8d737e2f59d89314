//! Writes samples in the two formats that Prometheus reads: text 0.0.4 and OpenMetrics 1.0.
//!
//! The differences are small: OpenMetrics names a counter's family without `_total`, escapes quotes in help texts, and
//! ends with `# EOF`. Numbers never have an exponent, and `le` always has a decimal point, as in Prometheus 3 and
//! OpenMetrics. So a series has the same labels in both formats.

use std::fmt::Write as _;
use std::iter;

use super::coding::CodingSink;
use super::family::{Family, Kind};
use crate::clock::Timestamp;
use crate::model::Histogram;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics text format 1.0.
    OpenMetrics,
}

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// The value of the label `format`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::OpenMetrics => "openmetrics",
        }
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    /// An integer.
    Whole(u64),
    /// A timestamp, written in seconds with milliseconds.
    Date(Timestamp),
    /// Any other number.
    Real(f64),
}

impl From<u64> for Number {
    fn from(count: u64) -> Self {
        Self::Whole(count)
    }
}

impl From<Timestamp> for Number {
    fn from(date: Timestamp) -> Self {
        Self::Date(date)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// The size of the pieces in which a sink gets the text: large enough that the number of pieces costs nothing, and small
/// enough that a piece takes no memory worth mentioning.
const PIECE_BYTES: usize = 64 << 10;

/// The text of an exposition, or a part of it, to which whole families are appended.
#[derive(Debug)]
pub(crate) struct Writer {
    format: Format,
    /// What no sink has got yet.
    text: String,
    sink: Option<CodingSink>,
}

/// Appends the samples of one family. `HELP` and `TYPE` are written before the first sample, so a family without samples
/// is not mentioned at all.
#[derive(Debug)]
pub(crate) struct FamilyWriter<'w, const N: usize> {
    writer: &'w mut Writer,
    family: &'w Family<N>,
    has_header: bool,
}

impl Writer {
    /// An empty text with room for `capacity` bytes.
    pub(crate) fn new(format: Format, capacity: usize) -> Self {
        Self { format, text: String::with_capacity(capacity), sink: None }
    }

    /// Writes a text that goes to `sink` piece by piece.
    pub(super) fn write_to(sink: &mut CodingSink, format: Format, write: impl FnOnce(&mut Self)) {
        let text = String::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        let mut writer = Self { format, text, sink: Some(std::mem::take(sink)) };
        write(&mut writer);
        *sink = writer.sink.unwrap_or_default();
        sink.push(writer.text.as_bytes());
    }

    /// Begins `family`. All its samples must be written before the next family begins.
    pub(crate) fn family<'w, const N: usize>(&'w mut self, family: &'w Family<N>) -> FamilyWriter<'w, N> {
        FamilyWriter { writer: self, family, has_header: false }
    }

    /// Writes the counters and gauges of a `prometheus` registry.
    pub(crate) fn gathered(&mut self, families: &[prometheus::proto::MetricFamily]) {
        use prometheus::proto::{Metric, MetricType};
        type Value = fn(&Metric) -> f64;
        for family in families {
            let (kind, value): (Kind, Value) = match family.get_field_type() {
                MetricType::COUNTER => (Kind::Counter, |metric| metric.get_counter().get_value()),
                MetricType::GAUGE => (Kind::Gauge, |metric| metric.get_gauge().get_value()),
                // None of these types is registered.
                MetricType::HISTOGRAM | MetricType::SUMMARY | MetricType::UNTYPED => continue,
            };
            let name = family.name();
            self.header(name, kind, family.help());
            for metric in family.get_metric() {
                let labels = metric.get_label().iter().map(|pair| (pair.name(), pair.value()));
                self.sample(name, "", labels, Number::Real(value(metric)));
            }
        }
    }

    /// The text, if more parts follow it.
    pub(crate) fn part(self) -> String {
        self.text
    }

    /// The text, if it is the last part of the exposition.
    pub(crate) fn last_part(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn header(&mut self, name: &str, kind: Kind, help: &str) {
        let open_metrics = self.format == Format::OpenMetrics;
        let family = match name.strip_suffix("_total") {
            Some(stem) if open_metrics && kind == Kind::Counter => stem,
            _ => name,
        };
        self.text.push_str("# HELP ");
        self.text.push_str(family);
        self.text.push(' ');
        let quote = if open_metrics { "\\\"" } else { "\"" };
        self.escaped(help, quote);
        self.text.push_str("\n# TYPE ");
        self.text.push_str(family);
        self.text.push(' ');
        self.text.push_str(kind.as_str());
        self.text.push('\n');
    }

    fn sample<'l>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)>,
        value: Number,
    ) {
        self.series(name, suffix, labels, None);
        self.value(value);
    }

    /// The name and the labels of a sample; `le` is the upper bound of a bucket.
    fn series<'l>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)>,
        le: Option<f64>,
    ) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (label, value) in labels {
            self.text.push(before);
            self.text.push_str(label);
            self.text.push_str("=\"");
            self.escaped(value, "\\\"");
            self.text.push('"');
            before = ',';
        }
        if let Some(bound) = le {
            self.text.push(before);
            self.text.push_str("le=\"");
            self.number(Number::Real(bound));
            if bound.fract() == 0.0 {
                self.text.push_str(".0");
            }
            self.text.push('"');
            before = ',';
        }
        self.text.push_str(if before == '{' { " " } else { "} " });
    }

    /// The value of a sample, which ends its line.
    fn value(&mut self, value: Number) {
        self.number(value);
        self.text.push('\n');
        if self.text.len() >= PIECE_BYTES
            && let Some(sink) = &mut self.sink
        {
            sink.push(self.text.as_bytes());
            self.text.clear();
        }
    }

    /// `buckets` are ascending upper bounds, each with the number of observations that are not greater.
    fn histogram<'l>(
        &mut self,
        name: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        for (bound, below) in buckets.chain(iter::once((f64::INFINITY, count))) {
            self.series(name, "_bucket", labels.clone(), Some(bound));
            self.value(Number::Whole(below));
        }
        self.sample(name, "_sum", labels.clone(), Number::Real(sum));
        self.sample(name, "_count", labels, Number::Whole(count));
    }

    /// Writes `value` with backslashes and line feeds escaped, and `quote` in place of each quote.
    fn escaped(&mut self, value: &str, quote: &str) {
        let mut rest = value;
        while let Some(position) = memchr::memchr3(b'\\', b'"', b'\n', rest.as_bytes()) {
            // All three are ASCII, so both cuts are at character boundaries.
            let (plain, special) = rest.split_at(position);
            let (special, after) = special.split_at(1);
            self.text.push_str(plain);
            self.text.push_str(match special {
                "\n" => "\\n",
                "\"" => quote,
                _ => "\\\\",
            });
            rest = after;
        }
        self.text.push_str(rest);
    }

    fn number(&mut self, value: Number) {
        let written = match value {
            Number::Whole(count) => write!(self.text, "{count}"),
            Number::Date(date) => {
                let millis = date.millis();
                let sign = if millis < 0 { "-" } else { "" };
                let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
                match rest {
                    0 => write!(self.text, "{sign}{seconds}"),
                    _ => write!(self.text, "{sign}{seconds}.{rest:03}"),
                }
            }
            Number::Real(value) if value.is_infinite() && value > 0.0 => write!(self.text, "+Inf"),
            Number::Real(value) if value.is_infinite() => write!(self.text, "-Inf"),
            Number::Real(value) => write!(self.text, "{value}"),
        };
        written.expect("writing to a string does not fail");
    }
}

/// The lines of some samples without `HELP` and `TYPE`. They can be cached, and inserted into either format with
/// [`FamilyWriter::put_lines`].
pub(crate) fn lines<const N: usize>(
    family: &Family<N>,
    write: impl FnOnce(&mut FamilyWriter<'_, N>),
) -> String {
    let mut writer = Writer::new(Format::Text, 0);
    write(&mut FamilyWriter { writer: &mut writer, family, has_header: true });
    writer.part()
}

impl<const N: usize> FamilyWriter<'_, N> {
    /// Writes samples of this family that were encoded by [`lines`].
    pub(crate) fn put_lines(&mut self, lines: &str) {
        if !lines.is_empty() {
            self.header();
            self.writer.text.push_str(lines);
        }
    }

    /// Writes one sample; `values` are those of the family's labels.
    pub(crate) fn put(&mut self, values: [&str; N], value: impl Into<Number>) {
        self.header();
        let labels = self.family.labels.into_iter().zip(values);
        self.writer.sample(self.family.name, "", labels, value.into());
    }

    /// Writes one sample with a timestamp. OpenMetrics requires that the timestamps of a series rise.
    pub(crate) fn put_at(&mut self, values: [&str; N], value: impl Into<Number>, date: Timestamp) {
        self.header();
        let labels = self.family.labels.into_iter().zip(values);
        self.writer.series(self.family.name, "", labels, None);
        self.writer.number(value.into());
        self.writer.text.push(' ');
        self.writer.value(Number::Date(date));
    }

    /// Writes one histogram; `values` are those of the family's labels, without `le`.
    pub(crate) fn put_histogram(&mut self, values: [&str; N], histogram: &Histogram) {
        self.header();
        let labels = self.family.labels.into_iter().zip(values);
        let cumulative = histogram.counts.iter().scan(0, |below, count| {
            *below += count;
            Some(*below)
        });
        let buckets = histogram.bounds.iter().copied().zip(cumulative);
        self.writer.histogram(self.family.name, labels, buckets, histogram.count(), histogram.sum);
    }

    fn header(&mut self) {
        if !self.has_header {
            self.writer.header(self.family.name, self.family.kind, self.family.help);
            self.has_header = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: Family<2> = Family {
        name: "events_total",
        kind: Kind::Counter,
        help: "Events, \"distinct\"\\each once.\nOver restarts.",
        labels: ["account", "name"],
    };

    const AGE: Family<0> = Family { name: "age_seconds", kind: Kind::Histogram, help: "Ages.", labels: [] };

    fn written(format: Format, write: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::new(format, 0);
        write(&mut writer);
        writer.last_part()
    }

    #[test]
    fn each_format_escapes_and_names_a_counter_in_its_own_way() {
        let write = |writer: &mut Writer| {
            writer.family(&EVENTS).put(["a\\b", "say \"ö\"\n"], 7_u64);
        };
        assert_eq!(
            written(Format::Text, write),
            "# HELP events_total Events, \"distinct\"\\\\each once.\\nOver restarts.\n\
             # TYPE events_total counter\n\
             events_total{account=\"a\\\\b\",name=\"say \\\"ö\\\"\\n\"} 7\n"
        );
        assert_eq!(
            written(Format::OpenMetrics, write),
            "# HELP events Events, \\\"distinct\\\"\\\\each once.\\nOver restarts.\n\
             # TYPE events counter\n\
             events_total{account=\"a\\\\b\",name=\"say \\\"ö\\\"\\n\"} 7\n\
             # EOF\n"
        );
    }

    #[test]
    fn a_family_without_samples_is_not_mentioned() {
        let nothing = |writer: &mut Writer| {
            writer.family(&EVENTS);
        };
        assert_eq!(written(Format::Text, nothing), "");
        assert_eq!(written(Format::OpenMetrics, nothing), "# EOF\n");
    }

    #[test]
    fn a_histogram_is_cumulative_and_its_bounds_have_a_decimal_point() {
        let mut ages = Histogram::new(&[0.5, 60.0, 3_600.0]);
        for seconds in [0.25, 60.0, 61.0, 1e9] {
            ages.observe(seconds);
        }
        assert_eq!(
            written(Format::Text, |writer| writer.family(&AGE).put_histogram([], &ages)),
            "# HELP age_seconds Ages.\n# TYPE age_seconds histogram\n\
             age_seconds_bucket{le=\"0.5\"} 1\n\
             age_seconds_bucket{le=\"60.0\"} 2\n\
             age_seconds_bucket{le=\"3600.0\"} 3\n\
             age_seconds_bucket{le=\"+Inf\"} 4\n\
             age_seconds_sum 1000000121.25\n\
             age_seconds_count 4\n"
        );
        assert!(
            written(Format::Text, |writer| writer.family(&AGE).put_histogram([], &Histogram::default()))
                .ends_with("age_seconds_bucket{le=\"+Inf\"} 0\nage_seconds_sum 0\nage_seconds_count 0\n"),
            "a histogram without bounds has its last bucket only"
        );
    }

    #[test]
    fn numbers_have_no_exponent_and_dates_have_milliseconds_where_there_are_any() {
        for (number, wanted) in [
            (Number::Whole(u64::MAX), "18446744073709551615"),
            (Number::Date(Timestamp::from_seconds(1_732_870_000)), "1732870000"),
            (Number::Date(Timestamp::from_millis(1_732_870_000_007)), "1732870000.007"),
            (Number::Date(Timestamp::from_millis(-1_500)), "-1.500"),
            (Number::Real(1e20), "100000000000000000000"),
            (Number::Real(1.5e-7), "0.00000015"),
            (Number::Real(3.0), "3"),
            (Number::Real(f64::INFINITY), "+Inf"),
            (Number::Real(f64::NEG_INFINITY), "-Inf"),
            (Number::Real(f64::NAN), "NaN"),
        ] {
            let mut writer = Writer::new(Format::Text, 0);
            writer.number(number);
            assert_eq!(writer.part(), wanted);
        }
    }
}
