//! The declaration of a metric family: name, type, help and labels.

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only rises; the metric's name ends in `_total`.
    Counter,
    /// Counts of observations in buckets.
    Histogram,
}

impl Kind {
    /// The word in a `TYPE` line, the same in both formats.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// The declaration of a metric with `N` labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family<const N: usize> {
    /// The full name, with `_total` for a counter.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// What a sample means, in one sentence.
    pub help: &'static str,
    /// The names of the labels, in the order in which samples give their values.
    pub labels: [&'static str; N],
}

impl<const N: usize> Family<N> {
    /// The same declaration, in a type that does not depend on the number of labels.
    pub(crate) const fn declaration(&'static self) -> Declaration {
        Declaration { name: self.name, kind: self.kind, help: self.help, labels: &self.labels }
    }
}

/// A [`Family`] with any number of labels.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// The full name, with `_total` for a counter.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// What a sample means, in one sentence.
    pub help: &'static str,
    /// The names of the labels.
    pub labels: &'static [&'static str],
}
