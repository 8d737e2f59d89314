//! The file of `--web.config.file`: the format that the exporters of the Prometheus project share.
//!
//! Parsing is strict, finds all mistakes, and needs no other file. What is known but cannot be done is a warning, as long as
//! something is left that can.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::policy::{CipherSuites, ClientAuth, Curves, Http2, Preference, Versions};
use super::section::{Noted, Read, Section, go_duration, note};
use crate::config::parse::whole_number;
use crate::config::yaml::{self, Document};
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
    /// The text of the file at `path`, which has these bytes.
    ///
    /// # Errors
    /// The file could not be read, is too long, or is not UTF-8 text.
    pub(super) fn text(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<String, Error> {
        yaml::text("web configuration", path, bytes)
    }

    /// Parses the text of the file at `path`.
    ///
    /// # Errors
    /// All mistakes, each with its line. They show no hash, no key and no password.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut mistakes = Mistakes::default();
        let document = Document::parse(&path.display().to_string(), text, &mut mistakes);
        let document = mistakes.note(document);
        let file = document.and_then(|document| Self::read(&document, &mut mistakes).ok());
        mistakes.finish(file)
    }

    fn read(document: &Document, mistakes: &mut Mistakes) -> Read<Self> {
        const NAMES: [&str; 4] =
            ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];
        let root = Section::root(document, &NAMES, mistakes);
        let mut warnings = Vec::new();
        let http = root.section("http_server_config", &["http2", "headers"], mistakes);
        let http2 = http.boolean("http2", mistakes).map(|http2| match http2 {
            None | Some(true) => Http2::On,
            Some(false) => Http2::Off,
        });
        // Each section is read before the first one that is missing ends this function, so that all mistakes are found.
        let tls = tls(&root, http2, &mut warnings, mistakes);
        let headers = headers(&http, mistakes);
        let users = users(&root, &mut warnings, mistakes);
        let rate_limit = rate_limit(&root, &mut warnings, mistakes);
        Ok(Self { tls: tls?, http2: http2?, headers, users: users?, rate_limit: rate_limit?, warnings })
    }
}

fn tls(
    root: &Section<'_>,
    http2: Read<Http2>,
    warnings: &mut Vec<String>,
    mistakes: &mut Mistakes,
) -> Read<Option<TlsSettings>> {
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
    let section = root.section("tls_server_config", &NAMES, mistakes);
    let cert = pem(&section, "cert", "cert_file", mistakes);
    let key = pem(&section, "key", "key_file", mistakes);
    let client_ca = pem(&section, "client_ca", "client_ca_file", mistakes);
    let policy = section.value("client_auth_type", mistakes).and_then(|value| {
        let policy = value.as_ref().map(ClientAuth::parse).transpose();
        note(policy, mistakes)
    });
    let allowed_sans = section.list("client_allowed_sans", mistakes);
    let min_version = section.value("min_version", mistakes);
    let max_version = section.value("max_version", mistakes);
    let versions = Versions::parse(min_version, max_version, warnings, mistakes);
    let suites = section.values("cipher_suites", mistakes);
    let suites = CipherSuites::parse(suites, versions, http2, warnings, mistakes);
    let curves = section.values("curve_preferences", mistakes);
    let curves = Curves::parse(curves, warnings, mistakes);
    let preference = match section.boolean("prefer_server_cipher_suites", mistakes)? {
        None | Some(true) => Preference::Server,
        Some(false) => Preference::Client,
    };
    let (cert, key, client_ca, policy) = (cert?, key?, client_ca?, policy?);
    if cert.is_none() && key.is_none() && client_ca.is_none() && policy.is_none() {
        if !section.is_empty() {
            warnings.push("tls_server_config has neither certificate nor key, so TLS is off".to_owned());
        }
        return Ok(None);
    }
    for (pem, name) in [(&cert, "cert"), (&key, "key")] {
        if pem.is_none() {
            mistakes.add(section.refuse(&format!("lacks {name} or {name}_file, which TLS needs")));
        }
    }
    let client_auth = policy.unwrap_or(ClientAuth::None);
    let allowed_sans = allowed_sans?;
    for problem in problems_of_clients(&client_ca, client_auth, &allowed_sans) {
        mistakes.add(section.refuse(problem));
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
        cert: cert.ok_or(Noted)?,
        key: key.ok_or(Noted)?,
        client_ca,
        client_auth,
        allowed_sans,
        versions: versions?,
        suites: suites?,
        curves: curves?,
        preference,
    }))
}

/// What does not fit together in the settings for client certificates.
fn problems_of_clients(
    client_ca: &Option<Pem>,
    client_auth: ClientAuth,
    allowed_sans: &Option<Vec<String>>,
) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if client_ca.is_some() && client_auth == ClientAuth::None {
        problems.push("has a client_ca, but client_auth_type asks for no client certificate");
    }
    if client_ca.is_none() && client_auth.verifies() {
        problems.push("verifies client certificates, but has neither client_ca nor client_ca_file");
    }
    if allowed_sans.is_some() && client_auth == ClientAuth::None {
        problems.push("has client_allowed_sans, but client_auth_type asks for no client certificate");
    }
    problems
}

/// The PEM under `inline`, or in the file that `file` names. An empty text counts as not given.
fn pem(
    section: &Section<'_>,
    inline: &'static str,
    file: &'static str,
    mistakes: &mut Mistakes,
) -> Read<Option<Pem>> {
    let (text, path) = (section.text(inline, mistakes), section.text(file, mistakes));
    match (text?, path?) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Pem::Inline(text.into()))),
        (None, Some(path)) => Ok(Some(Pem::File(section.directory().join(path)))),
        (Some(_), Some(_)) => {
            let problem = format!("has both {inline} and {file}, but only one of them may be given");
            note(Err(section.refuse(&problem)), mistakes)
        }
    }
}

/// The headers that can be sent.
fn headers(http: &Section<'_>, mistakes: &mut Mistakes) -> Vec<(HeaderName, HeaderValue)> {
    let section = http.section("headers", &HEADERS.map(|(name, _)| name), mistakes);
    let mut headers = Vec::new();
    for (name, allowed) in HEADERS {
        let Ok(Some(value)) = section.value(name, mistakes) else { continue };
        let content = if !allowed.is_empty() && !allowed.contains(&value.text.as_str()) {
            Err(value.must_be(&allowed.join(" or ")))
        } else {
            HeaderValue::from_str(&value.text)
                .map_err(|_| value.must_be("text that is allowed in an HTTP header"))
        };
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the names above are header names");
        headers.extend(note(content, mistakes).map(|content| (name, content)));
    }
    headers
}

fn users(
    root: &Section<'_>,
    warnings: &mut Vec<String>,
    mistakes: &mut Mistakes,
) -> Read<BTreeMap<String, SecretString>> {
    let mut users = BTreeMap::new();
    let mut costs = Vec::new();
    for (name, value) in root.entries("basic_auth_users", mistakes)? {
        if name.contains(':') {
            mistakes.add(value.refuse("has a colon in the user's name, which HTTP cannot send"));
        }
        let hash: Option<bcrypt::HashParts> = value.text.parse().ok();
        match hash.map(|hash| hash.get_cost()).filter(|cost| (4..=31).contains(cost)) {
            Some(cost) if cost > HIGHEST_COST => mistakes.add(value.refuse(&format!(
                "has the cost {cost}, but the highest is {HIGHEST_COST}: each step doubles the time that a comparison takes, and \
                 other logins wait for it"
            ))),
            Some(cost) => costs.push(cost),
            None => mistakes.add(value.refuse("is not a bcrypt hash; `htpasswd -nBC 12 \"\"` makes one")),
        }
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

fn rate_limit(
    root: &Section<'_>,
    warnings: &mut Vec<String>,
    mistakes: &mut Mistakes,
) -> Read<Option<RateLimit>> {
    let section = root.section("rate_limit", &["interval", "burst"], mistakes);
    let interval = section.value("interval", mistakes).and_then(|value| {
        let Some(value) = value else { return Ok(Duration::ZERO) };
        let interval = go_duration(&value.text)
            .ok_or_else(|| value.must_be("a duration such as 500ms, 1s or 1m30s, or 0 for no limit"));
        note(interval, mistakes)
    });
    let burst = section.value("burst", mistakes).and_then(|value| {
        let burst = value.map(|value| value.parse(whole_number(0..=u32::MAX))).transpose();
        note(burst, mistakes)
    });
    let (interval, burst) = (interval?, burst?.unwrap_or(0));
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
