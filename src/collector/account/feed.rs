//! What the account tells the feed: one record for each change that is counted, saved in the same transaction as the count.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Account;
use crate::clock::Timestamp;
use crate::collector::ledger::{Facts, Loss, NewEvent, NewReset};
use crate::collector::roster::{LevelMove, User};
use crate::collector::user_label::UserLabel;
use crate::feed::Format;
use crate::feed::outbox::{Draft, Outbox};
use crate::feed::record::{Cause, Content, Details, GapReason, History, Person, RecordUser, Setting};
use crate::model::{Behavior, DetailedEvent, Event, Identities, Identity, Integration, UserId, UserRisk};

/// What the configuration says of the records.
#[derive(Clone, Debug)]
pub struct FeedSettings {
    /// How a line is written.
    pub format: Format,
    /// How records name users.
    pub user_label: UserLabel,
    /// Whether records have the details of events.
    pub details: Details,
    /// What the first list of users writes.
    pub history: History,
}

/// Where the records go.
#[derive(Debug)]
pub(super) struct FeedSource {
    outbox: Arc<Outbox>,
    settings: FeedSettings,
    /// The date on our own clock at the latest answer.
    date: Timestamp,
}

/// The details of a user's events.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventDetails(HashMap<(String, Timestamp), String>);

impl EventDetails {
    /// Separates the details from what is counted.
    pub(crate) fn split(risk: UserRisk<DetailedEvent>) -> (UserRisk, Self) {
        let UserRisk { events, rejected, odd, last_reset, level, completeness, date, identity, pages } = risk;
        let mut all = HashMap::new();
        let separate = |DetailedEvent { event, details }: DetailedEvent| {
            let key = (event.identifier().to_owned(), event.timestamp);
            all.extend(details.map(|details| (key, details)));
            event
        };
        let events: Vec<Event> = events.into_iter().map(separate).collect();
        (
            UserRisk { events, rejected, odd, last_reset, level, completeness, date, identity, pages },
            Self(all),
        )
    }

    fn of(&self, event: &NewEvent) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(event.identifier.clone(), event.at)).cloned()
    }
}

/// What an answer says of a user beside what is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside<'a> {
    pub(super) identity: Option<&'a Identity>,
    pub(super) details: Option<&'a EventDetails>,
}

impl Account {
    /// Records go to `outbox` from now on.
    pub fn feed_into(&mut self, outbox: Arc<Outbox>, settings: FeedSettings, date: Timestamp) {
        self.feed = Some(FeedSource { outbox, settings, date });
    }

    /// Other settings apply to the records from now on, if there is a feed.
    pub(crate) fn set_feed(&mut self, settings: &FeedSettings) {
        if let Some(feed) = &mut self.feed {
            feed.settings = settings.clone();
        }
    }

    /// Whether there is a feed.
    pub(crate) fn has_feed(&self) -> bool {
        self.feed.is_some()
    }

    /// The outbox, if there is a feed.
    pub(super) fn outbox(&self) -> Option<&Outbox> {
        self.feed.as_ref().map(|feed| &*feed.outbox)
    }

    /// What is told next was seen at this date on our own clock.
    pub(super) fn tell_at(&mut self, date: Timestamp) {
        if let Some(feed) = &mut self.feed {
            feed.date = date;
        }
    }

    fn tell(&self, time: Timestamp, user: Option<(UserId, Option<Person>)>, content: Content) {
        let Some(FeedSource { outbox, settings, date }) = &self.feed else { return };
        let subject = user.as_ref().map(|(id, _)| *id);
        let named = |(id, person): (UserId, Option<Person>)| {
            let person = person.filter(|_| matches!(settings.user_label, UserLabel::Email));
            Some(RecordUser { name: settings.user_label.label(id)?, person })
        };
        let draft = Draft { time, subject, user: user.and_then(named), content };
        outbox.push(&self.name.alias, draft, *date, settings.format);
    }

    /// What a reading of a user's events counted. The ledger has it already.
    pub(super) fn tell_reading(&self, id: UserId, facts: Facts, beside: Beside<'_>) {
        let Some(feed) = &self.feed else { return };
        let Facts { mut events, reset, losses } = facts;
        let person = || beside.identity.map(|Identity { email, name }| person(email, name));
        // The events may have been asked for with their details before these were turned off.
        let details = beside.details.filter(|_| feed.settings.details == Details::Kept);
        events.sort_by_key(|event| event.at);
        for event in events {
            let content = Content::RiskEvent {
                details: details.and_then(|details| details.of(&event)),
                event_id: event.id,
                behavior: self.ledger.text_of(event.label).to_owned(),
                level: event.level,
            };
            self.tell(event.at, Some((id, person())), content);
        }
        if let Some(NewReset { at, previous }) = reset {
            self.tell(at, Some((id, person())), Content::Reset { previous });
        }
        for (loss, count) in losses.into_iter().filter(|(_, count)| *count > 0) {
            let content = Content::Gap { reason: reason(loss), count, sequences: None };
            self.tell(feed.date, Some((id, person())), content);
        }
    }

    /// What a list of users changed, read at `date`. `gone` has those who left it, sorted by id.
    pub(super) fn tell_list(
        &self,
        moves: &[LevelMove],
        gone: &[User],
        people: Option<&Identities>,
        date: Timestamp,
    ) {
        if self.feed.is_none() {
            return;
        }
        let named = |id| Some((id, person_of(people, id)));
        for LevelMove { id, from, to, cause } in moves {
            // A reset that was read before the user was missed from the list explains why.
            let left = gone.binary_search_by_key(id, |user| user.id).ok().and_then(|at| gone.get(at));
            let is_reset = left.is_some_and(|user| self.ledger.last_reset(*id) >= Some(user.since));
            let cause = if *cause == Cause::Removal && is_reset { Cause::Reset } else { *cause };
            self.tell(date, named(*id), Content::LevelChange { previous: *from, current: *to, cause });
        }
        for user in gone {
            self.tell(date, named(user.id), Content::UserGone { previous: user.level });
        }
    }

    /// The first list of users, read at `date`.
    pub(super) fn tell_first_list(&self, users: &[User], people: Option<&Identities>, date: Timestamp) {
        let is_written = |feed: &FeedSource| feed.settings.history == History::Written;
        if !self.feed.as_ref().is_some_and(is_written) {
            return;
        }
        for user in users.iter().filter(|user| user.level.is_known()) {
            let content =
                Content::LevelChange { previous: None, current: Some(user.level), cause: Cause::Baseline };
            self.tell(date, Some((user.id, person_of(people, user.id))), content);
        }
    }

    /// How the behaviors differ from those before.
    pub(super) fn tell_behaviors(&self, before: &[Behavior], now: &[Behavior]) {
        let Some(feed) = &self.feed else { return };
        let setting = |behavior: &Behavior| Setting { enabled: behavior.enabled, level: behavior.level };
        for (id, (before, now)) in pairs(before, now, |behavior| behavior.id.clone()) {
            let (previous, current) = (before.map(setting), now.map(setting));
            if previous != current {
                let name = now.or(before).map(|behavior| behavior.name.clone()).unwrap_or_default();
                self.tell(feed.date, None, Content::BehaviorChange { behavior: id, name, previous, current });
            }
        }
    }

    /// How the integrations differ from those before.
    pub(super) fn tell_integrations(&self, before: &[Integration], now: &[Integration]) {
        let Some(feed) = &self.feed else { return };
        for (id, (before, now)) in pairs(before, now, |integration| integration.id) {
            let active = |integration: Option<&Integration>| integration.map(|known| known.active);
            let (previous_active, active) = (active(before), active(now));
            if previous_active != active {
                let kind = now.or(before).map(|integration| integration.kind.clone()).unwrap_or_default();
                self.tell(feed.date, None, Content::IntegrationChange { id, kind, previous_active, active });
            }
        }
    }
}

/// Elements of two lists by key: those before and those now.
fn pairs<'a, T, K: Ord>(
    before: &'a [T],
    now: &'a [T],
    key: impl Fn(&T) -> K,
) -> BTreeMap<K, (Option<&'a T>, Option<&'a T>)> {
    let mut pairs: BTreeMap<K, (Option<&T>, Option<&T>)> = BTreeMap::new();
    for element in before {
        pairs.entry(key(element)).or_default().0 = Some(element);
    }
    for element in now {
        pairs.entry(key(element)).or_default().1 = Some(element);
    }
    pairs
}

fn person(email: &str, name: &str) -> Person {
    Person { email: email.to_owned(), name: name.to_owned() }
}

fn person_of(people: Option<&Identities>, id: UserId) -> Option<Person> {
    let (email, name) = people?.get(id)?;
    Some(person(email, name))
}

/// Why events are missing, as the feed says it.
fn reason(loss: Loss) -> GapReason {
    match loss {
        Loss::Capped => GapReason::Capped,
        Loss::Reset => GapReason::Reset,
        Loss::Removed => GapReason::Removed,
        Loss::Late => GapReason::Late,
        Loss::Timestamp => GapReason::Timestamp,
        Loss::Unknown => GapReason::Unknown,
        Loss::Unreadable => GapReason::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collector::account::Settings;
    use crate::feed::SinkKind;
    use crate::feed::outbox::Buffer;
    use crate::feed::saved::SavedFeed;
    use crate::model::resource::Intervals;
    use crate::model::{AccountName, Level};

    const DATE: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn account() -> Account {
        let interval = Duration::from_secs(60);
        Account::new(Settings {
            name: AccountName { alias: "a".to_owned(), id: "0".repeat(32) },
            intervals: Intervals {
                summary: interval,
                behaviors: interval,
                integrations: interval,
                audit: interval,
            },
            budget: 300,
            user_limit: 1,
            user_label: UserLabel::Id,
            baseline: None,
            secret: [1; 16],
            seed: 1,
        })
    }

    #[test]
    fn details_that_were_asked_for_before_they_were_turned_off_are_not_told() {
        let mut account = account();
        let (sinks, buffer) = ([SinkKind::File], Arc::new(Buffer::new(100)));
        let name = ("0", "a");
        let parts = (&sinks[..], &buffer, &Arc::default());
        let outbox = Arc::new(Outbox::restore(name, SavedFeed::default(), Format::Json, parts, DATE));
        let settings = |details| FeedSettings {
            format: Format::Json,
            user_label: UserLabel::Id,
            details,
            history: History::Omitted,
        };
        account.feed_into(Arc::clone(&outbox), settings(Details::Kept), DATE);
        let details =
            EventDetails(HashMap::from([(("e1".to_owned(), DATE), "{\"city\":\"Lisbon\"}".to_owned())]));
        for (wanted, has_details) in [(Details::Kept, true), (Details::Dropped, false)] {
            account.set_feed(&settings(wanted));
            let event = NewEvent {
                label: serde_json::from_str("0").unwrap(),
                level: Level::High,
                at: DATE,
                id: "e1".to_owned(),
                identifier: "e1".to_owned(),
            };
            let facts = Facts { events: vec![event], reset: None, losses: Vec::new() };
            let beside = Beside { identity: None, details: Some(&details) };
            account.tell_reading(UserId::from_u128(1), facts, beside);
            outbox.handed_over();
            outbox.committed();
            let line = outbox.all(SinkKind::File).pop().unwrap().text;
            assert_eq!(line.contains("Lisbon"), has_details, "{line}");
        }
    }
}
