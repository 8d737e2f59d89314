//! The endpoints of the API, and the permissions that they need.

use serde::{Deserialize, Serialize};

/// The endpoints of the API, for fault rules and for the log of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/behaviors`
    Behaviors,
    /// `/summary`
    Summary,
    /// `/{user_id}`
    User,
    /// `/{user_id}/reset`
    Reset,
    /// `/integrations`
    Integrations,
    /// `/integrations/{integration_id}`
    Integration,
    /// `/integrations/reference_id/{reference_id}`
    Reference,
    /// `/user/tokens/verify`
    TokenVerify,
    /// `/accounts`
    Accounts,
    /// Not a path of the API.
    Unrouted,
}

/// A permission group of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Permission {
    /// Read settings.
    #[serde(rename = "Zero Trust Read")]
    Read,
    /// Read and change settings.
    #[serde(rename = "Zero Trust Write")]
    Write,
    /// Read users and events.
    #[serde(rename = "Zero Trust: PII Read")]
    PiiRead,
    /// List accounts.
    #[serde(rename = "Account Settings Read")]
    AccountSettings,
}

impl Permission {
    /// All permission groups.
    pub(super) const ALL: [Self; 4] = [Self::Read, Self::Write, Self::PiiRead, Self::AccountSettings];
}
