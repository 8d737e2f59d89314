//! What a request proves itself with.

use secrecy::{ExposeSecret, SecretString};

/// A credential as it is sent; it never prints.
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

/// Whether both are the same, as after a rotation of the file or between two accounts. Not in constant
/// time: both sides are ours.
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
