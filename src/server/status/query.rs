//! Which part of the document a request asks for.

/// What the query of a request selects. Without a query: the whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The id of the only account to be shown.
    pub(super) account: Option<String>,
    pub(super) view: View,
}

/// How much of each account is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Whole,
    /// What a list of accounts needs: no trends, users, behaviors, integrations or past errors. Some 1 kB an account.
    Overview,
}

impl Query {
    /// Reads the query of a URL. Unknown parameters have no effect.
    ///
    /// # Errors
    /// A parameter has an unknown value; the error is a sentence for the client.
    pub fn parse(query: Option<&str>) -> Result<Self, &'static str> {
        let mut found = Self::default();
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|part| part.split_once('=')) {
            match (name, value) {
                ("account", id) => found.account = Some(id.to_ascii_lowercase()),
                ("view", "overview") => found.view = View::Overview,
                ("view", _) => return Err("the only view is overview\n"),
                _ => {}
            }
        }
        Ok(found)
    }

    pub(super) fn selects(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|id| id == account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_selects_an_account_and_a_view_and_other_parameters_have_no_effect() {
        let query = |account: Option<&str>, view| Query { account: account.map(str::to_owned), view };
        for (text, wanted) in [
            (None, Ok(query(None, View::Whole))),
            (Some(""), Ok(query(None, View::Whole))),
            (Some("account=0aF"), Ok(query(Some("0af"), View::Whole))),
            (Some("view=overview"), Ok(query(None, View::Overview))),
            (Some("a=b&view=overview&account=1&x"), Ok(query(Some("1"), View::Overview))),
            (Some("view=all"), Err("the only view is overview\n")),
        ] {
            assert_eq!(Query::parse(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_query_without_an_account_selects_all() {
        for (text, wanted) in [(None, [true, true]), (Some("account=a"), [true, false])] {
            assert_eq!(["a", "b"].map(|id| Query::parse(text).unwrap().selects(id)), wanted, "{text:?}");
        }
    }
}
