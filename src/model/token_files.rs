//! What was found in a directory of tokens, for `/metrics`, the live page and the log.

use std::fmt;
use std::path::PathBuf;

/// The files in the directory of tokens, of the accounts of all shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenFiles {
    /// The directory.
    pub(crate) directory: PathBuf,
    /// How many files are used as they are.
    pub(crate) used: usize,
    /// The other files, in the order of their names.
    pub(crate) problems: Vec<TokenFileProblem>,
}

/// A file that is not used, or not as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenFileProblem {
    /// Its name, cut if it may be a token.
    pub(crate) file: String,
    pub(crate) result: TokenFileResult,
    /// What is wrong, as the end of a sentence about the file.
    pub(crate) reason: String,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TokenFileResult {
    /// It is used as it is.
    Used,
    /// Its name is not that of an account.
    BadName,
    /// It cannot be read, or has no usable token.
    Unusable,
    /// Its account is listed in the configuration, or has another file.
    DuplicateAccount,
    /// It is used, but its account has another alias, because another account has this one.
    DuplicateAlias,
}

impl TokenFiles {
    /// Whether the directory has no file.
    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0 && self.problems.is_empty()
    }

    /// How many files there are with this result.
    pub(crate) fn count(&self, result: TokenFileResult) -> usize {
        match result {
            TokenFileResult::Used => self.used,
            result => self.problems.iter().filter(|problem| problem.result == result).count(),
        }
    }
}

impl TokenFileResult {
    /// All results, in the order of this list.
    pub(crate) const ALL: [Self; 5] =
        [Self::Used, Self::BadName, Self::Unusable, Self::DuplicateAccount, Self::DuplicateAlias];

    /// The label value.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::BadName => "bad_name",
            Self::Unusable => "unusable",
            Self::DuplicateAccount => "duplicate_account",
            Self::DuplicateAlias => "duplicate_alias",
        }
    }
}

impl fmt::Display for TokenFileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.result {
            TokenFileResult::Used | TokenFileResult::DuplicateAlias => "is used under another alias",
            TokenFileResult::BadName | TokenFileResult::Unusable | TokenFileResult::DuplicateAccount => {
                "is not used"
            }
        };
        write!(f, "token file {:?} {verb}: {}", self.file, self.reason)
    }
}
