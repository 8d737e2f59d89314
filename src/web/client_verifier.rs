//! Decides which client certificates are accepted.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::certificate::Certificate;
use super::policy::ClientAuth;

/// A policy for client certificates.
///
/// In every policy, the client proves in the handshake that it has the key of the certificate that it presents.
#[derive(Debug)]
pub(super) struct Verifier {
    policy: ClientAuth,
    /// The certificates of the CA file; empty if nothing is verified.
    anchors: Vec<CertificateDer<'static>>,
    /// Verifies chains to these anchors; `None` if nothing is verified.
    chains: Option<Arc<dyn ClientCertVerifier>>,
    allowed_names: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// A verifier for any policy that asks for a certificate. `anchors` are the certificates of the CA file.
    ///
    /// # Errors
    /// None of the anchors can be used.
    pub(super) fn new(
        policy: ClientAuth,
        anchors: Vec<CertificateDer<'static>>,
        allowed_names: Option<Vec<String>>,
    ) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let (anchors, chains) = match policy.verifies() {
            true => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(anchors.iter().cloned());
                let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                (
                    anchors,
                    Some(builder.build().map_err(|_| "has no certificate that can be used".to_owned())?),
                )
            }
            false => (Vec::new(), None),
        };
        Ok(Self { policy, anchors, chains, allowed_names, algorithms })
    }

    /// A certificate that is itself in the CA file. It needs no chain, and webpki refuses such a certificate as a client's
    /// if it is marked as a CA, which `openssl req -x509` does.
    fn verify_anchor(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let certificate = Certificate::parse(leaf).map_err(|_| CertificateError::BadEncoding)?;
        if !certificate.is_valid_at(now) {
            return Err(CertificateError::Expired.into());
        }
        if !certificate.may_be_client {
            return Err(CertificateError::InvalidPurpose.into());
        }
        Ok(())
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        // If a certificate were optional, a client could bypass the list of names by presenting none.
        self.policy.requires() || self.allowed_names.is_some()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.as_ref().map_or(&[], |chains| chains.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chains) = &self.chains {
            if self.anchors.iter().any(|anchor| anchor == leaf) {
                Self::verify_anchor(leaf, now)?;
            } else {
                chains.verify_client_cert(leaf, intermediates, now)?;
            }
        }
        if let Some(allowed) = &self.allowed_names {
            let certificate = Certificate::parse(leaf).map_err(|_| CertificateError::BadEncoding)?;
            if !certificate.names.iter().any(|name| allowed.contains(name)) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
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
