//! Generated names and addresses, and the behaviors that Cloudflare documents.

use serde::Serialize;
use serde::ser::SerializeStruct;

use super::scenario::{BehaviorSpec, Level};

/// A user's name and e-mail address. Generated from a number unless the scenario gives them, so that a million users need little memory.
#[derive(Clone, Debug)]
pub(super) enum Person {
    Generated(u32),
    Given(Box<Identity>),
}

#[derive(Clone, Debug)]
pub(super) struct Identity {
    name: String,
    email: String,
}

impl Person {
    pub(super) const fn generated(number: u32) -> Self {
        Self::Generated(number)
    }

    /// The same person with another name or address.
    pub(super) fn named(&self, name: Option<String>, email: Option<String>) -> Self {
        if name.is_none() && email.is_none() {
            return self.clone();
        }
        let (own_name, own_email) = self.texts();
        Self::Given(Box::new(Identity { name: name.unwrap_or(own_name), email: email.unwrap_or(own_email) }))
    }

    /// Name and e-mail address.
    pub(super) fn texts(&self) -> (String, String) {
        match self {
            Self::Generated(number) => {
                let (first, last) = names(*number);
                let email = format!("{}.{}.{number}@example.com", first.to_lowercase(), last.to_lowercase());
                (format!("{first} {last}"), email)
            }
            Self::Given(identity) => (identity.name.clone(), identity.email.clone()),
        }
    }
}

impl Serialize for Person {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, email) = self.texts();
        let mut fields = serializer.serialize_struct("Person", 2)?;
        fields.serialize_field("name", &name)?;
        fields.serialize_field("email", &email)?;
        fields.end()
    }
}

fn names(number: u32) -> (&'static str, &'static str) {
    const FIRST: [&str; 16] = [
        "Amara", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaori",
        "Liam", "Mei", "Noor", "Omar", "Priya",
    ];
    const LAST: [&str; 16] = [
        "Alvarez",
        "Bauer",
        "Costa",
        "Dubois",
        "Eriksen",
        "Fischer",
        "Greco",
        "Haddad",
        "Ito",
        "Jansen",
        "Kowalski",
        "Lindqvist",
        "Moreau",
        "Novak",
        "Okafor",
        "Patel",
    ];
    // Consecutive users have different names, because 11 and 16 have no common factor.
    let number = number as usize;
    (FIRST[number * 11 % 16], LAST[(number / 16 * 11 + number * 5) % 16])
}

/// The behaviors that Cloudflare documents. Some of their ids are known, the others are our choice.
pub(super) fn standard_behaviors() -> Vec<BehaviorSpec> {
    let table = [
        (
            "imp_travel",
            "Impossible Travel",
            Level::High,
            "A user had a successful Access application log in from two locations that they could not have traveled to in that period of time.",
        ),
        (
            "high_dlp",
            "High Number of DLP Policies Triggered",
            Level::Medium,
            "User has triggered an active DLP profile in a Gateway policy fifteen times or more within one minute.",
        ),
        (
            "sentinel_one",
            "SentinelOne Infection Detected",
            Level::High,
            "User is signed in on a device where Sentinel One EDR detects an active threat or infection.",
        ),
        (
            "crowdstrike_low_zta",
            "CrowdStrike Low Device Score",
            Level::Medium,
            "User is signed in on a device to which CrowdStrike assigns a low Zero Trust Assessment score.",
        ),
        (
            "crowdstrike_medium_zta",
            "CrowdStrike Medium Device Score",
            Level::Low,
            "User is signed in on a device to which CrowdStrike assigns a medium Zero Trust Assessment score.",
        ),
        (
            "malicious_file",
            "Malicious File Downloaded",
            Level::High,
            "User downloaded a file that the antivirus scan of Gateway found malicious.",
        ),
        (
            "security_domain",
            "Suspicious Security Domain",
            Level::Medium,
            "User visited a domain that Gateway holds to be a security risk.",
        ),
        (
            "high_risk_domain",
            "High-Risk Domain",
            Level::Low,
            "User visited a domain of a category with a high risk.",
        ),
    ];
    table
        .into_iter()
        .map(|(id, name, risk_level, description)| BehaviorSpec {
            id: id.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            // Recorded answers of Cloudflare have this one disabled.
            enabled: id != "sentinel_one",
            risk_level,
        })
        .collect()
}
