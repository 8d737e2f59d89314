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
        let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
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
