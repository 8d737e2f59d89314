//! Rows of fixed-width numbers.

use crate::clock::Timestamp;
use crate::store::row::Unreadable;

/// Stands for an absent time.
const NO_TIME: i64 = i64::MIN;

/// Writes a row.
#[derive(Debug, Default)]
pub(super) struct RowWriter(Vec<u8>);

impl RowWriter {
    pub(super) fn u8(&mut self, number: u8) -> &mut Self {
        self.put([number])
    }

    pub(super) fn u16(&mut self, number: u16) -> &mut Self {
        self.put(number.to_le_bytes())
    }

    pub(super) fn u32(&mut self, number: u32) -> &mut Self {
        self.put(number.to_le_bytes())
    }

    pub(super) fn u64(&mut self, number: u64) -> &mut Self {
        self.put(number.to_le_bytes())
    }

    pub(super) fn time(&mut self, time: Timestamp) -> &mut Self {
        self.put(time.millis().to_le_bytes())
    }

    pub(super) fn maybe_time(&mut self, time: Option<Timestamp>) -> &mut Self {
        self.put(time.map_or(NO_TIME, Timestamp::millis).to_le_bytes())
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> &mut Self {
        self.0.extend_from_slice(&bytes);
        self
    }
}

/// Reads a row.
#[derive(Debug)]
pub(super) struct RowReader<'a>(&'a [u8]);

impl<'a> RowReader<'a> {
    pub(super) fn new(row: &'a [u8]) -> Self {
        Self(row)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Unreadable> {
        self.take().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Unreadable> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Unreadable> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Unreadable> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Unreadable> {
        self.maybe_time()?.ok_or(Unreadable("a time is missing"))
    }

    pub(super) fn maybe_time(&mut self) -> Result<Option<Timestamp>, Unreadable> {
        let millis = self.take().map(i64::from_le_bytes)?;
        Ok((millis != NO_TIME).then(|| Timestamp::from_millis(millis)))
    }

    /// Reads the position of one of `values`.
    pub(super) fn one_of<T: Copy>(&mut self, values: &[T]) -> Result<T, Unreadable> {
        let number = usize::from(self.u8()?);
        values.get(number).copied().ok_or(Unreadable("a row has an unknown value"))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn end(self) -> Result<(), Unreadable> {
        if self.is_empty() { Ok(()) } else { Err(Unreadable("a row is too long")) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Unreadable("a row is too short"))?;
        self.0 = rest;
        Ok(*bytes)
    }
}
