//! Why a connection could not be accepted, sorted by what to do next.

use std::io::{Error, ErrorKind};

/// The process has as many open files as it may (EMFILE), or the system has (ENFILE). The numbers are those of every Unix.
const OUT_OF_FILES: [i32; 2] = [24, 23];

/// The kernel has no memory for another socket (ENOMEM, ENOBUFS); Linux's numbers.
const OUT_OF_MEMORY: [i32; 2] = [12, 105];

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Accept the next connection at once: the client of this one is gone already.
    Continue,
    /// Make room: the operating system has none for another connection.
    MakeRoom,
    /// Try again later: nothing that can be done here would help.
    Wait,
}

impl Next {
    pub(super) fn after(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => {
                Self::Continue
            }
            _ if is_out_of_files(error) || has_code(error, OUT_OF_MEMORY) => Self::MakeRoom,
            _ => Self::Wait,
        }
    }
}

/// Whether a file could not be opened only because too many are open.
pub(crate) fn is_out_of_files(error: &Error) -> bool {
    has_code(error, OUT_OF_FILES)
}

fn has_code(error: &Error, codes: [i32; 2]) -> bool {
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_operating_system_lacks_needs_room() {
        // ECONNABORTED, EINTR; EMFILE, ENFILE, ENOBUFS, ENOMEM; EPERM, ENETDOWN.
        for (code, wanted) in [
            (103, Next::Continue),
            (4, Next::Continue),
            (24, Next::MakeRoom),
            (23, Next::MakeRoom),
            (105, Next::MakeRoom),
            (12, Next::MakeRoom),
            (1, Next::Wait),
            (100, Next::Wait),
        ] {
            assert_eq!(Next::after(&Error::from_raw_os_error(code)), wanted, "{code}");
        }
    }

    #[test]
    fn only_too_many_open_files_say_nothing_about_a_file() {
        for (code, wanted) in [(24, true), (23, true), (2, false), (13, false)] {
            assert_eq!(is_out_of_files(&Error::from_raw_os_error(code)), wanted, "{code}");
        }
        assert!(!is_out_of_files(&Error::other("too long")));
    }
}
