//! The TLS configuration: which certificates the client trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// A configuration that trusts the platform's trust anchors, or those in the file `SSL_CERT_FILE` and the directory
/// `SSL_CERT_DIR`. If the platform has none, it trusts Mozilla's.
///
/// # Errors
/// The environment names a file or directory without certificates. There is no fallback, because the operator asked for
/// these anchors only.
pub(crate) fn with_anchors() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        if let Some((name, _)) = chosen().next() {
            let reason = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
            return Err(format!("{name} contains no trust anchor{reason}"));
        }
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    Ok(trusting(roots))
}

/// The variables that replace the platform's trust anchors, each with the path that it names.
pub(super) fn chosen() -> impl Iterator<Item = (&'static str, PathBuf)> {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(|name| {
        let path = std::env::var_os(name).filter(|value| !value.is_empty())?;
        Some((name, PathBuf::from(path)))
    })
}

/// A configuration for plain HTTP: it trusts no certificate and reads no files.
pub(crate) fn without_anchors() -> ClientConfig {
    trusting(RootCertStore::empty())
}

/// A configuration that trusts `roots`.
pub(crate) fn trusting(roots: RootCertStore) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports every TLS version that rustls supports")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
