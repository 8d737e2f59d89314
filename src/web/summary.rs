//! What a web configuration does, in a few lines for people.

use std::fmt;
use std::path::Path;

use super::certificate::Certificate;
use super::file::WebFile;
use super::policy::{Http2, Versions};

/// Describes a web configuration, without hashes and keys.
pub(crate) struct Summary<'a> {
    pub(super) path: &'a Path,
    pub(super) file: &'a WebFile,
    pub(super) certificate: Option<&'a Certificate>,
}

/// Names of a certificate that are shown; the rest is counted.
const SHOWN_NAMES: usize = 10;

impl Summary<'_> {
    /// What is weak, or accepted and not supported, each as a sentence.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.file.warnings
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "web configuration {}", self.path.display())?;
        match (&self.file.tls, self.certificate) {
            (Some(tls), Some(certificate)) => {
                let Versions { min, max } = tls.versions;
                let http2 = match self.file.http2 {
                    Http2::On => "HTTP/2 and HTTP/1.1",
                    Http2::Off => "HTTP/1.1",
                };
                match min == max {
                    true => writeln!(f, "TLS: {}, {http2}", min.as_str())?,
                    false => writeln!(f, "TLS: {} to {}, {http2}", min.as_str(), max.as_str())?,
                }
                writeln!(f, "certificate: ends {}, {}", certificate.not_after, names(&certificate.names))?;
                write!(f, "client certificates: {}", tls.client_auth.describe())?;
                match &tls.allowed_sans {
                    Some(allowed) => writeln!(f, ", with one of {} names", allowed.len())?,
                    None => writeln!(f)?,
                }
            }
            _ => writeln!(f, "TLS: off")?,
        }
        match self.file.users.len() {
            0 => writeln!(f, "passwords: not asked for")?,
            1 => writeln!(f, "passwords: one user")?,
            users => writeln!(f, "passwords: {users} users")?,
        }
        if let Some(limit) = self.file.rate_limit {
            writeln!(f, "rate limit: one request in {:?}, {} at once", limit.interval, limit.burst)?;
        }
        if !self.file.headers.is_empty() {
            let names: Vec<&str> = self.file.headers.iter().map(|(name, _)| name.as_str()).collect();
            writeln!(f, "headers: {}", names.join(", "))?;
        }
        self.warnings().iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}

fn names(names: &[String]) -> String {
    match (names.len(), names.get(..SHOWN_NAMES)) {
        (0, _) => "for no name".to_owned(),
        (count, Some(first)) if count > SHOWN_NAMES => {
            format!("for {} and {} more", first.join(", "), count - SHOWN_NAMES)
        }
        _ => format!("for {}", names.join(", ")),
    }
}
