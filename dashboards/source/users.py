"""Users: who is at risk and since when, and how fast somebody reacts."""

from typing import Any

from .kit import (
    BAD,
    DAY,
    GOOD,
    HOUR,
    LEVELS,
    NOTICE,
    age,
    at_least,
    bars,
    grid,
    lines,
    now,
    once,
    or_zero,
    over_time,
    per_bar,
    properties,
    quantile,
    risk,
    rows,
    shown,
    steps,
    tile,
    total,
)
from .shared import ANY_IS_NOTED, CALM, HIGH, LEVEL, UNATTENDED, frame, high_now, longest_high, resets

# No address of a single user is documented, so the link leads to the account.
CLOUDFLARE = {
    "title": "Cloudflare's dashboard of this account: Team & Resources > Users > Risk score",
    "url": "https://one.dash.cloudflare.com/${__data.fields.account_id}",
    "targetBlank": True,
}
OPENS = [{"type": "regex", "options": {"pattern": ".+", "result": {"text": "open", "color": "blue", "index": 0}}}]

NAMES = {"user": "User", "name": "Name", "email": "E-mail address"}


def _by_user(expr: str) -> str:
    # A user belongs to one account, so the id alone is a key that tables can be joined on.
    return f"max by (user) ({expr})"


def _age(what: str) -> str:
    return age(_by_user(risk(f"user_{what}_timestamp_seconds")))


def _level(compared: str) -> str:
    return f"{_by_user(risk('user_max_risk_level'))} {compared}"


WHO = f"max by (user, name, email) ({risk('user_info')})"
OFFENDERS = f"({_age('last_reset')} < {30 * DAY}) and on (user) ({_level('> 0')})"


def _most_at_risk() -> Any:
    text = (
        "The users most at risk, as many as the exporter is configured to name (users.limit). Names appear where"
        " it is configured to show them (users.identity: email); users are ids otherwise, or keyed hashes. Then:"
        " since when the user has had the level, and how long ago the latest event and the latest reset were."
    )
    level, account = once(risk("user_max_risk_level"), "user"), once(risk("account_info"), "account_id")
    queries = [
        rows(f"{level} * on (account) group_left (account_id) {account}"),
        rows(_by_user(risk("user_reported_events"))),
        rows(_age("since")),
        rows(_age("last_event")),
        rows(_age("last_reset")),
        rows(WHO),
    ]
    ages = {"Value #C": "At level for", "Value #D": "Event, ago", "Value #E": "Reset, ago"}
    columns = {
        **NAMES,
        "account": "Account",
        "Value #A": "Level",
        "Value #B": "Events",
        **ages,
        "account_id": "Cloudflare",
    }
    styles = {
        "User": at_least(315),
        "Name": shown(165),
        "E-mail address": at_least(200),
        "Account": shown(90),
        "Level": shown(90, LEVEL),
        "Events": shown(75),
        **{title: properties(unit="s", decimals=1, noValue="never", custom__width=115) for title in ages.values()},
        "Cloudflare": properties(
            links=[CLOUDFLARE], mappings=OPENS, custom__cellOptions={"type": "color-text"}, custom__width=90
        ),
    }
    sort = [("Level", True), ("Event, ago", False)]
    return grid("Users most at risk", text, queries, columns, key="user", width=24, height=13, styles=styles, sort=sort)


def _waiting() -> Any:
    text = "The ten users who have been at high risk for longest without a reset, among those with series of their own."
    queries = [rows(f"topk(10, ({_age('since')}) and on (user) ({_level('== 3')}))"), rows(WHO)]
    columns = {"Value #A": "At high risk for", "user": "User", "name": "Name"}
    bar = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    thresholds = UNATTENDED.build().to_json()
    styles = {
        "User": at_least(315),
        "At high risk for": properties(
            unit="s",
            decimals=1,
            min=0,
            thresholds=thresholds,
            color={"mode": "thresholds"},
            custom__cellOptions=bar,
            custom__width=200,
        ),
    }
    return grid(
        "Longest at high risk without a reset",
        text,
        queries,
        columns,
        key="user",
        styles=styles,
        sort=[("At high risk for", True)],
        no_value="nobody",
    )


def _offenders() -> Any:
    text = "Users who were reset within the last 30 days and are on the risk list again."
    queries = [rows(OFFENDERS), rows(f"({_level('> 0')}) and on (user) ({OFFENDERS})"), rows(WHO)]
    columns = {"Value #A": "Reset, ago", "Value #B": "Level", "user": "User", "name": "Name"}
    styles = {
        "User": at_least(315),
        "Reset, ago": properties(unit="s", decimals=1, custom__width=110),
        "Level": shown(90, LEVEL),
    }
    return grid(
        "Repeat offenders",
        text,
        queries,
        columns,
        key="user",
        styles=styles,
        sort=[("Level", True), ("Reset, ago", False)],
        no_value="nobody",
    )


def _time_to_reset() -> Any:
    queries = []
    for level in ("high", "medium"):
        matching = f'max_risk_level="{level}"'
        queries += [
            over_time(quantile(0.5, "time_to_reset_seconds", "1d", matching=matching), f"{level}, half of the resets"),
            over_time(quantile(0.9, "time_to_reset_seconds", "1d", matching=matching), f"{level}, nine in ten"),
        ]
    colors = {
        "high, half of the resets": LEVELS["high"],
        "high, nine in ten": "dark-red",
        "medium, half of the resets": LEVELS["medium"],
        "medium, nine in ten": "dark-orange",
    }
    text = (
        "From reaching the level to the reset, over the resets of the 24 hours before each moment. Users who were"
        " listed before the exporter began to count are left out."
    )
    return lines("Time to reset", text, queries, "s", colors=colors)


def _changes() -> Any:
    def moved(legend: str, matching: str) -> Any:
        return over_time(per_bar("level_changes_total", "from", "to", matching=matching), legend)

    queries = [
        moved("to high", 'to="high"'),
        moved("to medium", 'to="medium", from=~"none|low"'),
        moved("to low", 'to="low", from="none"'),
        moved("left the list", 'to="none"'),
        moved("fell", 'from=~"high|medium", to=~"medium|low"'),
    ]
    colors = {
        "to high": LEVELS["high"],
        "to medium": LEVELS["medium"],
        "to low": LEVELS["low"],
        "left the list": GOOD,
        "fell": "blue",
    }
    text = (
        "Above the line: users who rose to a level. Below: users who left the list, by a reset or for good, and"
        " those who fell to a lower level."
    )
    return bars("Level changes", text, queries, colors=colors, below=["left the list", "fell"])


def dashboard() -> Any:
    """The dashboard of those who look after users."""
    median = quantile(0.5, "time_to_reset_seconds", "$__range", matching=HIGH)
    panels = [
        high_now(),
        longest_high(),
        tile(
            "Time to reset, median",
            "Half of the resets of high-risk users during the selected time came faster than this.",
            now(median),
            "s",
            steps((None, GOOD), (8 * HOUR, NOTICE), (3 * DAY, BAD)),
            width=4,
            no_value="no resets",
        ),
        resets(),
        tile(
            "Repeat offenders",
            "Users who were reset within the last 30 days and are on the risk list again, among those with series of"
            " their own.",
            now(or_zero(f"count({OFFENDERS})")),
            "short",
            ANY_IS_NOTED,
            width=4,
        ),
        tile(
            "Users on the list",
            "All users on the risk list, at whatever level.",
            now(total(risk("users"), "max_risk_level")),
            "short",
            CALM,
            width=4,
        ),
        tile(
            "Not named",
            "Users on the list that have no series of their own, for the limit (users.limit) or because users are not"
            " named (users.identity: none). They are counted, but in no table here.",
            now(total(risk("users_omitted"))),
            "short",
            CALM,
        ),
        _most_at_risk(),
        _waiting(),
        _offenders(),
        _time_to_reset(),
        _changes(),
    ]
    text = (
        "Who is at risk, since when, and how fast somebody reacts. Names appear where the exporter is configured"
        " to show them."
    )
    return frame("zt-risk-users", "Users", text, panels)
