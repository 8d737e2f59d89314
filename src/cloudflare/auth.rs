//! The credentials of a client, checked and ready to be sent.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::setup_error::SetupError;
use crate::cloudflare::Credentials;

/// The credentials as headers, and as secrets that must never be repeated in a message.
pub(super) struct Auth {
    pub(super) headers: HeaderMap,
    pub(super) secrets: Vec<SecretString>,
}

impl Auth {
    pub(super) fn new(credentials: Credentials) -> Result<Self, SetupError> {
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| SetupError::Credentials)?;
            value.set_sensitive(true);
            Ok::<_, SetupError>(value)
        };
        let mut headers = HeaderMap::new();
        let secrets = match credentials {
            Credentials::Token(token) => {
                headers.insert(AUTHORIZATION, value(&format!("Bearer {}", token.expose_secret()))?);
                vec![token]
            }
            Credentials::Key { email, key } => {
                headers.insert("x-auth-email", value(&email)?);
                headers.insert("x-auth-key", value(key.expose_secret())?);
                vec![key, SecretString::from(email)]
            }
        };
        if secrets.iter().any(|secret| secret.expose_secret().is_empty()) {
            return Err(SetupError::Credentials);
        }
        Ok(Self { headers, secrets })
    }
}
