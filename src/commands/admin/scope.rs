//! The accounts that a command asks, and what it learns of those that cannot be read.

use crate::clock::Clock;
use crate::cloudflare::{Options, Pii};
use crate::commands::Failure;
use crate::commands::each_account::{ALL, Budgets, by_text, each};
use crate::commands::session::{FOREGROUND_WAIT, Session, foreground};
use crate::commands::terminal::{counted, printable};
use crate::config::{Account, Config};

/// One account, or all of them.
pub(super) struct Scope<'a> {
    config: &'a Config,
    clock: &'a Clock,
    accounts: Vec<&'a Account>,
    budgets: Budgets,
}

/// How many accounts are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// The one with this alias.
    One(&'a str),
    Several(usize),
}

/// What the accounts answered, in the order of the configuration.
pub(super) struct Answers<T> {
    /// At least one.
    pub(super) read: Vec<T>,
    pub(super) gaps: Gaps,
}

/// The accounts of several that could not be read, or not in full, each with its alias. The others are shown all the same.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    asked: usize,
    failures: Vec<(String, Failure)>,
}

impl<'a> Scope<'a> {
    /// The account with this alias or id; without a name, the only account.
    ///
    /// # Errors
    /// No account has that name, or there are several and none was named.
    pub(super) fn one(config: &'a Config, name: Option<&str>, clock: &'a Clock) -> Result<Self, Failure> {
        Ok(Self::with(config, vec![config.account(name)?], clock))
    }

    /// The same; but without a name, or with `all`, all accounts.
    ///
    /// # Errors
    /// No account has that name.
    pub(super) fn any(config: &'a Config, name: Option<&str>, clock: &'a Clock) -> Result<Self, Failure> {
        let is_all = |name: &str| name == ALL && config.accounts.iter().all(|account| account.alias != ALL);
        match name.filter(|name| !is_all(name)) {
            None => Ok(Self::with(config, config.accounts.iter().collect(), clock)),
            name => Self::one(config, name, clock),
        }
    }

    fn with(config: &'a Config, accounts: Vec<&'a Account>, clock: &'a Clock) -> Self {
        let budgets = Budgets::of(accounts.iter().copied(), clock);
        Self { config, clock, accounts, budgets }
    }

    pub(super) fn clock(&self) -> &'a Clock {
        self.clock
    }

    pub(super) fn asked(&self) -> Asked<'a> {
        match self.accounts.as_slice() {
            [only] => Asked::One(&only.alias),
            several => Asked::Several(several.len()),
        }
    }

    /// The only account of [`Scope::one`].
    ///
    /// # Errors
    /// Its credentials cannot be read or used.
    pub(super) fn session(&self) -> Result<Session, Failure> {
        let account = self.accounts.first().expect("a scope has an account");
        self.open(account).map_err(|failure| failure.with(format!("account {}: {failure}", account.alias)))
    }

    fn open(&self, account: &Account) -> Result<Session, Failure> {
        let options = Options { pii: Pii::Keep, max_retry_wait: FOREGROUND_WAIT, ..foreground() };
        Session::open(self.config, account, self.budgets.get(account), options, self.clock)
            .map_err(Failure::usage)
    }

    /// Does `work` with each account, several at a time. An account that fails is a gap, and the others go on.
    ///
    /// # Errors
    /// No account could be read.
    pub(super) async fn each<T>(
        &self,
        work: impl AsyncFn(Session) -> Result<T, Failure>,
    ) -> Result<Answers<T>, Failure> {
        let ask = async |account: &&Account| match self.accounts.len() {
            1 => work(self.session()?).await,
            _ => work(self.open(account)?).await,
        };
        let answers = each("reading account", &self.accounts, self.clock, ask);
        let mut gaps = Gaps { asked: self.accounts.len(), failures: Vec::new() };
        let mut read = Vec::new();
        for (account, answer) in self.accounts.iter().zip(answers.await) {
            match answer {
                Ok(answer) => read.push(answer),
                Err(failure) => gaps.add(&account.alias, failure),
            }
        }
        if read.is_empty() { Err(gaps.of_all()) } else { Ok(Answers { read, gaps }) }
    }
}

impl Gaps {
    pub(super) fn add(&mut self, account: &str, failure: Failure) {
        self.failures.push((account.to_owned(), failure));
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Takes out the accounts in which what the command names does not exist, while others have it. They have been read.
    pub(super) fn take_unclear(&mut self) -> Vec<(String, Failure)> {
        self.failures.extract_if(.., |(_, failure)| matches!(failure, Failure::Unclear(_))).collect()
    }

    /// The accounts, each with the cause.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        self.failures.iter().map(|(account, failure)| (account.as_str(), failure.to_string()))
    }

    /// A line for each cause, with the accounts.
    pub(super) fn remarks(&self) -> Vec<String> {
        of_accounts(self.iter().map(|(account, cause)| (account.to_owned(), cause)))
    }

    /// That the answer is incomplete, if it is.
    pub(super) fn failure(&self) -> Option<Failure> {
        let text = || {
            let (failed, asked) = (self.failures.len(), counted(self.asked, "account"));
            format!("the answer is incomplete: {failed} of {asked} could not be read in full")
        };
        (!self.is_empty()).then(|| Failure::Incomplete(text()))
    }

    /// Why no account could be read, or that none has what the command names. If all failures are of one kind, so is this one.
    fn of_all(mut self) -> Failure {
        if self.failures.len() == 1 {
            return self.failures.remove(0).1;
        }
        let remarks = self.remarks();
        let are_read = self.failures.iter().all(|(_, failure)| matches!(failure, Failure::Unclear(_)));
        let what = if are_read { "not found in any account" } else { "no account could be read" };
        let text = match remarks.as_slice() {
            [only] => format!("{what}: {only}"),
            several => format!("{what}:\n{}", several.join("\n")),
        };
        let mut codes = self.failures.iter().map(|(_, failure)| failure);
        match codes.next() {
            Some(first) if codes.all(|other| other.exit_code() == first.exit_code()) => first.with(text),
            _ => Failure::Runtime(text),
        }
    }
}

/// What is said of accounts: a line for each text, with the accounts that it is about.
pub(super) fn of_accounts(said: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    by_text(said).into_iter().map(|(accounts, text)| format!("{}: {text}", named(&accounts))).collect()
}

/// The accounts as the subject of a sentence.
pub(super) fn named(accounts: &[String]) -> String {
    let aliases: Vec<_> = accounts.iter().map(|alias| printable(alias)).collect();
    format!("account{} {}", if aliases.len() == 1 { "" } else { "s" }, aliases.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(asked: usize, failures: &[(&str, Failure)]) -> Gaps {
        let failures = failures.iter().map(|(account, failure)| ((*account).to_owned(), failure.clone()));
        Gaps { asked, failures: failures.collect() }
    }

    #[test]
    fn a_failure_of_all_accounts_keeps_its_kind_and_says_each_cause_once() {
        let (refused, late) = (Failure::runtime("refused"), Failure::runtime("late"));
        let unknown = Failure::Unclear("no such behavior".to_owned());
        for (failures, wanted) in [
            (&[("a", unknown.clone())][..], unknown.clone()),
            (
                &[("a", unknown.clone()), ("b", unknown.clone())],
                Failure::Unclear("not found in any account: accounts a, b: no such behavior".to_owned()),
            ),
            (
                &[("a", refused.clone()), ("b", late), ("c", refused.clone())],
                Failure::runtime("no account could be read:\naccounts a, c: refused\naccount b: late"),
            ),
            (
                &[("a", unknown), ("b", refused)],
                Failure::runtime(
                    "no account could be read:\naccount a: no such behavior\naccount b: refused",
                ),
            ),
        ] {
            assert_eq!(gaps(failures.len(), failures).of_all(), wanted);
        }
    }

    #[test]
    fn an_account_without_what_is_named_is_no_gap() {
        let unknown = Failure::Unclear("no such behavior".to_owned());
        let mut gaps = gaps(3, &[("a", unknown.clone()), ("b", Failure::runtime("late"))]);
        assert_eq!(gaps.take_unclear(), [("a".to_owned(), unknown)]);
        let wanted = "the answer is incomplete: 1 of 3 accounts could not be read in full";
        assert_eq!(gaps.failure(), Some(Failure::Incomplete(wanted.to_owned())));
        assert_eq!(gaps.remarks(), ["account b: late"]);
        assert_eq!(Gaps::default().failure(), None);
    }
}
