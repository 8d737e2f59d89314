"""Users: who is at risk, for how long, and how fast users are reset."""

from typing import Any

from . import records
from .kit import (
    BAD,
    COUNT,
    DAY,
    DAYS,
    GOOD,
    HOUR,
    LEVELS,
    NOTICE,
    age,
    bar_panel,
    column,
    deduplicated,
    flexible_column,
    increase_per_bar,
    instant_query,
    line_panel,
    or_zero,
    properties,
    quantile,
    range_query,
    risk_metric,
    stat_panel,
    steps,
    table_panel,
    table_query,
    total,
    value_mappings,
)
from .shared import (
    HIGH,
    NO_THRESHOLDS,
    UNATTENDED,
    against_usual,
    frame,
    high_now,
    longest_high,
    resets,
    users_on_list,
)

# Cloudflare does not document a URL for a single user, so the link leads to the account.
CLOUDFLARE = {
    "title": "Cloudflare's dashboard of this account: Team & Resources > Users > Risk score",
    "url": "https://dash.cloudflare.com/${__data.fields.account_id}/one/team-resources/users/risk-score",
    "targetBlank": True,
}
OPENS = [{"type": "regex", "options": {"pattern": ".+", "result": {"text": "open", "color": "blue", "index": 0}}}]

NAMES = {"name": "Name", "email": "E-mail address", "user": "User"}


def _by_user(expr: str) -> str:
    # A user belongs to one account, so tables can be joined on the user's id alone.
    return f"max by (user) ({expr})"


def _age(what: str) -> str:
    return age(_by_user(risk_metric(f"user_{what}_timestamp_seconds")))


# A level that the exporter does not know has the value 0. It may be above high, so tables show and sort it as 4.
UNKNOWN = 4
USER_LEVEL_TEXTS = value_mappings(
    _4=("unknown", "purple"), _3=("high", LEVELS["high"]), _2=("medium", LEVELS["medium"]), _1=("low", LEVELS["low"])
)


def _ranked(level: str) -> str:
    """The level of each user, with the unknown one on top."""
    return f"{level} > 0 or {level} + {UNKNOWN}"


LEVEL = _ranked(_by_user(risk_metric("user_max_risk_level")))


WHO = f"max by (user, name, email) ({risk_metric('user_info')})"
OFFENDERS = f"({_age('last_reset')} < {30 * DAY}) and on (user) ({LEVEL})"


def _most_at_risk() -> Any:
    text = (
        "The users most at risk; users.limit sets how many. Names appear with users.identity: email. Otherwise users"
        " are ids or keyed hashes. The last columns: the time at the current level, and the times since the last event"
        " and the last reset."
    )
    level = _ranked(deduplicated(risk_metric("user_max_risk_level"), "user"))
    account = deduplicated(risk_metric("account_info"), "account_id")
    queries = [
        table_query(f"({level}) * on (account) group_left (account_id) {account}"),
        table_query(_by_user(risk_metric("user_reported_events"))),
        table_query(_age("since")),
        table_query(_age("last_event")),
        table_query(_age("last_reset")),
        table_query(WHO),
    ]
    ages = {"Value #C": "At level for", "Value #D": "Last event", "Value #E": "Last reset"}
    columns = {
        **NAMES,
        "account": "Account",
        "Value #A": "Level",
        "Value #B": "Events",
        **ages,
        "account_id": "Link",
    }
    styles = {
        # All columns together fit into 1280 pixels.
        "User": flexible_column(315),
        "Name": column(110),
        "E-mail address": column(220),
        "Account": flexible_column(110),
        "Level": column(72, USER_LEVEL_TEXTS),
        "Events": column(65),
        **{title: properties(unit=DAYS, noValue="never", custom__width=99) for title in ages.values()},
        "Link": properties(
            links=[CLOUDFLARE], mappings=OPENS, custom__cellOptions={"type": "color-text"}, custom__width=55
        ),
    }
    sort = [("Level", True), ("Last event", False)]
    return table_panel(
        "Users most at risk", text, queries, columns, key="user", width=24, height=13, styles=styles, sort=sort
    )


def _waiting() -> Any:
    text = (
        "The ten users who have been at high risk for longest without a reset, among the users with their own series."
    )
    queries = [table_query(f"topk(10, ({_age('since')}) and on (user) (({LEVEL}) == 3))"), table_query(WHO)]
    columns = {"name": "Name", "user": "User", "Value #A": "At high risk for"}
    bar = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    thresholds = UNATTENDED.build().to_json()
    styles = {
        "User": flexible_column(315),
        "Name": column(120),
        "At high risk for": properties(
            unit=DAYS,
            min=0,
            thresholds=thresholds,
            color={"mode": "thresholds"},
            custom__cellOptions=bar,
            custom__width=160,
        ),
    }
    return table_panel(
        "Longest at high risk without a reset",
        text,
        queries,
        columns,
        key="user",
        styles=styles,
        sort=[("At high risk for", True)],
        no_value="no users",
    )


def _offenders() -> Any:
    text = "Users who were reset within the last 30 days and are on the risk list again."
    queries = [table_query(OFFENDERS), table_query(f"({LEVEL}) and on (user) ({OFFENDERS})"), table_query(WHO)]
    columns = {"name": "Name", "user": "User", "Value #B": "Level", "Value #A": "Last reset"}
    styles = {
        "User": flexible_column(315),
        "Name": column(115),
        "Last reset": properties(unit=DAYS, custom__width=104),
        "Level": column(75, USER_LEVEL_TEXTS),
    }
    return table_panel(
        "Users who are back",
        text,
        queries,
        columns,
        key="user",
        styles=styles,
        sort=[("Level", True), ("Last reset", False)],
        no_value="no users",
    )


def _time_to_reset() -> Any:
    queries = []
    for level in ("high", "medium"):
        matching = f'max_risk_level="{level}"'
        queries += [
            range_query(quantile(0.5, "time_to_reset_seconds", "1d", matching=matching), f"{level}, median"),
            range_query(quantile(0.9, "time_to_reset_seconds", "1d", matching=matching), f"{level}, p90"),
        ]
    colors = {
        "high, median": LEVELS["high"],
        "high, p90": "dark-red",
        "medium, median": LEVELS["medium"],
        "medium, p90": "dark-orange",
    }
    text = (
        "The time from reaching the level to the reset. Each point covers the resets of the 24 hours before it. Users"
        " who were on the list before the exporter began to count are excluded."
    )
    return line_panel("Time to reset", text, queries, DAYS, colors=colors)


def _changes() -> Any:
    def moved(legend: str, matching: str) -> Any:
        return range_query(increase_per_bar("level_changes_total", "from", "to", matching=matching), legend)

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
        "Above zero: users who rose to a level. Below zero: users who left the list, by a reset or otherwise, and"
        " users who fell to a lower level."
    )
    return bar_panel("Level changes", text, queries, colors=colors, below=["left the list", "fell"])


def dashboard() -> Any:
    """The dashboard for the security team."""
    median = quantile(0.5, "time_to_reset_seconds", "$__range", matching=HIGH)
    panels = [
        high_now(),
        against_usual(),
        longest_high(),
        stat_panel(
            "Time to reset, median",
            "The median time to reset of high-risk users during the selected time.",
            instant_query(median),
            DAYS,
            steps((None, GOOD), (8 * HOUR, NOTICE), (3 * DAY, BAD)),
            no_value="no resets",
        ),
        resets(),
        stat_panel(
            "Repeat offenders",
            "Users who were reset within the last 30 days and are on the risk list again, among the users with their"
            " own series.",
            instant_query(or_zero(f"count({OFFENDERS})")),
            COUNT,
            NO_THRESHOLDS,
        ),
        users_on_list(),
        stat_panel(
            "Without own series",
            "Users on the list without their own series, because of users.limit or users.identity: none. They are"
            " counted, but the tables here do not show them.",
            instant_query(total(risk_metric("users_omitted"))),
            COUNT,
            NO_THRESHOLDS,
        ),
        _most_at_risk(),
        _waiting(),
        _offenders(),
        _time_to_reset(),
        _changes(),
    ]
    text = (
        "Who is at risk, for how long, and how fast users are reset. Names appear if the exporter is configured to show"
        " them."
    )
    board = frame("zt-risk-users", "Users", text, panels, [records.row()], [records.annotation()])
    return board.with_variable(records.variable())
