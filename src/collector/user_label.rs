//! How users are named in labels, so that a time-series database need not show who they are.

use std::fmt;

use ring::hmac;

use crate::model::UserId;

/// Hexadecimal digits of a hashed id: 128 bits, as many as the id has.
const HASH_DIGITS: usize = 32;

/// How users are named in labels.
#[derive(Clone)]
pub enum UserLabel {
    /// By their UUID.
    Id,
    /// By a keyed hash (HMAC-SHA256) of their UUID, which only the key's owner can reproduce.
    Hash(hmac::Key),
    /// By their UUID, with e-mail address and name in `user_info`.
    Email,
    /// Not at all: there are no series for single users.
    Omitted,
}

impl UserLabel {
    /// Names users by a hash with this key.
    pub fn hash(key: &[u8]) -> Self {
        Self::Hash(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The label `user`, if users are named.
    pub fn label(&self, user: UserId) -> Option<String> {
        match self {
            Self::Id | Self::Email => Some(user.to_string()),
            Self::Hash(key) => {
                let hash = hmac::sign(key, user.hyphenated().to_string().as_bytes());
                let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                Some(hex.chars().take(HASH_DIGITS).collect())
            }
            Self::Omitted => None,
        }
    }
}

/// Shows the variant, never the key.
impl fmt::Debug for UserLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "Id",
            Self::Hash(_) => "Hash",
            Self::Email => "Email",
            Self::Omitted => "Omitted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hashed_user_is_the_hmac_of_its_uuid_as_any_tool_computes_it() {
        // printf %s 182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e | openssl dgst -sha256 -hmac key | cut -c1-32
        let user = UserId::parse_str("182BD5E5-6E1A-4FE4-A799-AA6D9A6AB26E").expect("a UUID");
        assert_eq!(UserLabel::hash(b"key").label(user).as_deref(), Some("6ceff0bb4c60e0bd2c4984abf6d61c33"));
    }
}
