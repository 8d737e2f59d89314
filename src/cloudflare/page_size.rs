//! The page size of each list: the server's default, or a larger one that it grants.

use std::sync::{Mutex, PoisonError};

/// What the client knows about the page size of each list.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) summary: PageSizeProbe,
    pub(super) user: PageSizeProbe,
}

/// Finds out, once for each list, whether the server grants a larger page size.
#[derive(Debug)]
pub(super) struct PageSizeProbe {
    /// The size to ask for once a list turns out to have pages.
    pub(super) size: u32,
    result: Mutex<ProbeResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeResult {
    /// No list had pages so far.
    Untried,
    /// The server grants the larger size, so even the first request asks for it.
    Granted,
    /// The server keeps its own size, or refuses the request.
    Refused,
}

impl Paging {
    pub(super) fn new(size: u32) -> Self {
        let probe = || PageSizeProbe { size, result: Mutex::new(ProbeResult::Untried) };
        Self { summary: probe(), user: probe() }
    }
}

impl PageSizeProbe {
    pub(super) fn granted(&self) -> Option<u32> {
        (self.result() == ProbeResult::Granted).then_some(self.size)
    }

    pub(super) fn untried(&self) -> bool {
        self.result() == ProbeResult::Untried
    }

    fn result(&self) -> ProbeResult {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, result: ProbeResult) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = result;
    }
}
