//! The operations of the API: the resource, method and permission of each.

use reqwest::Method;

use crate::model::Resource;

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Behaviors,
    UpdateBehaviors,
    Summary,
    User,
    Reset,
    Integrations,
    CreateIntegration,
    Integration,
    UpdateIntegration,
    DeleteIntegration,
    IntegrationByReference,
    VerifyToken,
    Accounts,
}

impl Operation {
    /// The resource that it reads or changes. Its requests are counted as requests for this resource.
    pub(super) const fn resource(self) -> Resource {
        match self {
            Self::Behaviors | Self::UpdateBehaviors => Resource::Behaviors,
            Self::Summary => Resource::Summary,
            Self::User | Self::Reset => Resource::User,
            Self::Integrations
            | Self::CreateIntegration
            | Self::Integration
            | Self::UpdateIntegration
            | Self::DeleteIntegration
            | Self::IntegrationByReference => Resource::Integrations,
            Self::VerifyToken => Resource::TokenVerify,
            Self::Accounts => Resource::Accounts,
        }
    }

    /// The word for it in messages: the resource, unless that would hide what was to happen.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            _ => self.resource().as_str(),
        }
    }

    /// The HTTP method; only GET is retried after the request was sent.
    pub(super) const fn method(self) -> Method {
        match self {
            Self::Behaviors
            | Self::Summary
            | Self::User
            | Self::Integrations
            | Self::Integration
            | Self::IntegrationByReference
            | Self::VerifyToken
            | Self::Accounts => Method::GET,
            Self::Reset | Self::CreateIntegration => Method::POST,
            Self::UpdateBehaviors | Self::UpdateIntegration => Method::PUT,
            Self::DeleteIntegration => Method::DELETE,
        }
    }

    /// The permission that a token needs, as Cloudflare's token page names it; `None` if every token may do this.
    pub(super) const fn permission(self) -> Option<&'static str> {
        match self {
            Self::Summary | Self::User => Some("\"Zero Trust: PII Read\""),
            Self::Behaviors | Self::Integrations | Self::Integration | Self::IntegrationByReference => {
                Some("\"Zero Trust Read\" (or \"Zero Trust Write\")")
            }
            Self::UpdateBehaviors
            | Self::Reset
            | Self::CreateIntegration
            | Self::UpdateIntegration
            | Self::DeleteIntegration => Some("\"Zero Trust Write\""),
            Self::Accounts => Some("\"Account Settings Read\""),
            Self::VerifyToken => None,
        }
    }

    /// What a 404 means for this operation, and what to do.
    pub(super) const fn not_found(self) -> &'static str {
        match self {
            Self::User | Self::Reset => "the account has no such user",
            Self::Integration
            | Self::UpdateIntegration
            | Self::DeleteIntegration
            | Self::IntegrationByReference => "the account has no such integration",
            _ => "cloudflare does not know this address; check the account id and the base URL",
        }
    }
}
