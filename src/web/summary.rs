//! What a web configuration does, in a few lines for people or as a document, and what is weak in it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::certificate::Certificate;
use super::file::{Pem, TlsSettings, WebFile};
use super::policy::{ClientAuth, Http2};
use crate::clock::Timestamp;
use crate::config::readable_by_all;

/// Describes a web configuration, without hashes and keys. Serialized, it is the `web` of `check --output json`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// The path of the web configuration.
    file: String,
    /// `None` if TLS is off.
    tls: Option<TlsSummary>,
    /// The number of users with a password.
    users: usize,
    rate_limit: Option<RateLimitSummary>,
    /// The names of the headers that every answer gets.
    headers: Vec<String>,
    /// The file of the server's certificate; `None` if it is inline, or TLS is off.
    #[serde(skip)]
    certificate_file: Option<PathBuf>,
    #[serde(skip)]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TlsSummary {
    min_version: &'static str,
    max_version: &'static str,
    http2: bool,
    /// `None` if it was not looked at.
    certificate: Option<CertificateSummary>,
    #[serde(serialize_with = "as_name")]
    client_auth_type: ClientAuth,
    /// How many names `client_allowed_sans` lists.
    client_allowed_sans: Option<usize>,
}

#[derive(Debug, Serialize)]
struct CertificateSummary {
    not_before: String,
    not_after: String,
    names: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RateLimitSummary {
    interval_seconds: f64,
    burst: u32,
}

/// Names of a certificate that are shown to people; the rest is counted.
const SHOWN_NAMES: usize = 10;

impl Summary {
    /// Describes `file`, which was read from `path`, on the date `now`; `certificate` is that of the server, if it was read.
    pub(super) fn new(
        path: &Path,
        file: &WebFile,
        certificate: Option<&Certificate>,
        now: Timestamp,
    ) -> Self {
        let mut warnings = file.warnings.clone();
        warnings.extend(certificate.into_iter().flat_map(|certificate| weaknesses(certificate, now)));
        warnings.extend(secret_files(path, file).into_iter().filter_map(readable_by_all));
        Self {
            file: path.display().to_string(),
            tls: file.tls.as_ref().map(|tls| TlsSummary {
                min_version: tls.versions.min.as_str(),
                max_version: tls.versions.max.as_str(),
                http2: file.http2 == Http2::On,
                certificate: certificate.map(|certificate| CertificateSummary {
                    not_before: certificate.not_before.to_string(),
                    not_after: certificate.not_after.to_string(),
                    names: certificate.names.clone(),
                }),
                client_auth_type: tls.client_auth,
                client_allowed_sans: tls.allowed_sans.as_ref().map(Vec::len),
            }),
            users: file.users.len(),
            rate_limit: file.rate_limit.map(|limit| RateLimitSummary {
                interval_seconds: limit.interval.as_secs_f64(),
                burst: limit.burst,
            }),
            headers: file.headers.iter().map(|(name, _)| name.as_str().to_owned()).collect(),
            certificate_file: file.tls.as_ref().and_then(|tls| match &tls.cert {
                Pem::File(path) => Some(path.clone()),
                Pem::Inline(_) => None,
            }),
            warnings,
        }
    }

    /// The file of the server's certificate, if it was not looked at.
    pub(crate) fn unread_certificate(&self) -> Option<&Path> {
        match &self.tls {
            Some(TlsSummary { certificate: None, .. }) => self.certificate_file.as_deref(),
            _ => None,
        }
    }

    /// What is weak, or accepted and not supported, each as a sentence.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Why clients would refuse the certificate.
fn weaknesses(certificate: &Certificate, now: Timestamp) -> Vec<String> {
    let Certificate { not_before, not_after, names, .. } = certificate;
    let mut weaknesses = Vec::new();
    if now < *not_before {
        weaknesses.push(format!(
            "the certificate is valid only from {not_before}, so clients refuse it until then"
        ));
    }
    if now > *not_after {
        weaknesses.push(format!("the certificate ended at {not_after}, so clients refuse it"));
    }
    if names.is_empty() {
        weaknesses.push(
            "the certificate has no subjectAltName, so clients that verify its name refuse it".to_owned(),
        );
    }
    weaknesses
}

/// The files that hold a key or a hash.
fn secret_files<'a>(path: &'a Path, file: &'a WebFile) -> Vec<&'a Path> {
    let key = file.tls.as_ref().map(|TlsSettings { key, .. }| key);
    let own = !file.users.is_empty() || matches!(key, Some(Pem::Inline(_)));
    let key_file = match key {
        Some(Pem::File(path)) => Some(path.as_path()),
        Some(Pem::Inline(_)) | None => None,
    };
    own.then_some(path).into_iter().chain(key_file).collect()
}

fn as_name<S: serde::Serializer>(client_auth: &ClientAuth, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(client_auth.as_str())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "web configuration {}", self.file)?;
        match &self.tls {
            Some(tls) => {
                let http2 = if tls.http2 { "HTTP/2 and HTTP/1.1" } else { "HTTP/1.1" };
                match tls.min_version == tls.max_version {
                    true => writeln!(f, "TLS: {}, {http2}", tls.min_version)?,
                    false => writeln!(f, "TLS: {} to {}, {http2}", tls.min_version, tls.max_version)?,
                }
                match &tls.certificate {
                    Some(found) => {
                        writeln!(f, "certificate: ends {}, {}", found.not_after, names(&found.names))?;
                    }
                    None => writeln!(f, "certificate: was not checked")?,
                }
                write!(f, "client certificates: {}", tls.client_auth_type.describe())?;
                match tls.client_allowed_sans {
                    Some(allowed) => writeln!(f, ", with one of {allowed} names")?,
                    None => writeln!(f)?,
                }
            }
            None => writeln!(f, "TLS: off")?,
        }
        match self.users {
            0 => writeln!(f, "passwords: not asked for")?,
            1 => writeln!(f, "passwords: one user")?,
            users => writeln!(f, "passwords: {users} users")?,
        }
        if let Some(RateLimitSummary { interval_seconds, burst }) = &self.rate_limit {
            writeln!(f, "rate limit: one request in {interval_seconds} s, {burst} at once")?;
        }
        if !self.headers.is_empty() {
            writeln!(f, "headers: {}", self.headers.join(", "))?;
        }
        Ok(())
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
