//! How long an operation may take, and how often its requests are attempted.

use std::time::Duration;

use crate::model::Resource;

/// The limits of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationLimits {
    /// The most attempts for one request; there is always at least one. The default is one attempt and two retries: if
    /// all three fail, the next poll tries again.
    pub attempts: u32,
    /// Time limit for one request, which is one page of a list.
    pub request_timeout: Duration,
    /// Time limit for the operation with all its pages and retries. Waiting for the budget does not count.
    pub total_timeout: Duration,
}

impl Default for OperationLimits {
    fn default() -> Self {
        let total_timeout = Duration::from_secs(300);
        Self { attempts: 3, request_timeout: total_timeout, total_timeout }
    }
}

/// The limits of the operations on each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    by_resource: [OperationLimits; Resource::ALL.len()],
}

impl Limits {
    /// The same limits for all resources.
    pub const fn all(limits: OperationLimits) -> Self {
        Self { by_resource: [limits; Resource::ALL.len()] }
    }

    /// Other limits for one resource.
    #[must_use]
    pub const fn with(mut self, resource: Resource, limits: OperationLimits) -> Self {
        self.by_resource[resource.index()] = limits;
        self
    }

    /// The limits of operations on `resource`.
    pub const fn of(&self, resource: Resource) -> OperationLimits {
        self.by_resource[resource.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_one_resource_change_no_others() {
        let short = OperationLimits { attempts: 1, ..OperationLimits::default() };
        let limits = Limits::default().with(Resource::User, short);
        for resource in Resource::ALL {
            let wanted = if resource == Resource::User { short } else { OperationLimits::default() };
            assert_eq!(limits.of(resource), wanted, "{resource:?}");
        }
        assert_eq!(Limits::all(short).of(Resource::Summary), short);
    }
}
