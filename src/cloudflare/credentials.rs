//! The credentials of a client: the public type, and the checked headers that requests carry.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::setup_error::SetupError;

/// An API token, or an API key with its e-mail address. `Debug` shows neither the token nor the key.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An API token: `Authorization: Bearer`.
    Token(SecretString),
    /// An e-mail address with its API key: `X-Auth-Email` with `X-Auth-Key`.
    Key {
        /// The e-mail address of the Cloudflare user.
        email: String,
        /// That user's API key.
        key: SecretString,
    },
}

/// Compares in variable time, which leaks nothing: both sides come from the operator's own configuration.
impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(a), Self::Token(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Key { email: e, key: a }, Self::Key { email: f, key: b }) => {
                e == f && a.expose_secret() == b.expose_secret()
            }
            (Self::Token(_), Self::Key { .. }) | (Self::Key { .. }, Self::Token(_)) => false,
        }
    }
}

impl Eq for Credentials {}

/// Credentials that were checked: their headers, and the secrets that messages must not quote.
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

    /// Whether the credentials are a token.
    pub(super) fn is_token(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }
}
