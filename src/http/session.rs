//! What the two sides of a TLS connection agreed on.

use rustls::pki_types::CertificateDer;

/// A digest of everything that decides whether a client may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientPolicy(pub(crate) Vec<u8>);

/// What a handshake agreed on.
#[derive(Debug)]
pub(crate) struct Session {
    /// How the client was judged.
    pub(crate) policy: ClientPolicy,
    /// The client's own certificate, if it presented one.
    pub(crate) client: Option<CertificateDer<'static>>,
}
