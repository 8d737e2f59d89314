//! Finds the users that texts name on the risk lists of one or several accounts, or says why that is not clear.
//!
//! The lists of several accounts are searched as if they were one: a whole name in one account takes precedence over a part of
//! a name in another.

use super::people::{Match, NamedBy, People, Person, Selection, accounts_of};
use super::scope::{Answers, Asked, Gaps, Scope};
use super::{Failure, Report};
use crate::clock::Timestamp;
use crate::commands::session::Session;
use crate::commands::terminal::counted;
use crate::model::UserId;

/// What is known of each account after its list was searched.
pub(super) struct Lists<'a> {
    asked: Asked<'a>,
    now: Timestamp,
    accounts: Vec<Listed>,
    /// Accounts that may have other users of the same name.
    pub(super) gaps: Gaps,
}

/// What the list of an account has for each text.
pub(super) struct Listed {
    pub(super) session: Session,
    matches: Vec<Option<Match>>,
    /// Why the list is incomplete, if it is.
    pub(super) incomplete: Option<String>,
}

/// The user that a text names.
pub(super) enum Target {
    /// A user on the risk list of this one of the accounts.
    Listed {
        at: usize,
        person: Person,
        by: NamedBy,
    },
    /// A user who is on no risk list, by id.
    Unlisted(UserId),
    Unclear(Unclear),
}

/// No user matches, or several; or an incomplete list may have another user who matches.
pub(super) struct Unclear {
    /// The users who match.
    report: Report,
    /// Accounts that could not be read.
    remarks: Vec<String>,
    failure: Failure,
    /// What else to do, if the users are not shown.
    hint: &'static str,
}

impl Unclear {
    pub(super) fn report(self) -> Report {
        self.report.remarking(self.remarks).failing(Some(self.failure))
    }

    /// For a command that shows no users.
    fn failure(self) -> Failure {
        let lines: String = self.remarks.iter().map(|remark| format!("{remark}\n")).collect();
        self.failure.with(format!("{lines}{}{}", self.failure, self.hint))
    }
}

impl<'a> Lists<'a> {
    /// Reads the lists.
    ///
    /// # Errors
    /// None can be read.
    pub(super) async fn read(scope: &Scope<'a>, texts: &[String]) -> Result<Self, Failure> {
        let search = async |session: Session| {
            let people = People::read(&session).await?;
            let matches = texts.iter().map(|text| people.resolve(text)).collect();
            let incomplete = people.incomplete();
            Ok(Listed { session, matches, incomplete })
        };
        let Answers { read: accounts, mut gaps } = scope.each(search).await?;
        if let Asked::Several(_) = scope.asked() {
            for Listed { session, incomplete, .. } in &accounts {
                let failure = incomplete.clone().map(Failure::Runtime);
                failure.into_iter().for_each(|failure| gaps.add(&session.alias, failure));
            }
        }
        Ok(Self { asked: scope.asked(), now: scope.clock().date(), accounts, gaps })
    }

    /// What is known of the account with this index, which [`Target::Listed`] has.
    pub(super) fn account(&self, at: usize) -> &Listed {
        self.accounts.get(at).expect("the index is that of a list that was read")
    }

    /// The user that the text at `index` names.
    pub(super) fn target(&self, index: usize, text: &str) -> Target {
        let Some((by, people)) = self.matching(index) else { return self.nobody(text) };
        match people.as_slice() {
            [(at, person)] => match self.doubt(*at, by) {
                None => Target::Listed { at: *at, person: (*person).clone(), by },
                Some(reason) => {
                    let failure = Failure::Unclear(format!("{reason}; name the user by id"));
                    self.unclear(Report::default(), failure, "")
                }
            },
            several => {
                let people: Vec<_> = several.iter().map(|(_, person)| (*person).clone()).collect();
                self.several(text, by, &people)
            }
        }
    }

    /// The users that the text at `index` names in the surest way, each with the index of the account; at least one.
    fn matching(&self, index: usize) -> Option<(NamedBy, Vec<(usize, &Person)>)> {
        let all = self.accounts.iter().enumerate();
        let matches: Vec<(usize, &Match)> =
            all.filter_map(|(at, account)| Some((at, account.matches.get(index)?.as_ref()?))).collect();
        let by = matches.iter().map(|(_, found)| found.by).min()?;
        let best = matches.into_iter().filter(|(_, found)| found.by == by);
        Some((by, best.flat_map(|(at, found)| found.people.iter().map(move |person| (at, person))).collect()))
    }

    /// Why the list of this account may have another user who matches.
    fn doubt(&self, at: usize, by: NamedBy) -> Option<String> {
        if by.is_unique_in_account() {
            return None;
        }
        let Listed { session, incomplete, .. } = self.account(at);
        let reason = incomplete.as_ref()?;
        Some(match self.asked {
            Asked::One(_) => reason.clone(),
            Asked::Several(_) => format!("account {}: {reason}", session.alias),
        })
    }

    /// The report that several users match, with all of them.
    fn several(&self, text: &str, by: NamedBy, people: &[Person]) -> Target {
        let shown = self.selection(people);
        let accounts = accounts_of(people);
        let (users, text) = (counted(people.len(), "user"), quoted(text));
        let message = match accounts {
            1 => format!("{text} matches {users}; name one by id"),
            // An id that several accounts have does not tell them apart.
            _ if by.is_unique() => {
                format!("{text} matches users of {accounts} accounts; choose one with --account")
            }
            _ => format!(
                "{text} matches {users} of {accounts} accounts; name one by id, or choose the account with --account"
            ),
        };
        let hint = "; `zt-risk-exporter users TEXT --output wide` shows the ids";
        self.unclear(Report::found(shown.candidates()), Failure::Unclear(message), hint)
    }

    fn nobody(&self, text: &str) -> Target {
        if let Ok(user) = UserId::try_parse(text) {
            return Target::Unlisted(user);
        }
        let text = quoted(text);
        let failure = match self.asked {
            Asked::One(account) => {
                let incomplete = self.accounts.first().and_then(|account| account.incomplete.clone());
                let message = || format!("no user on the risk list of {account} matches {text}");
                Failure::Unclear(incomplete.unwrap_or_else(message))
            }
            Asked::Several(accounts) if self.gaps.is_empty() => {
                Failure::Unclear(format!("no user on the risk lists of {accounts} accounts matches {text}"))
            }
            Asked::Several(_) => {
                Failure::Incomplete(format!("no user on the risk lists that could be read matches {text}"))
            }
        };
        self.unclear(Report::default(), failure, "; a user who is no longer listed is named by id")
    }

    fn unclear(&self, report: Report, failure: Failure, hint: &'static str) -> Target {
        Target::Unclear(Unclear { report, remarks: self.gaps.remarks(), failure, hint })
    }

    /// These users of the lists.
    pub(super) fn selection<'b>(&'b self, people: &'b [Person]) -> Selection<'b> {
        let asked = self.accounts.iter().filter(|account| {
            let alias = &account.session.alias;
            people.iter().any(|person| person.account == *alias)
        });
        Selection {
            asked: self.asked,
            people,
            omitted: 0,
            unread: 0,
            whole: { asked }.all(|account| account.incomplete.is_none()),
            gaps: &self.gaps,
            now: self.now,
        }
    }
}

/// The user that a text names, for a command that shows no users.
pub(in crate::commands) struct Named {
    pub(in crate::commands) id: UserId,
    /// Accounts that could not be read and may have another user of that name: a line for each cause.
    pub(in crate::commands) remarks: Vec<String>,
    /// That there are such accounts.
    pub(in crate::commands) incomplete: Option<Failure>,
}

impl Named {
    /// A user who is the only one of that name.
    pub(in crate::commands) const fn certain(id: UserId) -> Self {
        Self { id, remarks: Vec::new(), incomplete: None }
    }
}

/// # Errors
/// No user or several users match; or the list of the matching user is incomplete, so that another one may match as well; or no
/// list can be read.
pub(super) async fn named(scope: &Scope<'_>, text: &str) -> Result<Named, Failure> {
    let lists = Lists::read(scope, &[text.to_owned()]).await?;
    let of_gaps = |id| Named { id, remarks: lists.gaps.remarks(), incomplete: lists.gaps.failure() };
    // A state file has one user of an id, whatever the accounts.
    if let Some((_, people)) = lists.matching(0)
        && let [(_, first), _, ..] = people.as_slice()
        && people.iter().all(|(_, person)| person.id == first.id)
    {
        return Ok(of_gaps(first.id));
    }
    match lists.target(0, text) {
        Target::Listed { person, by, .. } if by.is_unique() => Ok(Named::certain(person.id)),
        Target::Listed { person, .. } => Ok(of_gaps(person.id)),
        Target::Unlisted(user) => Ok(Named::certain(user)),
        Target::Unclear(unclear) => Err(unclear.failure()),
    }
}

/// The text for a message. An e-mail address is not repeated, because messages may end up in a log.
fn quoted(text: &str) -> String {
    if text.contains('@') { "the e-mail address given".to_owned() } else { format!("{text:?}") }
}
