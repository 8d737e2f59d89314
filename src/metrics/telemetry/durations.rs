//! How long Cloudflare takes to answer, by endpoint.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::encode::Writer;
use crate::metrics::families::exporter as f;
use crate::model::{Histogram, Resource};

/// In seconds. Is Cloudflare slower than usual (1, 2, 5)? Would a time-out of 10 or 30 seconds have struck?
/// Does a summary come near the minute, or the five minutes at which it is given up?
const BOUNDS: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A histogram for each endpoint.
#[derive(Debug)]
pub(super) struct Durations {
    by_endpoint: Mutex<[Histogram; Resource::ALL.len()]>,
}

impl Durations {
    pub(super) fn new() -> Self {
        Self { by_endpoint: Mutex::new(Resource::ALL.map(|_| Histogram::new(&BOUNDS))) }
    }

    pub(super) fn observe(&self, endpoint: Resource, took: Duration) {
        let mut durations = self.by_endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        durations[endpoint.index()].observe(took.as_secs_f64());
    }

    /// Writes the histograms.
    pub(super) fn write(&self, writer: &mut Writer) {
        let durations = self.by_endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = writer.family(&f::REQUEST_DURATION);
        for (endpoint, durations) in Resource::ALL.into_iter().zip(&*durations) {
            out.put_histogram([endpoint.as_str()], durations);
        }
    }
}
