//! Tries each endpoint of an account once, and judges the answers.

use crate::clock::{Clock, Timestamp};
use crate::cloudflare::{Client, Error, Kind, Limiter, MissingGrant, TokenState, TokenStatus};
use crate::commands::terminal::counted;
use crate::config::{Account, CredentialSource};
use crate::model::{Behavior, Completeness, Integration, Listing, Resource, Summary, UserId, UserRisk};

use super::report::{Finding, Subject, Verdict};

/// What an answer says in a few words, and whether all of it could be read.
struct Answer {
    text: String,
    verdict: Verdict,
}

/// What is wrong with an answer, or why there is none.
struct Problem {
    /// In a few words.
    text: String,
    /// In a sentence, with what to do about it.
    remark: String,
}

/// Tries one account.
pub(super) struct Trial<'a> {
    pub(super) account: &'a Account,
    pub(super) clock: &'a Clock,
    /// What was found so far of this account.
    pub(super) findings: Vec<Finding>,
}

impl Trial<'_> {
    /// Sends one request after the other.
    pub(super) async fn all(&mut self, client: &Client) {
        match self.account.credentials {
            CredentialSource::Token(_) | CredentialSource::TokenFile(_) => {
                self.request(Resource::TokenVerify, client.verify_token(), token).await;
            }
            CredentialSource::Key { .. } | CredentialSource::KeyFile { .. } => self.note(
                Resource::TokenVerify,
                Verdict::Skipped,
                "an API key is used",
                Some("an API key can do everything; a token with two permissions is safer".to_owned()),
            ),
        }
        self.request(Resource::Behaviors, client.behaviors(), behaviors).await;
        self.request(Resource::Integrations, client.integrations(), integrations).await;
        let summary = self.request(Resource::Summary, client.summary(), summary).await;
        let first = summary.as_ref().map(|summary| summary.rows.first());
        match first {
            Some(Some(row)) => self.user(client, row.user).await,
            Some(None) => self.skip_user("the list has no users"),
            None => self.skip_user("the list of users could not be read"),
        }
        self.excuse_verification();
    }

    /// Corrects a failed verification: if the token works elsewhere, it belongs to an account, and tokens of accounts are
    /// verified at another address.
    fn excuse_verification(&mut self) {
        let works = |finding: &Finding| matches!(finding.verdict, Verdict::Passed | Verdict::Warning);
        if !self.findings.iter().any(works) {
            return;
        }
        let refused = |finding: &&mut Finding| {
            finding.subject == Subject::Endpoint(Resource::TokenVerify)
                && matches!(finding.kind, Some(Kind::Credentials | Kind::Refused | Kind::Forbidden(_)))
        };
        for finding in self.findings.iter_mut().filter(refused) {
            finding.verdict = Verdict::Warning;
            finding.lacks = None;
            finding.remark = Some(
                "a token that belongs to an account cannot be verified here, and need not be".to_owned(),
            );
        }
    }

    async fn user(&mut self, client: &Client, user: UserId) {
        self.request(Resource::User, client.user(user), user_events).await;
    }

    fn skip_user(&mut self, why: &str) {
        self.note(Resource::User, Verdict::Skipped, why, None);
    }

    /// Sends one request. `evaluate` describes the answer, or what is wrong with it.
    async fn request<T>(
        &mut self,
        endpoint: Resource,
        request: impl Future<Output = Result<T, Error>>,
        evaluate: impl FnOnce(&T) -> Result<Answer, Problem>,
    ) -> Option<T> {
        let before = self.clock.now();
        let answer = request.await;
        let took = Some(self.clock.now().since(before));
        let judged = match &answer {
            Ok(found) => evaluate(found),
            Err(error) => Err(Problem { text: in_short(error), remark: error.to_string() }),
        };
        let (verdict, text, remark) = match judged {
            Ok(Answer { text, verdict }) => (verdict, text, None),
            Err(Problem { text, remark }) => (Verdict::Failed, text, Some(remark)),
        };
        let kind = answer.as_ref().err().map(Error::kind);
        let lacks = match &answer {
            Err(error) if error.kind() == Kind::Forbidden(MissingGrant::Permission) => error.permission(),
            _ => None,
        };
        let own = self.finding(endpoint, verdict, text);
        self.findings.push(Finding { remark, took, kind, lacks, ..own });
        answer.ok()
    }

    pub(super) fn note(&mut self, endpoint: Resource, verdict: Verdict, text: &str, remark: Option<String>) {
        let own = self.finding(endpoint, verdict, text.to_owned());
        self.findings.push(Finding { remark, ..own });
    }

    fn finding(&self, endpoint: Resource, verdict: Verdict, text: String) -> Finding {
        let account = Some(self.account.alias.clone());
        Finding { account, ..Finding::new(Subject::Endpoint(endpoint), verdict, text) }
    }
}

/// The error in a few words, for the table. The whole sentence stands below it.
fn in_short(error: &Error) -> String {
    let words = match error.kind() {
        Kind::Credentials => "missing or malformed credentials",
        Kind::Refused => "refused",
        Kind::Forbidden(MissingGrant::Permission) => {
            // The name of the first permission that would be enough, without quotes.
            return match error.permission().and_then(|permission| permission.split('"').nth(1)) {
                Some(name) => format!("lacks {name}"),
                None => "refused".to_owned(),
            };
        }
        Kind::Forbidden(MissingGrant::Account) => "not for this account",
        Kind::Forbidden(MissingGrant::User) => "not of a user",
        Kind::NotEntitled => "no user risk scoring",
        Kind::NotFound => "not found",
        Kind::Limited(Limiter::Cloudflare) => "rate limit reached",
        Kind::Limited(Limiter::Budget) => "budget spent",
        Kind::Unavailable => "unavailable",
        Kind::Timeout => "no answer in time",
        Kind::Shape => "unexpected answer",
        Kind::Invalid => "request refused",
    };
    words.to_owned()
}

fn token(status: &TokenStatus) -> Result<Answer, Problem> {
    let problem =
        |text: &str, remark: &str| Err(Problem { text: text.to_owned(), remark: remark.to_owned() });
    let until = |expires: Timestamp| format!("active, expires {expires}");
    match status.state {
        TokenState::Active => {
            let text = status.expires.map_or_else(|| "active, does not expire".to_owned(), until);
            Ok(Answer { text, verdict: Verdict::Passed })
        }
        TokenState::Disabled => problem("disabled", "the token is disabled; enable it, or create another"),
        TokenState::Expired => problem("expired", "the token has expired; roll it, or create another"),
        TokenState::Unknown => problem("not active", "Cloudflare reports that the token is not active"),
    }
}

fn behaviors(found: &Listing<Behavior>) -> Result<Answer, Problem> {
    let enabled = found.rows.iter().filter(|behavior| behavior.enabled == Some(true)).count();
    let text = format!("{}, {enabled} enabled", counted(found.rows.len(), "behavior"));
    let silent = found.rows.iter().filter(|behavior| behavior.enabled.is_none()).count();
    whole(&Completeness::Complete, text, found.rejected as usize + silent)
}

fn integrations(found: &Listing<Integration>) -> Result<Answer, Problem> {
    let active = found.rows.iter().filter(|integration| integration.active).count();
    let text = format!("{}, {active} active", counted(found.rows.len(), "integration"));
    whole(&Completeness::Complete, text, found.rejected as usize)
}

fn summary(found: &Summary) -> Result<Answer, Problem> {
    let unreadable = found.unreadable.len() + found.anonymous as usize;
    let users = counted(found.rows.len(), "user");
    let requests = counted(found.pages as usize, "request");
    whole(&found.completeness, format!("{users} in {requests}"), unreadable)
}

fn user_events(found: &UserRisk) -> Result<Answer, Problem> {
    let events = counted(found.events.len(), "event");
    whole(&found.completeness, format!("{events} of one user"), found.rejected as usize)
}

fn whole(completeness: &Completeness, text: String, unreadable: usize) -> Result<Answer, Problem> {
    match (completeness, unreadable) {
        (Completeness::Complete, 0) => Ok(Answer { text, verdict: Verdict::Passed }),
        (Completeness::Complete, _) => {
            Ok(Answer { text: format!("{text}, {unreadable} unreadable"), verdict: Verdict::Warning })
        }
        (Completeness::Partial(reason) | Completeness::Unfinished(reason), _) => {
            let remark = format!("the list is incomplete: {reason}");
            Err(Problem { text: format!("{text}, incomplete"), remark })
        }
    }
}
