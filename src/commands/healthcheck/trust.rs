//! Which certificate of an exporter the health check accepts.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::cloudflare::tls;

/// Which certificate is accepted.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// One that the platform trusts for the host of the URL.
    Platform,
    /// One that the CAs in these certificates vouch for, for the host of the URL.
    Anchors(Vec<CertificateDer<'static>>),
    /// This one, which the exporter is configured with. Its names do not matter: a check from the same machine uses
    /// an address that is seldom among them.
    Only(CertificateDer<'static>),
    /// Every certificate.
    Any,
}

impl Trust {
    /// The certificates in the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or has none.
    pub(super) fn from_file(path: &Path) -> Result<Self, String> {
        let unusable = |reason: &dyn std::fmt::Display| format!("cannot use {}: {reason}", path.display());
        let anchors = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(&error))?;
        match anchors.is_empty() {
            true => Err(unusable(&"it has no certificate in PEM form")),
            false => Ok(Self::Anchors(anchors)),
        }
    }

    /// The TLS configuration of the client.
    ///
    /// # Errors
    /// There are no anchors that can be used.
    pub(super) fn config(self) -> Result<Arc<ClientConfig>, String> {
        let config = match self {
            Self::Platform => tls::with_anchors()?,
            Self::Anchors(anchors) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(anchors);
                tls::trusting(roots)
            }
            Self::Only(leaf) => lenient(Some(leaf)),
            Self::Any => lenient(None),
        };
        Ok(Arc::new(config))
    }
}

/// A configuration that accepts `leaf`, or everything.
fn lenient(leaf: Option<CertificateDer<'static>>) -> ClientConfig {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let mut config = tls::without_anchors();
    config.dangerous().set_certificate_verifier(Arc::new(Lenient { leaf, algorithms }));
    config
}

#[derive(Debug)]
struct Lenient {
    leaf: Option<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.leaf {
            Some(leaf) if leaf != presented => Err(CertificateError::ApplicationVerificationFailure.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
