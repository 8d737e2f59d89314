"""Every threshold, `for` and window of the rules, each with its reason. Change one here, then run `make_rules.py`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any


class Duration(int):
    """A time in milliseconds, because a drill's windows may be shorter than a second."""

    def __str__(self) -> str:
        """As Prometheus writes it, in the largest unit that divides it."""
        for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)):
            if self % size == 0:
                return f"{self // size}{unit}"
        return f"{int(self)}ms"

    @property
    def seconds(self) -> str:
        """The number of seconds, for a comparison with a metric in seconds."""
        return f"{int(self) / SECOND:g}"

    def times(self, factor: float) -> Duration:
        return Duration(round(int(self) * factor))


SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def minutes(count: float) -> Duration:
    return Duration(count * MINUTE)


def hours(count: float) -> Duration:
    return Duration(count * HOUR)


def days(count: float) -> Duration:
    return Duration(count * DAY)


@dataclass(frozen=True)
class Settings:
    """The rules as they are meant for work. The exporter is taken to have its default intervals."""

    # The scrape job. Only what asks for `up` needs it: everything else is found by the metric's name.
    job: str = "zt-risk-exporter"

    # The scrape interval of the example. A shorter one finds the same samples again.
    evaluation: Duration = minutes(0.5)

    # HighRiskUsersRising. An hour, so that a wave that comes in over some minutes is one rise.
    rise_window: Duration = hours(1)
    # How far back to look for the value before the window when there was a gap: a night without data.
    rise_gap: Duration = hours(12)
    # Ten people at once are no coincidence in any tenant, and a tenant with fewer at risk stays quiet.
    rise_users: int = 10
    # A tenant with thousands at high risk moves by ten in every hour: so a fifth on top as well.
    rise_percent: int = 20
    # Ten polls: long enough that a reset that follows at once wakes nobody.
    rise_for: Duration = minutes(5)

    # HighRiskUsersUnusual compares the same hour of these seven days: the last week, its weekend included.
    usual_day: Duration = days(1)
    usual_hour: Duration = hours(1)
    # The median of three days is not moved by one bad day; of two it would be.
    usual_days_needed: int = 3
    # Half as many again as usual.
    usual_percent: int = 50
    # In a tenant that is usually at 0 every user is "half as many again": at least five more.
    usual_users: int = 5
    # Slower than HighRiskUsersRising, because it is about a trend and wakes nobody.
    usual_for: Duration = minutes(15)

    # RiskCampaign. A campaign (one wave of phishing, say) reaches people within an hour or so.
    campaign_window: Duration = hours(1)
    # For so many users it is the first event of the behavior since their last reset.
    campaign_users: int = 10
    # So many times as many events as in an average hour of the day before.
    campaign_factor: int = 3
    campaign_usual: Duration = days(1)
    # As long as nobody knows what is usual: so many users are a campaign nearly everywhere.
    campaign_users_unknown: int = 50

    # HighRiskUserUnattended. A working day, its evening and night: nobody looked, or nobody decided.
    unattended: Duration = hours(24)
    # A reset takes up to two polls to be seen.
    unattended_for: Duration = minutes(5)

    # MassReset. Who clears ten users in an hour tidies up after an incident, or hides one.
    reset_window: Duration = hours(1)
    reset_users: int = 10
    # Where thousands are at risk, ten resets are a morning's work: so a twentieth of the list as well.
    reset_percent: int = 5

    # BehaviorDisabled and BehaviorLevelChanged stay for a day, so that whoever comes to work sees them.
    change_window: Duration = days(1)
    # Two polls of the settings, 5 minutes apart: nobody needs to hear of a slip that was undone at once.
    change_for: Duration = minutes(10)

    # BehaviorSilent. A weekend and a day on top.
    silent_window: Duration = days(3)
    # What it was like in the week before: so many events are nearly three in a day, and by chance alone three days
    # without any come once in five thousand.
    silent_usual: Duration = days(7)
    silent_events: int = 20
    # Silence is only known if somebody listened: for nine tenths of the time.
    silent_listened_percent: int = 90
    silent_step: Duration = hours(1)
    silent_for: Duration = hours(1)

    # IntegrationInactive: three polls of the integrations, 5 minutes apart.
    integration_for: Duration = minutes(15)
    # A deleted integration is remembered for a day.
    integration_memory: Duration = days(1)

    # ExporterDown. Half of the scrapes of five minutes, so that one that is restarted again and again is found too.
    down_window: Duration = minutes(5)
    down_percent: int = 50
    # Longer than an update takes.
    down_for: Duration = minutes(5)

    # UserListStale and SettingsStale: two polls may fail, the third may not.
    stale_polls: int = 3
    # Not sooner, however short the interval: a block by Cloudflare's rate limit lasts 5 minutes.
    stale_least: Duration = minutes(5)
    stale_for: Duration = minutes(2)
    # The first list of a large account may take 5 minutes, and may have to be tried again.
    stale_start: Duration = minutes(10)

    # TokenRefused: tried again every 5 minutes; two of three tries have to be seen.
    refused_window: Duration = minutes(15)
    # No success for longer than it takes until the second try, so that one refusal alone wakes nobody.
    refused_quiet: Duration = minutes(6)

    # TokenExpiring: two weeks' notice leaves room for a holiday.
    expiry_notice: Duration = days(14)

    # PermissionMissing: three tries of an endpoint, every 5 minutes, and no success between them. It must be longer
    # than two of `intervals.behaviors` and `intervals.integrations`.
    forbidden_window: Duration = minutes(15)
    forbidden_for: Duration = minutes(5)

    # RateLimited: a block lasts 5 minutes. `for` is longer than the window, so that one block alone is not enough:
    # the next one has to come within a quarter of an hour.
    limited_window: Duration = minutes(15)
    limited_for: Duration = minutes(16)

    # UsersPending: an event that was not read an hour after it showed. The last of the quick repetitions comes after 36
    # minutes.
    pending: Duration = hours(1)
    pending_for: Duration = minutes(5)

    # StateNotDurable: not sooner, so that nothing is heard of a test.
    state_for: Duration = minutes(15)
    # StateCommitFailed: a disk that fails is no matter of polls; one failure counts, and is shown for an hour.
    commit_window: Duration = hours(1)
    # StateDamaged is shown for a day after the start.
    damaged_shown: Duration = days(1)

    def scaled(self, divisor: int) -> Settings:
        """The same with all times divided: for a drill, whose Prometheus scrapes every second."""
        numbers = {field.name: getattr(self, field.name) for field in fields(self)}
        shorter = {name: time.times(1 / divisor) for name, time in numbers.items() if isinstance(time, Duration)}
        # Between two scrapes, a second apart, there is nothing new to evaluate.
        shorter["evaluation"] = max(shorter["evaluation"], Duration(SECOND))
        changes: dict[str, Any] = dict(shorter)
        return replace(self, **changes)
