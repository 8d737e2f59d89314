//! Writers of the two formats that Prometheus reads: text 0.0.4 and OpenMetrics 1.0.
//!
//! They differ in little: OpenMetrics names a counter's family without `_total`, escapes quotes in help, and
//! ends with a line that says so. Numbers never have an exponent, and `le` always has a decimal point:
//! Prometheus 3 and OpenMetrics write it so, and a series keeps its name whoever scrapes it, and how.

use std::fmt::Write as _;
use std::iter;

use crate::clock::Timestamp;
use crate::model::Histogram;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics text format 1.0.
    OpenMetrics,
}

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::OpenMetrics => "openmetrics",
        }
    }
}

/// What a family's samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only rises; its name ends in `_total`.
    Counter,
    /// Counts of observations at most as large as each `le`.
    Histogram,
}

impl Kind {
    /// The word for it in a `TYPE` line, the same in both formats.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric, declared: what it is called, what it means and what its samples are told apart by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family<const N: usize> {
    /// The full name; a counter's with `_total`.
    pub name: &'static str,
    /// What the samples mean.
    pub kind: Kind,
    /// One sentence for people.
    pub help: &'static str,
    /// The names of the labels, in the order in which samples give their values.
    pub labels: [&'static str; N],
}

impl<const N: usize> Family<N> {
    /// The same for lists, whatever the number of labels.
    pub(crate) const fn declaration(&'static self) -> Declaration {
        Declaration { name: self.name, kind: self.kind, help: self.help, labels: &self.labels }
    }
}

/// A [`Family`] with any number of labels.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// The full name; a counter's with `_total`.
    pub name: &'static str,
    /// What the samples mean.
    pub kind: Kind,
    /// One sentence for people.
    pub help: &'static str,
    /// The names of the labels.
    pub labels: &'static [&'static str],
}

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    /// A count.
    Whole(u64),
    /// A date, in seconds with milliseconds.
    Date(Timestamp),
    /// Any other.
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

/// A page, or a part of one, that grows by whole families.
#[derive(Debug)]
pub(crate) struct Writer {
    format: Format,
    text: String,
}

/// The samples of one family; its head is written before the first, so that a family without samples
/// leaves no trace.
#[derive(Debug)]
pub(crate) struct Samples<'w, const N: usize> {
    writer: &'w mut Writer,
    family: &'w Family<N>,
    headed: bool,
}

impl Writer {
    /// Nothing yet, with room for `capacity` bytes.
    pub(crate) fn new(format: Format, capacity: usize) -> Self {
        Self { format, text: String::with_capacity(capacity) }
    }

    /// Begins `family`, whose samples all have to be put before another family begins.
    pub(crate) fn family<'w, const N: usize>(&'w mut self, family: &'w Family<N>) -> Samples<'w, N> {
        Samples { writer: self, family, headed: false }
    }

    /// Writes families of counters and gauges that the `prometheus` crate gathered.
    pub(crate) fn gathered(&mut self, families: &[prometheus::proto::MetricFamily]) {
        use prometheus::proto::{Metric, MetricType};
        type Value = fn(&Metric) -> f64;
        for family in families {
            let (kind, value): (Kind, Value) = match family.get_field_type() {
                MetricType::COUNTER => (Kind::Counter, |metric| metric.get_counter().get_value()),
                MetricType::GAUGE => (Kind::Gauge, |metric| metric.get_gauge().get_value()),
                // No such metric is registered.
                MetricType::HISTOGRAM | MetricType::SUMMARY | MetricType::UNTYPED => continue,
            };
            let name = family.name();
            self.head(name, kind, family.help());
            for metric in family.get_metric() {
                let labels = metric.get_label().iter().map(|pair| (pair.name(), pair.value()));
                self.sample(name, "", labels, Number::Real(value(metric)));
            }
        }
    }

    /// What was written, as a part that others follow.
    pub(crate) fn part(self) -> String {
        self.text
    }

    /// What was written, as the last part of a page.
    pub(crate) fn last_part(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn head(&mut self, name: &str, kind: Kind, help: &str) {
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
        self.name(name, suffix, labels, None);
        self.value(value);
    }

    /// The beginning of a sample's line; `le` is the upper bound of a bucket.
    fn name<'l>(
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

    /// The rest of a sample's line.
    fn value(&mut self, value: Number) {
        self.number(value);
        self.text.push('\n');
    }

    /// `buckets` are upper bounds, rising, and how many observations were at most as large.
    fn histogram<'l>(
        &mut self,
        name: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        for (bound, below) in buckets.chain(iter::once((f64::INFINITY, count))) {
            self.name(name, "_bucket", labels.clone(), Some(bound));
            self.value(Number::Whole(below));
        }
        self.sample(name, "_sum", labels.clone(), Number::Real(sum));
        self.sample(name, "_count", labels, Number::Whole(count));
    }

    /// Writes `value` with backslashes and line ends escaped, and `quote` for each quote.
    fn escaped(&mut self, value: &str, quote: &str) {
        let mut rest = value;
        while let Some(position) = memchr::memchr3(b'\\', b'"', b'\n', rest.as_bytes()) {
            // All three are ASCII, so the text may be cut before and behind them.
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
        written.expect("a string takes whatever is written to it");
    }
}

/// The lines of samples alone, to be kept and put into pages of either format with [`Samples::put_lines`].
pub(crate) fn lines<const N: usize>(family: &Family<N>, write: impl FnOnce(&mut Samples<'_, N>)) -> String {
    let mut writer = Writer::new(Format::Text, 0);
    write(&mut Samples { writer: &mut writer, family, headed: true });
    writer.part()
}

impl<const N: usize> Samples<'_, N> {
    /// Writes samples of this family that [`lines`] wrote before.
    pub(crate) fn put_lines(&mut self, lines: &str) {
        if !lines.is_empty() {
            self.head();
            self.writer.text.push_str(lines);
        }
    }

    /// Writes one sample; `values` are those of the family's labels.
    pub(crate) fn put(&mut self, values: [&str; N], value: impl Into<Number>) {
        self.head();
        let labels = self.family.labels.into_iter().zip(values);
        self.writer.sample(self.family.name, "", labels, value.into());
    }

    /// Writes one sample of that date; in OpenMetrics the dates of a series rise.
    pub(crate) fn put_at(&mut self, values: [&str; N], value: impl Into<Number>, date: Timestamp) {
        self.head();
        let labels = self.family.labels.into_iter().zip(values);
        self.writer.name(self.family.name, "", labels, None);
        self.writer.number(value.into());
        self.writer.text.push(' ');
        self.writer.value(Number::Date(date));
    }

    /// Writes one histogram; `values` are those of the family's labels, without `le`.
    pub(crate) fn put_histogram(&mut self, values: [&str; N], histogram: &Histogram) {
        self.head();
        let labels = self.family.labels.into_iter().zip(values);
        let cumulative = histogram.counts.iter().scan(0, |below, count| {
            *below += count;
            Some(*below)
        });
        let buckets = histogram.bounds.iter().copied().zip(cumulative);
        self.writer.histogram(self.family.name, labels, buckets, histogram.count(), histogram.sum);
    }

    fn head(&mut self) {
        if !self.headed {
            self.writer.head(self.family.name, self.family.kind, self.family.help);
            self.headed = true;
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
    fn a_family_without_samples_leaves_no_trace() {
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
