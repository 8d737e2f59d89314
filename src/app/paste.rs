//! Lines to paste into a shell.

use crate::simulator::Scenario;

/// The variables with which the other commands ask a simulated account.
pub(crate) fn exports(base_url: &str, account: &str, token: &str) -> String {
    [("CLOUDFLARE_BASE_URL", base_url), ("CLOUDFLARE_ACCOUNT_ID", account), ("CLOUDFLARE_API_TOKEN", token)]
        .map(|(name, value)| format!("export {name}={}\n", quoted(value)))
        .concat()
}

/// [`exports`] for the first account of a scenario, with the token that has the most permissions there; `None` if it has no
/// account with a token.
pub(super) fn exports_of(base_url: &str, scenario: &Scenario) -> Option<String> {
    let account = &scenario.accounts.first()?.id;
    let valid = scenario
        .tokens
        .iter()
        .filter(|token| token.accounts.as_ref().is_none_or(|accounts| accounts.contains(account)));
    // Of several, `max_by_key` returns the last.
    let token = valid.rev().max_by_key(|token| token.permissions.len())?;
    Some(exports(base_url, account, &token.token))
}

/// A word as a shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./@:".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_only_if_a_shell_would_change_it() {
        for (word, wanted) in [
            ("zt.yaml", "zt.yaml"),
            ("/etc/zt-risk_exporter/a@b:1", "/etc/zt-risk_exporter/a@b:1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$HOME", "'$HOME'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(word), wanted);
        }
    }

    #[test]
    fn the_exports_are_those_of_the_first_account_with_the_token_that_may_do_most() {
        let scenario = |tokens: &str| {
            let accounts = "accounts: [{ id: 0123456789abcdef0123456789abcdef }, { id: fedcba9876543210fedcba9876543210 }]";
            Scenario::from_yaml(&format!("{accounts}\ntokens: [{tokens}]")).unwrap()
        };
        let token = |name: &str, rest: &str| format!("{{ token: {name}, {rest} }}");
        let read = "permissions: [Zero Trust Read]";
        let both = r#"permissions: [Zero Trust Read, "Zero Trust: PII Read"]"#;
        let elsewhere = format!("{both}, accounts: [fedcba9876543210fedcba9876543210]");
        for (tokens, wanted) in [
            (vec![], None),
            (vec![token("a", &elsewhere)], None),
            (vec![token("a", &elsewhere), token("b", read)], Some("b")),
            (vec![token("a", read), token("b", both), token("c", both)], Some("b")),
        ] {
            let lines = exports_of("http://127.0.0.1:1/client/v4", &scenario(&tokens.join(", ")));
            let wanted = wanted.map(|token| {
                format!(
                    "export CLOUDFLARE_BASE_URL=http://127.0.0.1:1/client/v4\n\
                     export CLOUDFLARE_ACCOUNT_ID=0123456789abcdef0123456789abcdef\n\
                     export CLOUDFLARE_API_TOKEN={token}\n"
                )
            });
            assert_eq!(lines, wanted, "{tokens:?}");
        }
    }
}
