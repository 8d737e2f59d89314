//! What a certificate says: its names, its dates, and what it may be used for.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Version;

use crate::clock::Timestamp;

/// The part of a certificate that is reported, or compared with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Its DNS names, e-mail addresses, IP addresses and URIs.
    pub(super) names: Vec<String>,
    /// Whether it may identify a client: it says so, or says nothing about its use.
    pub(super) may_be_client: bool,
}

/// Why a certificate cannot be used. The text continues a sentence that begins with the name of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("is not an X.509 certificate")]
    Unreadable,
    #[error("is an X.509 certificate of version 1, but version 3 is needed; make it with a subjectAltName")]
    OldVersion,
}

impl Certificate {
    pub(super) fn parse(der: &CertificateDer<'_>) -> Result<Self, Unusable> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| Unusable::Unreadable)?;
        if parsed.version() != X509Version::V3 {
            return Err(Unusable::OldVersion);
        }
        let names = match parsed.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.iter().filter_map(name).collect(),
            Ok(None) => Vec::new(),
            Err(_) => return Err(Unusable::Unreadable),
        };
        let use_of_key = parsed.extended_key_usage().map_err(|_| Unusable::Unreadable)?;
        let validity = parsed.validity();
        Ok(Self {
            not_before: Timestamp::from_seconds(validity.not_before.timestamp()),
            not_after: Timestamp::from_seconds(validity.not_after.timestamp()),
            names,
            may_be_client: use_of_key
                .is_none_or(|extension| extension.value.client_auth || extension.value.any),
        })
    }

    /// Whether it is valid at `now`.
    pub(super) fn is_valid_at(&self, now: UnixTime) -> bool {
        self.is_valid_on(Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Whether it is valid on `now`.
    pub(super) fn is_valid_on(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// The text of a name of the kinds that are compared; addresses as they are usually written.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// `openssl req -x509 -days 36500`, with a subjectAltName.
    const CURRENT: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIByDCCAW6gAwIBAgIUQFW6axX01tr+MpB2oLTumUlW3/cwCgYIKoZIzj0EAwIw\n\
        ETEPMA0GA1UEAwwGY2xpZW50MCAXDTI2MTEyODE3MTIxNloYDzIxMjYxMTA0MTcx\n\
        MjE2WjARMQ8wDQYDVQQDDAZjbGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
        AAStIvyJ7Qx6Zv08jjCl9ZVvfs/DBb5+FU58+jcM5ddy7usXQUt2k2W4CzzsojqH\n\
        CyLROQN+MjjlJu/KXF9l5qEUo4GhMIGeMB0GA1UdDgQWBBQGmashmxq7mRmbKtwL\n\
        g+qBUV3H8TAfBgNVHSMEGDAWgBQGmashmxq7mRmbKtwLg+qBUV3H8TAPBgNVHRMB\n\
        Af8EBTADAQH/MEsGA1UdEQREMEKCC2NsaWVudC50ZXN0hwTAAAIHhxAgAQ24AAAA\n\
        AAAAAAAAAAABhgxzcGlmZmU6Ly9hL2KBDXhAZXhhbXBsZS5jb20wCgYIKoZIzj0E\n\
        AwIDSAAwRQIhANKH1oWz3f/5X2ry1qVs6NmDLuEUy+ZPR+Rwsj1UODCHAiBEEgIW\n\
        GHLSVK/rETwkOuZqtZ0DX9bEzT7PIgNSIzPMLQ==\n\
        -----END CERTIFICATE-----";

    /// `openssl x509 -req` without a file of extensions.
    const VERSION_1: &str = include_str!("../../tests/fixtures/x509-version-1.pem");

    fn parse(pem: &str) -> Result<Certificate, Unusable> {
        Certificate::parse(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
    }

    #[test]
    fn a_certificate_has_names_of_every_kind_and_dates() {
        let certificate = parse(CURRENT).unwrap();
        let names = ["client.test", "192.0.2.7", "2001:db8::1", "spiffe://a/b", "x@example.com"];
        assert_eq!(certificate.names, names);
        assert_eq!(certificate.not_before.to_string(), "2026-11-28T17:12:16Z");
        assert_eq!(certificate.not_after.to_string(), "2126-11-04T17:12:16Z");
        assert!(certificate.may_be_client, "nothing limits its use");
        let from = u64::try_from(certificate.not_before.millis() / 1_000).unwrap();
        for (seconds, wanted) in [(from - 1, false), (from, true), (from + 100 * 365 * 86_400 + 1, false)] {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            assert_eq!(certificate.is_valid_at(now), wanted, "{seconds}");
        }
    }

    #[test]
    fn version_1_and_other_bytes_are_refused() {
        assert_eq!(parse(VERSION_1), Err(Unusable::OldVersion));
        assert_eq!(Certificate::parse(&CertificateDer::from(vec![0x30, 0x00])), Err(Unusable::Unreadable));
    }
}
