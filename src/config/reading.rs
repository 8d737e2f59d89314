//! Reads one setting after the other, so that all mistakes are found.

use super::error::{Error, Mistakes};
use super::keys::Key;
use super::sources::{Layers, Setting};

/// Reads values one by one, and notes what is wrong with them.
pub(super) struct Reading<'a> {
    layers: &'a Layers,
    mistakes: &'a mut Mistakes,
}

impl<'a> Reading<'a> {
    pub(super) fn new(layers: &'a Layers, mistakes: &'a mut Mistakes) -> Self {
        Self { layers, mistakes }
    }

    /// The value of a key that has a default; `None` if it is a mistake.
    pub(super) fn value<T>(
        &mut self,
        key: Key,
        read: impl FnOnce(&Setting) -> Result<T, Error>,
    ) -> Option<T> {
        self.mistakes.note(read(&self.layers.get_or_default(key)))
    }

    /// The value of another key, if it has one; `None` if it is a mistake.
    pub(super) fn optional<T>(
        &mut self,
        key: Key,
        read: impl FnOnce(&Setting) -> Result<T, Error>,
    ) -> Option<Option<T>> {
        self.mistakes.note(self.layers.get(key).as_ref().map(read).transpose())
    }
}
