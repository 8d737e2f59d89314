//! Values of the API that only commands need: what they send, and what Cloudflare responds.
//! Everything that the exporter keeps is in [`crate::model`].

use crate::clock::Timestamp;
use crate::model::Level;

/// A changed behavior as the API returns it, without name and description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatedBehavior {
    /// Its id.
    pub id: String,
    /// Whether the behavior is enabled.
    pub enabled: bool,
    /// The risk level of the behavior.
    pub level: Level,
}

/// An integration to create. Cloudflare creates it as active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIntegration {
    /// The URL of the tenant that changes of level are sent to.
    pub tenant_url: String,
    /// An id of the caller's choice. Without one, Cloudflare generates a UUID.
    pub reference_id: Option<String>,
}

/// The new settings of an integration. They replace all existing settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationSetting {
    /// The URL of the tenant that changes of level are sent to.
    pub tenant_url: String,
    /// Whether changes of level are sent.
    pub active: bool,
    /// An id of the caller's choice.
    pub reference_id: Option<String>,
}

/// The state of a token, and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenStatus {
    /// The id of the token, which is not a secret.
    pub id: Option<String>,
    /// Its state.
    pub state: TokenState,
    /// When the token expires; `None` if it does not expire.
    pub expires: Option<Timestamp>,
}

/// The state of a token, as Cloudflare reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The token works.
    Active,
    /// The token was disabled by its owner.
    Disabled,
    /// The token has expired.
    Expired,
    /// Any state that Cloudflare does not document.
    Unknown,
}
