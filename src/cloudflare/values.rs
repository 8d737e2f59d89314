//! Values of the API that only commands need: what they send, and what Cloudflare answers.
//! Everything that the exporter keeps is in [`crate::model`].

use crate::clock::Timestamp;
use crate::model::Level;

/// What the API answers to a change of behaviors: no name and no description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatedBehavior {
    /// Its id.
    pub id: String,
    /// Whether it is looked for.
    pub enabled: bool,
    /// The level a user gets by it.
    pub level: Level,
}

/// An integration to be made; it starts active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIntegration {
    /// The tenant it sends to.
    pub tenant_url: String,
    /// An id of the caller's choice; without one Cloudflare makes a UUID.
    pub reference_id: Option<String>,
}

/// What an integration becomes; it replaces what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationSetting {
    /// The tenant it sends to.
    pub tenant_url: String,
    /// Whether changes are sent.
    pub active: bool,
    /// An id of the caller's choice.
    pub reference_id: Option<String>,
}

/// Whether a token works, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenStatus {
    /// What Cloudflare says of it.
    pub state: TokenState,
    /// When it ends, if it does.
    pub expires: Option<Timestamp>,
}

/// What Cloudflare says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It works.
    Active,
    /// Its owner has switched it off.
    Disabled,
    /// Its time is over.
    Expired,
    /// A word that was not documented when this was written.
    Unknown,
}
