//! Why a connection could not be accepted, sorted by what to do next.

use std::io::{Error, ErrorKind};

/// The process has as many open files as it may (EMFILE), or the system has (ENFILE). The numbers are those of every Unix.
#[cfg(feature = "daemon")]
const OUT_OF_FILES: [i32; 2] = [24, 23];

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Accept the next connection at once: the client of this one is gone already.
    Continue,
    /// Make room: the operating system has none for another connection.
    MakeRoom,
}

impl Next {
    pub(super) fn after(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => {
                Self::Continue
            }
            _ => Self::MakeRoom,
        }
    }
}

/// Whether a file could not be opened only because too many are open.
#[cfg(feature = "daemon")]
pub(crate) fn is_out_of_files(error: &Error) -> bool {
    error.raw_os_error().is_some_and(|code| OUT_OF_FILES.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_gone_needs_no_room() {
        // ECONNABORTED, EINTR; EMFILE, ENFILE, ENOBUFS, ENOMEM.
        for (code, wanted) in [
            (103, Next::Continue),
            (4, Next::Continue),
            (24, Next::MakeRoom),
            (23, Next::MakeRoom),
            (105, Next::MakeRoom),
            (12, Next::MakeRoom),
        ] {
            assert_eq!(Next::after(&Error::from_raw_os_error(code)), wanted, "{code}");
        }
    }

    #[cfg(feature = "daemon")]
    #[test]
    fn only_too_many_open_files_say_nothing_about_a_file() {
        for (code, wanted) in [(24, true), (23, true), (2, false), (13, false)] {
            assert_eq!(is_out_of_files(&Error::from_raw_os_error(code)), wanted, "{code}");
        }
        assert!(!is_out_of_files(&Error::other("too long")));
    }
}
