//! The content of the store: rows of bytes in a few tables, by account.
//!
//! The store does not interpret rows.

/// The version of the file and of everything in it. It rises when the meaning of a row changes, or when a row has
/// something that the version before would refuse. This program reads the rows of every older format.
///
/// 2: events that were not counted have a seventh reason.
/// 3: the count of a user's events may be unknown, and a level may be one that Cloudflare does not document. Requests charged
/// to a budget may have been sent within the last hour before their date.
/// 4: requests charged to a budget have an owner, by which those that several budgets count are known.
/// 5: records of the feed wait. A program that does not know them would count events that no record tells.
pub const FORMAT: u32 = 5;

/// A table of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// What exists once for an account, by name.
    Documents,
    /// Users who are or were on the list.
    Users,
    /// Which events were counted, by user.
    Records,
    /// Users whose events must be read.
    Pending,
    /// Users with series of their own.
    TopUsers,
    /// Records of the feed that wait to be written, by number.
    Feed,
}

impl Table {
    /// All tables, in the order of [`Table::index`].
    pub const ALL: [Self; 6] =
        [Self::Documents, Self::Users, Self::Records, Self::Pending, Self::TopUsers, Self::Feed];

    /// The position of this table in [`Table::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Users => "users",
            Self::Records => "records",
            Self::Pending => "pending",
            Self::TopUsers => "series",
            Self::Feed => "feed",
        }
    }
}

/// Writes or removes a row of an account.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// The table of the row.
    pub table: Table,
    /// The key of the row.
    pub key: &'a [u8],
    /// The new value; `None` removes the row.
    pub value: Option<&'a [u8]>,
}

/// Why a row cannot be read: this program does not write such a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);
