//! Builds the TLS configuration of the server from the web configuration and the files that it names.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ring::digest;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{InconsistentKeys, ServerConfig};
use secrecy::{ExposeSecret as _, SecretSlice};

use super::certificate::{Certificate, Unusable};
use super::client_verifier::Verifier;
use super::file::{Pem, TlsSettings};
use super::policy::{ClientAuth, Http2, Preference};
use crate::config::read_regular_file;
use crate::http::is_out_of_files;
use crate::http::session::ClientPolicy;
use crate::http::tls::{HTTP1, HTTP2};

/// A chain of certificates takes some 10 kB, a bundle of CAs 250 kB. A longer file cannot be either.
const LONGEST_PEM: u64 = 1 << 20;

/// What is wrong with a key that is none of these. The text continues a sentence that begins with the name of the file.
const SUPPORTED_KEYS: &str = "has a private key of a kind that is not supported; it must be ECDSA on the curve P-256 or P-384, \
    Ed25519, or RSA with 2048 to 4096 bits";

/// The TLS that the files make up at one time.
#[derive(Debug)]
pub(super) struct Tls {
    /// Its tickets and cached sessions end with it.
    pub(super) config: Arc<ServerConfig>,
    /// The server's own certificate.
    pub(super) leaf: CertificateDer<'static>,
    /// What it says.
    pub(super) certificate: Certificate,
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// A file that is named cannot be read.
    #[error("cannot read {name}: {reason}")]
    Unreadable { name: String, reason: String },
    /// Too many files are open, which says nothing about those that are named.
    #[error("cannot read {0}: too many files are open")]
    OutOfFiles(String),
    /// A file, or an inline text, is invalid.
    #[error("{name} {reason}")]
    Content { name: String, reason: String },
    #[error("the key does not belong to the certificate")]
    Mismatch,
    #[error("the TLS settings cannot be used together: {0}")]
    Settings(String),
}

/// The bytes that the settings name. They decide, with the settings, what [`Materials::build`] gives.
pub(super) struct Materials {
    cert: Material,
    key: Material,
    client_ca: Option<Material>,
}

/// Digests of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    /// Of the certificate and its key.
    pub(super) pair: Vec<u8>,
    pub(super) client_ca: Vec<u8>,
}

/// A certificate with those between it and its CA.
struct Chain {
    /// All of them.
    certificates: Vec<CertificateDer<'static>>,
    /// The first one.
    leaf: CertificateDer<'static>,
    /// What that says.
    certificate: Certificate,
}

/// The bytes of one setting.
pub(super) struct Material {
    /// What it is called in messages.
    name: String,
    bytes: SecretSlice<u8>,
}

impl Materials {
    /// Reads the CAs of client certificates, which may block; `None` if the settings name none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn client_ca(settings: &TlsSettings) -> Result<Option<Material>, Error> {
        let client_ca = settings.client_ca.as_ref();
        client_ca.map(|pem| Material::read("tls_server_config.client_ca", pem)).transpose()
    }

    /// Reads the other files, which may block.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn read(settings: &TlsSettings, client_ca: Option<Material>) -> Result<Self, Error> {
        Ok(Self {
            cert: Material::read("tls_server_config.cert", &settings.cert)?,
            key: Material::read("tls_server_config.key", &settings.key)?,
            client_ca,
        })
    }

    /// What the certificate of the server says, without a look at its key; `None` if its file is not on this machine, or has the
    /// key too. This may block.
    ///
    /// # Errors
    /// The certificate cannot be read, or cannot be used.
    pub(super) fn certificate(settings: &TlsSettings) -> Result<Option<Certificate>, Error> {
        if let Pem::File(path) = &settings.cert
            && (!path.exists() || matches!(&settings.key, Pem::File(key) if key == path))
        {
            return Ok(None);
        }
        Material::read("tls_server_config.cert", &settings.cert)?.chain().map(|chain| Some(chain.certificate))
    }

    pub(super) fn digests(&self) -> Digests {
        Digests {
            pair: digest_of([&self.cert, &self.key].map(|material| material.bytes.expose_secret())),
            client_ca: digest_of(self.client_ca.iter().map(|material| material.bytes.expose_secret())),
        }
    }

    /// Checks the bytes and builds the configuration.
    ///
    /// # Errors
    /// The bytes are invalid, or do not match.
    pub(super) fn build(&self, settings: &TlsSettings, http2: Http2) -> Result<Tls, Error> {
        let Chain { certificates, leaf, certificate } = self.cert.chain()?;
        let provider = Arc::new(CryptoProvider {
            cipher_suites: settings.suites.supported(),
            kx_groups: settings.curves.supported(),
            ..default_provider()
        });
        let refuse = |error: rustls::Error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Error::Mismatch,
            error => Error::Settings(error.to_string()),
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&settings.versions.supported())
            .map_err(refuse)?;
        let builder = match settings.client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            policy => builder.with_client_cert_verifier(Arc::new(self.verifier(settings, policy)?)),
        };
        let key = self.key.private_key()?;
        if provider.key_provider.load_private_key(key.clone_key()).is_err() {
            return Err(self.key.refuse(SUPPORTED_KEYS));
        }
        let mut config = builder.with_single_cert(certificates, key).map_err(refuse)?;
        config.ignore_client_order = settings.preference == Preference::Server;
        config.alpn_protocols = match http2 {
            Http2::On => vec![HTTP2.to_vec(), HTTP1.to_vec()],
            Http2::Off => vec![HTTP1.to_vec()],
        };
        if settings.client_auth != ClientAuth::None {
            // A session that is resumed is not verified again: an expired certificate would go on for ever.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Tls { config: Arc::new(config), leaf, certificate })
    }

    fn verifier(&self, settings: &TlsSettings, policy: ClientAuth) -> Result<Verifier, Error> {
        let anchors = match (&self.client_ca, policy.verifies()) {
            (Some(material), true) => {
                let anchors = material.certificates()?;
                for anchor in &anchors {
                    Certificate::parse(anchor).map_err(|reason| material.unusable(reason))?;
                }
                anchors
            }
            _ => Vec::new(),
        };
        let name = self.client_ca.as_ref().map_or("client_ca", |material| &material.name);
        Verifier::new(policy, anchors, settings.allowed_sans.clone())
            .map_err(|reason| Error::Content { name: name.to_owned(), reason })
    }
}

impl TlsSettings {
    /// How clients are judged, with these CAs.
    pub(super) fn client_policy(&self, client_ca: Option<&Material>) -> ClientPolicy {
        let settings = format!("{:?} {:?} {:?}", self.client_auth, self.allowed_sans, self.versions);
        let client_ca = client_ca.map_or(&[][..], |material| material.bytes.expose_secret());
        ClientPolicy(digest_of([settings.as_bytes(), client_ca]))
    }
}

fn digest_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        // The lengths keep apart bytes that moved from one part to the next.
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

impl Material {
    fn read(name: &str, pem: &Pem) -> Result<Self, Error> {
        match pem {
            Pem::Inline(text) => {
                Ok(Self { name: name.to_owned(), bytes: text.expose_secret().as_bytes().to_vec().into() })
            }
            Pem::File(path) => {
                let name = path.display().to_string();
                match read_bounded(path) {
                    Ok(bytes) => Ok(Self { name, bytes }),
                    Err(error) if is_out_of_files(&error) => Err(Error::OutOfFiles(name)),
                    Err(error) => Err(Error::Unreadable { name, reason: error.to_string() }),
                }
            }
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let certificates =
            CertificateDer::pem_slice_iter(self.bytes.expose_secret()).collect::<Result<Vec<_>, _>>();
        certificates
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| self.refuse("has no certificate in PEM form"))
    }

    fn chain(&self) -> Result<Chain, Error> {
        let certificates = self.certificates()?;
        let leaf = certificates.first().ok_or_else(|| self.refuse("has no certificate"))?.clone();
        let certificate = Certificate::parse(&leaf).map_err(|reason| self.unusable(reason))?;
        Ok(Chain { certificates, leaf, certificate })
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(self.bytes.expose_secret())
            .map_err(|_| self.refuse("has no private key in PEM form, without a passphrase"))
    }

    fn refuse(&self, reason: &str) -> Error {
        Error::Content { name: self.name.clone(), reason: reason.to_owned() }
    }

    fn unusable(&self, reason: Unusable) -> Error {
        self.refuse(&reason.to_string())
    }
}

/// Reads a regular file: a pipe, named by mistake, would stop every request.
fn read_bounded(path: &Path) -> io::Result<SecretSlice<u8>> {
    let bytes = read_regular_file(path, LONGEST_PEM + 1)?;
    match bytes.len() as u64 > LONGEST_PEM {
        true => Err(io::Error::other("it is longer than 1 MiB")),
        false => Ok(bytes.into()),
    }
}
