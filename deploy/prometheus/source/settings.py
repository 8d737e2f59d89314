"""Thresholds, `for` durations and windows of the rules, with reasons. After a change, run `make_rules.py`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any


class Duration(int):
    """A duration in milliseconds, because the windows of a drill may be shorter than a second."""

    def __str__(self) -> str:
        """In the syntax of Prometheus, in the largest unit that divides the duration."""
        for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)):
            if self % size == 0:
                return f"{self // size}{unit}"
        return f"{int(self)}ms"

    @property
    def seconds(self) -> str:
        """The number of seconds, for a comparison with a metric in seconds."""
        whole, rest = divmod(int(self), SECOND)
        return f"{int(self) / SECOND:g}" if rest else str(whole)

    def times(self, factor: float) -> Duration:
        return Duration(round(int(self) * factor))


SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


# The thresholds that the chart has as values, because a tenant's size and habits decide them. The rules print each of
# them as it is, without computing with it.
COMMON = (
    "rise_users",
    "rise_percent",
    "usual_users",
    "usual_percent",
    "campaign_users",
    "campaign_factor",
    "campaign_users_no_history",
    "unattended",
    "reset_users",
    "reset_percent",
    "silent_events",
    "stale_polls",
    "expiry_notice",
    "pending",
    "closed_connections",
)


def camel_case(name: str) -> str:
    """The name of a threshold among the chart's values."""
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)


class Placeholder(str):
    """Stands for a threshold in the chart's rules: for its number, and for the seconds of its duration."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"@{str.__str__(self)}@"

    def __format__(self, spec: str) -> str:
        assert not spec, "a placeholder cannot be computed with"
        return str(self)

    @property
    def seconds(self) -> str:
        return str(self)


def minutes(count: float) -> Duration:
    return Duration(count * MINUTE)


def hours(count: float) -> Duration:
    return Duration(count * HOUR)


def days(count: float) -> Duration:
    return Duration(count * DAY)


@dataclass(frozen=True)
class Settings:
    """The values for production. They assume that the exporter has its default intervals."""

    # The scrape job. Only rules that read `up` need it; all other rules find their series by the name of the metric.
    job: str = "zt-risk-exporter"

    # The scrape interval of the example. A shorter interval would evaluate the same samples again.
    evaluation: Duration = minutes(0.5)

    # HighRiskUsersRising. With an hour, a wave of several minutes is one rise.
    rise_window: Duration = hours(1)
    # After a gap, how far back to look for the value before the window: a night without data.
    rise_gap: Duration = hours(12)
    # Ten users within an hour are no coincidence in any tenant. Smaller changes do not fire.
    rise_users: int = 10
    # In a tenant with thousands at high risk, the number changes by ten every hour. So it must also rise by a fifth.
    rise_percent: int = 20
    # Ten polls, so that a rise that is reset at once does not fire.
    rise_for: Duration = minutes(5)

    # HighRiskUsersUnusual compares the same hour of the last seven days, including the weekend.
    usual_day: Duration = days(1)
    usual_hour: Duration = hours(1)
    # One bad day does not change the median of three days, but it would change the median of two.
    usual_days_needed: int = 3
    # Half as many again as the median.
    usual_percent: int = 50
    # If the median is 0, any user would be above the percentage. So at least five more users are needed.
    usual_users: int = 5
    # Slower than HighRiskUsersRising, because this alert is about a trend and is only a warning.
    usual_for: Duration = minutes(15)

    # RiskCampaign. A campaign, such as a wave of phishing, reaches users within about an hour.
    campaign_window: Duration = hours(1)
    # How many users have their first event of the behavior since their last reset.
    campaign_users: int = 10
    # How many times more events than in an average hour of the day before.
    campaign_factor: int = 3
    campaign_usual: Duration = days(1)
    # The number of users if there is no history: 50 are a campaign in nearly every tenant.
    campaign_users_no_history: int = 50

    # HighRiskUserUnattended. After a working day, an evening and a night, somebody should have looked and decided.
    unattended: Duration = hours(24)
    # The exporter sees a reset after two polls at most.
    unattended_for: Duration = minutes(5)

    # MassReset. Ten resets in an hour are the cleanup after an incident, or an attempt to hide one.
    reset_window: Duration = hours(1)
    reset_users: int = 10
    # With thousands of users at risk, ten resets are routine work. So they must also be a twentieth of the list.
    reset_percent: int = 5

    # BehaviorDisabled and BehaviorLevelChanged fire for a day, so that the next shift sees them.
    change_window: Duration = days(1)
    # Two polls of the settings, 5 minutes apart. A mistake that is undone at once does not fire.
    change_for: Duration = minutes(10)

    # BehaviorDrifted. Two polls of the settings: somebody who changes them by hand may put them back.
    drift_for: Duration = minutes(10)

    # BehaviorSilent. A weekend and one more day.
    silent_window: Duration = days(3)
    # The week before the window. 20 events in it are nearly three a day; at that rate, three days without an event
    # happen by chance once in five thousand.
    silent_usual: Duration = days(7)
    silent_events: int = 20
    # The counter must have been scraped for nine tenths of the window. Otherwise events may have been missed.
    silent_scraped_percent: int = 90
    silent_step: Duration = hours(1)
    silent_for: Duration = hours(1)

    # IntegrationInactive: three polls of the integrations, 5 minutes apart.
    integration_for: Duration = minutes(15)
    # The alert about a deleted integration fires for a day.
    integration_memory: Duration = days(1)

    # ExporterDown. Half of the scrapes of five minutes, so that an exporter in a restart loop is found too.
    down_window: Duration = minutes(5)
    down_percent: int = 50
    # Longer than an update of the exporter takes.
    down_for: Duration = minutes(5)

    # AllAccountsFailing. Nine tenths of the accounts: those with a long interval notice an outage last.
    shared_percent: int = 90
    # One account has nothing in common with others.
    shared_accounts: int = 2
    # How far back the cause of a failure may be: more than the 5 minutes between two attempts with refused credentials.
    shared_window: Duration = minutes(6)
    # How long no account was read. UserListStale fires after five and a half minutes at the earliest, and must find
    # this alert firing.
    shared_unread: Duration = minutes(4)
    # A block by Cloudflare's rate limit lasts 5 minutes. One block is quiet.
    shared_limited: Duration = minutes(6)
    # Afterwards, until the last account was read again. Otherwise this account would fire an alert of its own.
    shared_hold: Duration = minutes(5)

    # UserListStale and SettingsStale: two polls may fail, the third must succeed.
    stale_polls: int = 3
    # The minimum for short intervals: a block by Cloudflare's rate limit lasts 5 minutes.
    stale_minimum: Duration = minutes(5)
    stale_for: Duration = minutes(2)
    # The first list of a large account may take 5 minutes, and the exporter may have to retry it.
    stale_startup: Duration = minutes(10)

    # TokenRefused: the exporter retries every 5 minutes. Prometheus must see two of three attempts.
    refused_window: Duration = minutes(15)
    # Longer than the time until the second attempt, so that a single refusal does not fire.
    refused_no_success: Duration = minutes(6)

    # TokenExpiring: two weeks cover a holiday.
    expiry_notice: Duration = days(14)

    # PermissionMissing: three attempts, 5 minutes apart, without a success between them. The window must be longer than
    # two of `intervals.behaviors` and two of `intervals.integrations`.
    forbidden_window: Duration = minutes(15)
    forbidden_for: Duration = minutes(5)

    # RateLimited: a block lasts 5 minutes. `for` is longer than the window, so that one block does not fire. A second
    # block must follow within a quarter of an hour.
    limited_window: Duration = minutes(15)
    limited_for: Duration = minutes(16)

    # UsersPending: an event that was not read within an hour after it appeared. The last of the early retries is after
    # 36 minutes.
    pending: Duration = hours(1)
    pending_for: Duration = minutes(5)

    # RowsRejected, EventsUnattributed, UsersSkipped, LogLinesDropped and FeedRecordsDropped: one is enough, because
    # each is missing data. They fire for an hour.
    lost_window: Duration = hours(1)
    # ConnectionsClosed: one a minute, such as a scraper on a slow line whose every scrape is cut off, but not a few at
    # once.
    closed_window: Duration = minutes(15)
    closed_connections: int = 10
    # ReloadFailed and TokenFiles: long enough to correct a typing error. The exporter itself waits for several looks at
    # a token file.
    reload_for: Duration = minutes(5)
    # BaselineUnreadable: long enough to correct a typing error.
    baseline_for: Duration = minutes(5)
    # DiscoveryFailing: the list is tried again every minute after a failure.
    discovery_window: Duration = minutes(15)
    discovery_for: Duration = minutes(5)
    # UnknownRiskLevel: ten polls.
    unknown_for: Duration = minutes(5)

    # FeedDelayed: a record is written a second after it was counted. `for` is longer than a restart after a long stop
    # takes.
    feed_pending: Duration = minutes(10)
    feed_for: Duration = minutes(2)

    # StateNotDurable: long enough that a short test run does not fire.
    state_for: Duration = minutes(15)
    # StateCommitFailed: one failure is enough, because a disk error does not depend on polls. It fires for an hour.
    commit_window: Duration = hours(1)
    # StateDamaged fires for a day after the start.
    damaged_window: Duration = days(1)

    def with_placeholders(self) -> Settings:
        """A copy that prints `@riseUsers@` for each common threshold. The chart replaces it with its value."""
        changes: dict[str, Any] = {name: Placeholder(camel_case(name)) for name in COMMON}
        return replace(self, **changes)

    def scaled(self, divisor: int) -> Settings:
        """A copy with all durations divided, for a drill: there Prometheus scrapes every second."""
        numbers = {field.name: getattr(self, field.name) for field in fields(self)}
        shorter = {name: time.times(1 / divisor) for name, time in numbers.items() if isinstance(time, Duration)}
        # Scrapes are one second apart, so a shorter evaluation interval would find no new samples.
        shorter["evaluation"] = max(shorter["evaluation"], Duration(SECOND))
        changes: dict[str, Any] = dict(shorter)
        return replace(self, **changes)
