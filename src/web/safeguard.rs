//! What a web configuration protects the port with, and what it no longer protects it with.

use std::collections::BTreeSet;

use super::file::WebFile;
use super::policy::Version;

/// One kind of protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Safeguard {
    Tls,
    Tls13Only,
    ClientCertificate,
    VerifiedCertificate,
    AllowedNames,
    Password,
}

impl Safeguard {
    /// What a configuration with it does, in words.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "turns TLS on",
            Self::Tls13Only => "refuses TLS 1.2",
            Self::ClientCertificate => "requires a client certificate",
            Self::VerifiedCertificate => "verifies client certificates",
            Self::AllowedNames => "limits the names of client certificates",
            Self::Password => "asks for a password",
        }
    }

    /// Everything that `file` protects the port with.
    pub(super) fn of(file: &WebFile) -> BTreeSet<Self> {
        let tls = file.tls.as_ref();
        let has = |safeguard| match safeguard {
            Self::Tls => tls.is_some(),
            Self::Tls13Only => tls.is_some_and(|tls| tls.versions.min == Version::Tls13),
            Self::ClientCertificate => {
                tls.is_some_and(|tls| tls.client_auth.requires() || tls.allowed_sans.is_some())
            }
            Self::VerifiedCertificate => tls.is_some_and(|tls| tls.client_auth.verifies()),
            Self::AllowedNames => tls.is_some_and(|tls| tls.allowed_sans.is_some()),
            Self::Password => !file.users.is_empty(),
        };
        let all = [
            Self::Tls,
            Self::Tls13Only,
            Self::ClientCertificate,
            Self::VerifiedCertificate,
            Self::AllowedNames,
            Self::Password,
        ];
        all.into_iter().filter(|safeguard| has(*safeguard)).collect()
    }

    /// Why `file` cannot be used after one with the safeguards `before`, if so. A file that a tool or an editor has written half
    /// is often valid, and lacks what was to come.
    pub(super) fn lost(before: &BTreeSet<Self>, file: &WebFile) -> Option<String> {
        let lost: Vec<&str> =
            before.difference(&Self::of(file)).map(|safeguard| safeguard.as_str()).collect();
        (!lost.is_empty()).then(|| {
            format!(
                "it no longer {}; a file that is half written looks the same, so serving with less protection needs a restart",
                lost.join(", no longer ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PASSWORD: &str =
        "basic_auth_users: {a: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n";

    fn file(text: &str) -> WebFile {
        WebFile::parse(Path::new("web.yaml"), text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// TLS with more keys.
    fn tls(keys: &str) -> String {
        format!("tls_server_config: {{cert_file: c, key_file: k{keys}}}\n")
    }

    #[test]
    fn a_configuration_that_protects_less_is_told_from_another_one() {
        let verified = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: a";
        let named =
            ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: a, client_allowed_sans: [b]";
        for (before, after, lost) in [
            (String::new(), String::new(), ""),
            (PASSWORD.to_owned(), String::new(), "asks for a password"),
            (PASSWORD.to_owned(), tls(""), "asks for a password"),
            (PASSWORD.to_owned(), PASSWORD.replace("{a:", "{b:"), ""),
            (tls(""), PASSWORD.to_owned(), "turns TLS on"),
            (tls(""), tls(verified), ""),
            (tls(verified), tls(""), "requires a client certificate, no longer verifies client certificates"),
            (tls(verified), tls(", client_auth_type: RequireAnyClientCert"), "verifies client certificates"),
            (
                tls(verified),
                tls(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: a"),
                "requires a client certificate",
            ),
            (tls(verified), tls(named), ""),
            (tls(named), tls(verified), "limits the names of client certificates"),
            (tls(named), tls(&named.replace("[b]", "[c]")), ""),
            (tls(", min_version: TLS13"), tls(""), "refuses TLS 1.2"),
            (tls(", max_version: TLS12"), tls(""), ""),
            (format!("{}{PASSWORD}", tls("")), String::new(), "turns TLS on, no longer asks for a password"),
        ] {
            let found = Safeguard::lost(&Safeguard::of(&file(&before)), &file(&after));
            let found =
                found.as_deref().and_then(|text| text.strip_prefix("it no longer ")?.split_once("; "));
            assert_eq!(found.map_or("", |(lost, _)| lost), lost, "{before}{after}");
        }
    }
}
