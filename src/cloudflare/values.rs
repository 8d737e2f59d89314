//! Values of the API that only commands need: what they send, and what Cloudflare answers.
//! Everything that the exporter keeps is in [`crate::model`].

use crate::clock::Timestamp;
use crate::model::Level;

/// A changed behavior, as the API answers it: without name and description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatedBehavior {
    /// Its id.
    pub id: String,
    /// Whether Cloudflare looks for it.
    pub enabled: bool,
    /// The risk level that it gives a user.
    pub level: Level,
}

/// An integration to create; it starts active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIntegration {
    /// The tenant it sends to.
    pub tenant_url: String,
    /// An id of the caller's choice; without one Cloudflare creates a UUID.
    pub reference_id: Option<String>,
}

/// The new settings of an integration; they replace all old ones.
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
    /// Its state.
    pub state: TokenState,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
}

/// The state of a token, as Cloudflare reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The token works.
    Active,
    /// Its owner disabled it.
    Disabled,
    /// It has expired.
    Expired,
    /// A state that Cloudflare does not document.
    Unknown,
}
