//! Go's names for versions, cipher suites, curves and client policies, and their equivalents here.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite as suite, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::section::{Read, note};
use crate::config::{Error, Mistakes, Setting};

/// Whether TLS or a password protects the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    On,
    Off,
}

/// Whether HTTP/2 is offered to clients that speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Http2 {
    On,
    Off,
}

/// Whose order of cipher suites decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preference {
    Server,
    Client,
}

/// Which client certificates are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    None,
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

impl ClientAuth {
    pub(super) fn parse(value: &Setting) -> Result<Self, Error> {
        const ALL: [ClientAuth; 5] = [
            ClientAuth::None,
            ClientAuth::Request,
            ClientAuth::RequireAny,
            ClientAuth::VerifyIfGiven,
            ClientAuth::RequireAndVerify,
        ];
        match value.text.as_str() {
            "RequireClientCert" => Ok(Self::RequireAny),
            name => ALL.into_iter().find(|policy| policy.as_str() == name).ok_or_else(|| {
                value.must_be(
                    "NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or \
                     RequireAndVerifyClientCert",
                )
            }),
        }
    }

    /// Go's name for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NoClientCert",
            Self::Request => "RequestClientCert",
            Self::RequireAny => "RequireAnyClientCert",
            Self::VerifyIfGiven => "VerifyClientCertIfGiven",
            Self::RequireAndVerify => "RequireAndVerifyClientCert",
        }
    }

    /// Whether a certificate is verified against the CA.
    pub(super) fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether a connection without a client certificate is refused.
    pub(super) fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    /// In words, for `check`.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::None => "not asked for",
            Self::Request => "asked for, not required, not verified",
            Self::RequireAny => "required, not verified",
            Self::VerifyIfGiven => "verified if given, not required",
            Self::RequireAndVerify => "required and verified",
        }
    }
}

/// The lowest and the highest version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) min: Version,
    pub(super) max: Version,
}

/// A version of TLS that the exporter speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// The names of the versions.
const VERSIONS: &str = "TLS10, TLS11, TLS12 or TLS13";

impl Versions {
    pub(super) fn parse(
        min: Read<Option<Setting>>,
        max: Read<Option<Setting>>,
        warnings: &mut Vec<String>,
        mistakes: &mut Mistakes,
    ) -> Read<Self> {
        let lowest = min.and_then(|value| note(Self::lowest(value.as_ref(), warnings), mistakes));
        let max = max?;
        let highest = note(Self::highest(max.as_ref()), mistakes);
        match (lowest?, highest?, max) {
            (min, max, Some(value)) if max < min => {
                note(Err(value.refuse("is lower than min_version")), mistakes)
            }
            (min, max, _) => Ok(Self { min, max }),
        }
    }

    fn lowest(value: Option<&Setting>, warnings: &mut Vec<String>) -> Result<Version, Error> {
        let Some(value) = value else { return Ok(Version::Tls12) };
        match value.text.as_str() {
            "TLS12" => Ok(Version::Tls12),
            "TLS13" => Ok(Version::Tls13),
            old @ ("TLS10" | "TLS11") => {
                warnings.push(format!("min_version is {old}, but the exporter speaks no TLS below 1.2"));
                Ok(Version::Tls12)
            }
            _ => Err(value.must_be(VERSIONS)),
        }
    }

    fn highest(value: Option<&Setting>) -> Result<Version, Error> {
        let Some(value) = value else { return Ok(Version::Tls13) };
        match value.text.as_str() {
            "TLS13" => Ok(Version::Tls13),
            "TLS12" => Ok(Version::Tls12),
            "TLS10" | "TLS11" => {
                Err(value
                    .refuse("would leave only versions below TLS 1.2, which the exporter does not speak"))
            }
            _ => Err(value.must_be(VERSIONS)),
        }
    }

    /// The versions for rustls.
    pub(super) fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        let all = [(Version::Tls12, &version::TLS12), (Version::Tls13, &version::TLS13)];
        all.into_iter()
            .filter(|(named, _)| (self.min..=self.max).contains(named))
            .map(|(_, known)| known)
            .collect()
    }
}

/// The cipher suites of TLS 1.2, in the configured order; those of TLS 1.3 are always on, as in Go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CipherSuites(Vec<SupportedCipherSuite>);

/// The suites of TLS 1.2 that are supported.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The suites of TLS 1.3; naming them changes nothing.
const SUITES_OF_TLS13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// Suites that Go knows, or knew, and that nothing should use any more.
const UNSUPPORTED_SUITES: [&str; 14] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_RC4_128_SHA",
];

/// HTTP/2 requires one of these wherever TLS 1.2 may be spoken (RFC 9113, section 9.2.2).
const SUITES_OF_HTTP2: [&str; 2] =
    ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];

impl CipherSuites {
    pub(super) fn parse(
        values: Read<Vec<Setting>>,
        versions: Read<Versions>,
        http2: Read<Http2>,
        warnings: &mut Vec<String>,
        mistakes: &mut Mistakes,
    ) -> Read<Self> {
        let values = values?;
        let Some(first) = values.first() else {
            return Ok(Self(SUITES.iter().map(|(_, suite)| *suite).collect()));
        };
        let mut suites = Vec::new();
        let mut known = Ok(());
        for value in &values {
            if let Some((_, suite)) = SUITES.iter().find(|(name, _)| *name == value.text) {
                suites.push(*suite);
            } else if UNSUPPORTED_SUITES.contains(&value.text.as_str()) {
                warnings.push(format!("the exporter does not support the cipher suite {}", value.text));
            } else if !SUITES_OF_TLS13.iter().any(|(name, _)| *name == value.text) {
                known = note(Err(value.must_be("a cipher suite that Go knows")), mistakes);
            }
        }
        let (versions, http2) = (versions?, http2?);
        known?;
        let has_http2 = || values.iter().any(|value| SUITES_OF_HTTP2.contains(&value.text.as_str()));
        if http2 == Http2::On && versions.min == Version::Tls12 && !has_http2() {
            let problem = format!(
                "lacks {} and {}, of which HTTP/2 requires one; add it, or set http_server_config.http2 to false",
                SUITES_OF_HTTP2[0], SUITES_OF_HTTP2[1]
            );
            return note(Err(first.refuse(&problem)), mistakes);
        }
        if suites.is_empty() && versions.max == Version::Tls12 {
            let problem = "has no suite that the exporter supports in TLS 1.2";
            return note(Err(first.refuse(problem)), mistakes);
        }
        Ok(Self(suites))
    }

    /// The suites for rustls, with those of TLS 1.3.
    pub(super) fn supported(&self) -> Vec<SupportedCipherSuite> {
        SUITES_OF_TLS13.iter().map(|(_, suite)| *suite).chain(self.0.iter().copied()).collect()
    }
}

/// The groups of the key exchange, in the order of preference.
#[derive(Clone, Debug)]
pub(super) struct Curves(Vec<&'static dyn SupportedKxGroup>);

/// The curves that are supported, in the order of preference.
const CURVES: [(&str, &dyn SupportedKxGroup); 3] =
    [("X25519", kx_group::X25519), ("CurveP256", kx_group::SECP256R1), ("CurveP384", kx_group::SECP384R1)];

impl Curves {
    pub(super) fn parse(
        values: Read<Vec<Setting>>,
        warnings: &mut Vec<String>,
        mistakes: &mut Mistakes,
    ) -> Read<Self> {
        let values = values?;
        let Some(first) = values.first() else {
            return Ok(Self(CURVES.iter().map(|(_, group)| *group).collect()));
        };
        let mut groups = Vec::new();
        let mut known = Ok(());
        for value in &values {
            match CURVES.iter().find(|(name, _)| *name == value.text) {
                Some((_, group)) => groups.push(*group),
                None if value.text == "CurveP521" => {
                    warnings.push("the exporter does not support the curve CurveP521".to_owned());
                }
                None => {
                    let wanted = "X25519, CurveP256, CurveP384 or CurveP521";
                    known = note(Err(value.must_be(wanted)), mistakes);
                }
            }
        }
        known?;
        if groups.is_empty() {
            let problem = "has no curve that the exporter supports: X25519, CurveP256 or CurveP384";
            return note(Err(first.refuse(problem)), mistakes);
        }
        Ok(Self(groups))
    }

    /// The groups for rustls.
    pub(super) fn supported(&self) -> Vec<&'static dyn SupportedKxGroup> {
        self.0.clone()
    }
}
