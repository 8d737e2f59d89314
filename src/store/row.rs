//! What the store holds: rows of bytes in a few tables, by account.
//!
//! What a row says is up to whoever writes it. The store only gives it back.

/// The version of the file and of everything in it. It rises when a row changes its meaning.
pub(crate) const FORMAT: u32 = 1;

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// What an account has once, by name.
    Documents,
    /// Who is on the list, by user.
    Users,
    /// Which events were counted, by user.
    Records,
    /// Whose events are still to be read, by user.
    Pending,
    /// Who has series, by user.
    TopUsers,
}

impl Table {
    /// All tables, in the order of [`Table::index`].
    pub const ALL: [Self; 5] = [Self::Documents, Self::Users, Self::Records, Self::Pending, Self::TopUsers];

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
        }
    }
}

/// A row of an account that is written or removed.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Where it stands.
    pub table: Table,
    /// The key of the row.
    pub key: &'a [u8],
    /// What it says; `None` if it is to be removed.
    pub value: Option<&'a [u8]>,
}

/// Why a row cannot be read: it does not say what this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);
