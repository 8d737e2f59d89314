//! Where credentials are, and how they are read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::error::Error;
use super::regular_file::read_regular_file;
use super::sources::Setting;
use crate::cloudflare::Credentials;

/// Cloudflare's tokens have 40 characters and its keys 37. Anything as long as this is another file.
const LONGEST_SECRET: usize = 1024;

/// A key that can be guessed does not hide user ids. 16 random bytes cannot be guessed.
const SHORTEST_HASH_KEY: usize = 16;

/// Whether files with tokens and API keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// A file that is missing or has no usable secret is a mistake.
    Read,
    /// The files may be elsewhere.
    Skip,
}

/// The source of an account's credential.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// An API token in the configuration.
    Token(SecretString),
    /// A file with an API token. It is read again when it changes.
    TokenFile(PathBuf),
    /// A user's e-mail address and global API key in the configuration.
    Key {
        /// The user's e-mail address.
        email: String,
        /// The global API key.
        key: SecretString,
    },
    /// A user's e-mail address, and a file with the global API key. The file is read again when it changes.
    KeyFile {
        /// The user's e-mail address.
        email: String,
        /// The file with the key.
        path: PathBuf,
    },
}

impl CredentialSource {
    /// The file that the credential is in, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::TokenFile(path) | Self::KeyFile { path, .. } => Some(path),
            Self::Token(_) | Self::Key { .. } => None,
        }
    }

    /// The user's e-mail address, for an API key.
    pub(super) fn email(&self) -> Option<&str> {
        match self {
            Self::Key { email, .. } | Self::KeyFile { email, .. } => Some(email),
            Self::Token(_) | Self::TokenFile(_) => None,
        }
    }

    /// Reads the credential. Line ends after it are removed.
    ///
    /// # Errors
    /// The file cannot be read, or its content is not allowed in an HTTP header. The error does not show the content.
    pub fn read(&self) -> Result<Credentials, Error> {
        Ok(match self {
            Self::Token(token) => Credentials::Token(token.clone()),
            Self::TokenFile(path) => Credentials::Token(secret_file(path)?),
            Self::Key { email, key } => Credentials::Key { email: email.clone(), key: key.clone() },
            Self::KeyFile { email, path } => {
                Credentials::Key { email: email.clone(), key: secret_file(path)? }
            }
        })
    }
}

/// The error for a setting whose file has no usable secret. A bare name that is not a file in `directory` is not shown: it
/// may be the secret itself, given instead of its file.
pub(super) fn unusable(setting: &Setting, file: &Path, directory: &Path, error: &Error) -> Error {
    let as_written = file.strip_prefix(directory).unwrap_or(file);
    if as_written.components().count() > 1 || as_written.has_root() || file.exists() {
        setting.refuse(&format!("cannot be used: {error}"))
    } else {
        setting.refuse("must be the path of a file, but there is no file of that name")
    }
}

/// The secret without the line ends that editors and `echo` write after it.
///
/// # Errors
/// Why it cannot be sent in a request. The text continues a sentence that begins with the name of the secret.
pub(super) fn sendable(text: &str) -> Result<SecretString, &'static str> {
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err("is empty");
    }
    if secret.len() > LONGEST_SECRET {
        return Err("is longer than 1024 characters, so it is not a Cloudflare token or key");
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "has a character that is not allowed in an HTTP header, such as a space, a line end or an accent",
        );
    }
    Ok(SecretString::from(secret))
}

fn secret_file(path: &Path) -> Result<SecretString, Error> {
    let refuse = |why: &str| Error::new(format!("the content of {} {why}", path.display()));
    let bytes = read_bounded(path)?;
    let text = str::from_utf8(bytes.expose_secret()).map_err(|_| refuse("is not UTF-8 text"))?;
    sendable(text).map_err(refuse)
}

/// The key for hashing user ids: the bytes of the file, without line ends after them.
pub(super) fn hash_key(path: &Path) -> Result<SecretSlice<u8>, Error> {
    let bytes = read_bounded(path)?;
    let all = bytes.expose_secret();
    let end = all.iter().rposition(|byte| !b"\r\n".contains(byte));
    let key = all.get(..end.map_or(0, |last| last + 1)).unwrap_or_default();
    if key.len() < SHORTEST_HASH_KEY || key.len() > LONGEST_SECRET {
        return Err(Error::new(format!(
            "the key in {} has {} bytes, but must have from {SHORTEST_HASH_KEY} to {LONGEST_SECRET}",
            path.display(),
            key.len()
        )));
    }
    Ok(key.to_vec().into())
}

/// A warning if every user of this machine may read the file.
pub(crate) fn readable_by_all(path: &Path) -> Option<String> {
    let mode = mode_if_readable_by_all(path)?;
    let path = path.display();
    Some(format!(
        "every user of this machine may read the secret in {path} (mode {mode:04o}); run chmod o-rwx on it"
    ))
}

/// One warning if every user of this machine may read some of these files.
pub(super) fn some_readable_by_all(paths: &[&Path]) -> Option<String> {
    const NAMED: usize = 3;
    let readable: Vec<_> = paths.iter().filter(|path| mode_if_readable_by_all(path).is_some()).collect();
    if let [only] = readable.as_slice() {
        return readable_by_all(only);
    }
    let named: Vec<String> = readable.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    let others = readable.len().saturating_sub(NAMED);
    let more = if others > 0 { format!(" and {others} more") } else { String::new() };
    (!readable.is_empty()).then(|| {
        format!(
            "every user of this machine may read the secrets in {} files: {}{more}; run chmod o-rwx on them",
            readable.len(),
            named.join(", ")
        )
    })
}

fn mode_if_readable_by_all(path: &Path) -> Option<u32> {
    const READ_BY_OTHERS: u32 = 0o004;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & READ_BY_OTHERS != 0).then_some(mode)
}

/// Reads a regular file, and at most a little more than any secret is long.
fn read_bounded(path: &Path) -> Result<SecretSlice<u8>, Error> {
    let bytes = read_regular_file(path, LONGEST_SECRET as u64 * 2);
    bytes.map(Into::into).map_err(|error| Error::new(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_everyone_may_read_are_one_warning() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = folder.path().join(name);
            fs::write(&path, "secret").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let private = file("private", 0o600);
        let open: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| file(name, 0o644)).into();
        let warning = |open: &[PathBuf]| {
            let paths: Vec<&Path> = [&private].into_iter().chain(open).map(PathBuf::as_path).collect();
            let warning = some_readable_by_all(&paths);
            warning.map(|text| text.replace(&format!("{}/", folder.path().display()), ""))
        };
        let text = |files: &str| Some(format!("every user of this machine may read the {files}"));
        assert_eq!(warning(&[]), None);
        assert_eq!(warning(&open[..1]), text("secret in a (mode 0644); run chmod o-rwx on it"));
        assert_eq!(warning(&open[..3]), text("secrets in 3 files: a, b, c; run chmod o-rwx on them"));
        assert_eq!(warning(&open), text("secrets in 5 files: a, b, c and 2 more; run chmod o-rwx on them"));
    }
}
