//! The file of `--web.config.file`: the format that the exporters of the Prometheus project share.
//!
//! Parsing is strict, and needs no other file. What is known but cannot be done is a warning, as long as something is left
//! that can.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::policy::{CipherSuites, ClientAuth, Curves, Http2, Preference, Versions};
use super::section::{Section, go_duration};
use crate::config::parse::whole_number;
use crate::config::yaml::Document;
use crate::config::{Error, Mistakes};

/// What a web configuration says.
#[derive(Debug)]
pub(super) struct WebFile {
    /// `None` if TLS is off.
    pub(super) tls: Option<TlsSettings>,
    pub(super) http2: Http2,
    /// The headers that every answer gets.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The bcrypt hash of each user's password, by name; empty if no password is asked for.
    pub(super) users: BTreeMap<String, SecretString>,
    /// `None` if requests are not limited.
    pub(super) rate_limit: Option<RateLimit>,
    /// What is accepted, but weak or not supported.
    pub(super) warnings: Vec<String>,
}

/// The section `tls_server_config`.
#[derive(Debug)]
pub(super) struct TlsSettings {
    pub(super) cert: Pem,
    pub(super) key: Pem,
    pub(super) client_ca: Option<Pem>,
    pub(super) client_auth: ClientAuth,
    /// The names of which a client certificate must have one; `None` if any name will do.
    pub(super) allowed_sans: Option<Vec<String>>,
    pub(super) versions: Versions,
    pub(super) suites: CipherSuites,
    pub(super) curves: Curves,
    pub(super) preference: Preference,
}

/// Where certificates or a key are.
#[derive(Debug)]
pub(super) enum Pem {
    /// In the configuration itself.
    Inline(SecretString),
    /// In this file.
    File(PathBuf),
}

/// One request in each `interval`, and `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimit {
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

/// The headers that may be set, with the values that are allowed; none listed means any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-XSS-Protection", &[]),
    ("Strict-Transport-Security", &[]),
];

/// A comparison takes about 0.07 s at 10 and twice as long at each step, and one runs at a time. Above 12 a scrape may wait for
/// longer than a second.
const SLOW_COST: u32 = 12;

/// At 14, which takes about a second, a scrape that waits for a comparison before its own still ends in time. At 31, one guess
/// would lock everybody out for two days.
const HIGHEST_COST: u32 = 14;

/// `htpasswd` without `-C` uses 5, which is guessed a thousand times faster than 14.
const WEAK_COST: u32 = 10;

impl WebFile {
    /// Parses the text of the file at `path`.
    ///
    /// # Errors
    /// The first mistake, with its line. It shows no hash, no key and no password.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut doubled = Mistakes::default();
        let document = Document::parse(&path.display().to_string(), text, &mut doubled);
        let document = doubled.note(document);
        let document = doubled.finish(document)?;
        let root = Section::root(
            &document,
            &["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"],
        )?;
        let mut warnings = Vec::new();
        let http = root.section("http_server_config", &["http2", "headers"])?;
        let http2 = match http.boolean("http2")? {
            None | Some(true) => Http2::On,
            Some(false) => Http2::Off,
        };
        Ok(Self {
            tls: tls(&root, http2, &mut warnings)?,
            http2,
            headers: headers(&http)?,
            users: users(&root, &mut warnings)?,
            rate_limit: rate_limit(&root, &mut warnings)?,
            warnings,
        })
    }
}

fn tls(root: &Section<'_>, http2: Http2, warnings: &mut Vec<String>) -> Result<Option<TlsSettings>, Error> {
    const NAMES: [&str; 13] = [
        "cert",
        "key",
        "client_ca",
        "cert_file",
        "key_file",
        "client_ca_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "curve_preferences",
        "prefer_server_cipher_suites",
    ];
    let section = root.section("tls_server_config", &NAMES)?;
    let [cert, key, client_ca] = [
        pem(&section, "cert", "cert_file")?,
        pem(&section, "key", "key_file")?,
        pem(&section, "client_ca", "client_ca_file")?,
    ];
    let policy = section.value("client_auth_type")?;
    let allowed_sans = section.list("client_allowed_sans")?;
    let versions = Versions::parse(&section.value("min_version")?, &section.value("max_version")?, warnings)?;
    let suites = CipherSuites::parse(&section.values("cipher_suites")?, versions, http2, warnings)?;
    let curves = Curves::parse(&section.values("curve_preferences")?, warnings)?;
    let preference = match section.boolean("prefer_server_cipher_suites")? {
        None | Some(true) => Preference::Server,
        Some(false) => Preference::Client,
    };
    if cert.is_none() && key.is_none() && client_ca.is_none() && policy.is_none() {
        if !section.is_empty() {
            warnings.push("tls_server_config has neither certificate nor key, so TLS is off".to_owned());
        }
        return Ok(None);
    }
    let missing = |what: &str| section.refuse(&format!("lacks {what} or {what}_file, which TLS needs"));
    let (cert, key) = (cert.ok_or_else(|| missing("cert"))?, key.ok_or_else(|| missing("key"))?);
    let client_auth = policy.as_ref().map_or(Ok(ClientAuth::None), ClientAuth::parse)?;
    if client_ca.is_some() && client_auth == ClientAuth::None {
        return Err(section.refuse("has a client_ca, but client_auth_type asks for no client certificate"));
    }
    if client_ca.is_none() && client_auth.verifies() {
        return Err(
            section.refuse("verifies client certificates, but has neither client_ca nor client_ca_file")
        );
    }
    if allowed_sans.is_some() && client_auth == ClientAuth::None {
        return Err(
            section.refuse("has client_allowed_sans, but client_auth_type asks for no client certificate")
        );
    }
    if client_ca.is_some() && !client_auth.verifies() {
        warnings.push(
            "client_ca is not used, because client_auth_type does not verify client certificates".to_owned(),
        );
    }
    if allowed_sans.is_some() && !client_auth.verifies() {
        warnings.push(
            "client_allowed_sans protects nothing, because anyone can make a certificate with these names and \
             client_auth_type does not verify it"
                .to_owned(),
        );
    }
    Ok(Some(TlsSettings {
        cert,
        key,
        client_ca,
        client_auth,
        allowed_sans,
        versions,
        suites,
        curves,
        preference,
    }))
}

/// The PEM under `inline`, or in the file that `file` names. An empty text counts as not given.
fn pem(section: &Section<'_>, inline: &'static str, file: &'static str) -> Result<Option<Pem>, Error> {
    match (section.text(inline)?, section.text(file)?) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Pem::Inline(text.into()))),
        (None, Some(path)) => Ok(Some(Pem::File(section.directory().join(path)))),
        (Some(_), Some(_)) => {
            Err(section.refuse(&format!("has both {inline} and {file}, but only one of them may be given")))
        }
    }
}

fn headers(http: &Section<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let section = http.section("headers", &HEADERS.map(|(name, _)| name))?;
    let mut headers = Vec::new();
    for (name, allowed) in HEADERS {
        let Some(value) = section.value(name)? else { continue };
        if !allowed.is_empty() && !allowed.contains(&value.text.as_str()) {
            return Err(value.must_be(&allowed.join(" or ")));
        }
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the names above are header names");
        let content = HeaderValue::from_str(&value.text)
            .map_err(|_| value.must_be("text that is allowed in an HTTP header"))?;
        headers.push((name, content));
    }
    Ok(headers)
}

fn users(root: &Section<'_>, warnings: &mut Vec<String>) -> Result<BTreeMap<String, SecretString>, Error> {
    let mut users = BTreeMap::new();
    let mut costs = Vec::new();
    for (name, value) in root.entries("basic_auth_users")? {
        let hash: Option<bcrypt::HashParts> = value.text.parse().ok();
        let Some(cost) = hash.map(|hash| hash.get_cost()).filter(|cost| (4..=31).contains(cost)) else {
            return Err(value.refuse("is not a bcrypt hash; `htpasswd -nBC 12 \"\"` makes one"));
        };
        if cost > HIGHEST_COST {
            return Err(value.refuse(&format!(
                "has the cost {cost}, but the highest is {HIGHEST_COST}: each step doubles the time that a comparison takes, and \
                 other logins wait for it"
            )));
        }
        if name.contains(':') {
            return Err(value.refuse("has a colon in the user's name, which HTTP cannot send"));
        }
        costs.push(cost);
        users.insert(name.to_owned(), value.text.into());
    }
    if costs.iter().any(|cost| *cost < WEAK_COST) {
        warnings.push(format!(
            "a password hash has a cost below {WEAK_COST}, so its password is easy to guess from the hash"
        ));
    }
    if let Some(slow) = costs.iter().filter(|cost| **cost > SLOW_COST).max() {
        let seconds = 0.07 * f64::from(1_u32 << (slow - WEAK_COST));
        warnings.push(format!(
            "a password hash has the cost {slow}: a comparison takes about {seconds:.1} s, and other logins wait for it"
        ));
    }
    Ok(users)
}

fn rate_limit(root: &Section<'_>, warnings: &mut Vec<String>) -> Result<Option<RateLimit>, Error> {
    let section = root.section("rate_limit", &["interval", "burst"])?;
    let interval = match section.value("interval")? {
        Some(value) => go_duration(&value.text)
            .ok_or_else(|| value.must_be("a duration such as 500ms, 1s or 1m30s, or 0 for no limit"))?,
        None => Duration::ZERO,
    };
    let burst = section.value("burst")?.map(|value| value.parse(whole_number(0..=u32::MAX))).transpose()?;
    let burst = burst.unwrap_or(0);
    if interval.is_zero() {
        return Ok(None);
    }
    if burst == 0 {
        warnings.push("rate_limit.burst is 0, so every request is refused".to_owned());
    }
    Ok(Some(RateLimit { interval, burst }))
}

#[cfg(test)]
mod tests;
