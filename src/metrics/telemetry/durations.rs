//! How long Cloudflare takes to answer, by resource.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::encode::Writer;
use crate::metrics::families::exporter as f;
use crate::model::{Histogram, Resource};

/// In seconds. 1, 2 and 5: is Cloudflare slower than usual? 10 and 30: would time-outs of that length have stopped a
/// request? 60 and 300: does a summary take long enough to come near its time-out of five minutes?
const BOUNDS: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A histogram for each resource.
#[derive(Debug)]
pub(super) struct Durations {
    by_resource: Mutex<[Histogram; Resource::ALL.len()]>,
}

impl Durations {
    pub(super) fn new() -> Self {
        Self { by_resource: Mutex::new(Resource::ALL.map(|_| Histogram::new(&BOUNDS))) }
    }

    pub(super) fn observe(&self, resource: Resource, took: Duration) {
        let mut durations = self.by_resource.lock().unwrap_or_else(PoisonError::into_inner);
        durations[resource.index()].observe(took.as_secs_f64());
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let durations = self.by_resource.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = writer.family(&f::REQUEST_DURATION);
        for (resource, durations) in Resource::ALL.into_iter().zip(&*durations) {
            out.put_histogram([resource.as_str()], durations);
        }
    }
}
