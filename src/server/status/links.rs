//! Where an account can be seen elsewhere: in Grafana, if it is configured, and in Cloudflare's dashboard.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::model::AccountName;

/// The uid of the dashboard "Overview" in `dashboards/`.
const OVERVIEW: &str = "zt-risk-overview";

/// The uid of the dashboard "Users".
const USERS: &str = "zt-risk-users";

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Links {
    overview: Option<String>,
    users: Option<String>,
    cloudflare: String,
}

impl Links {
    /// `grafana` has no slash at its end.
    pub(super) fn new(grafana: Option<&str>, account: &AccountName) -> Self {
        let alias = utf8_percent_encode(&account.alias, NON_ALPHANUMERIC);
        let dashboard = |uid: &str| grafana.map(|base| format!("{base}/d/{uid}?var-account={alias}"));
        Self {
            overview: dashboard(OVERVIEW),
            users: dashboard(USERS),
            cloudflare: format!(
                "https://dash.cloudflare.com/{}/one/team-resources/users/risk-score",
                account.id
            ),
        }
    }
}

/// The address of the dashboard "Overview" with all accounts.
pub(super) fn overview(grafana: &str) -> String {
    format!("{grafana}/d/{OVERVIEW}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_to_the_dashboards_of_this_repository() {
        for (uid, text) in [
            (OVERVIEW, include_str!("../../../dashboards/overview.json")),
            (USERS, include_str!("../../../dashboards/users.json")),
        ] {
            assert!(text.contains(&format!("\"uid\": \"{uid}\"")), "{uid}");
            assert!(text.contains("\"name\": \"account\""), "{uid} has a variable for the account");
        }
    }

    #[test]
    fn an_alias_cannot_change_the_address() {
        let account = AccountName { alias: "a&b=c/d \"é\"#".to_owned(), id: "0af".to_owned() };
        let links = Links::new(Some("https://g.example/x"), &account);
        let query = "var-account=a%26b%3Dc%2Fd%20%22%C3%A9%22%23";
        assert_eq!(links.overview, Some(format!("https://g.example/x/d/zt-risk-overview?{query}")));
        assert_eq!(links.users, Some(format!("https://g.example/x/d/zt-risk-users?{query}")));
        assert_eq!(links.cloudflare, "https://dash.cloudflare.com/0af/one/team-resources/users/risk-score");
        let without = Links::new(None, &account);
        assert_eq!((without.overview, without.users), (None, None));
    }
}
