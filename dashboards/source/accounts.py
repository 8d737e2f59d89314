"""Tables with a row for each account: what is at risk there, and how well the exporter can read it."""

from typing import Any

from .kit import (
    BAD,
    DAY,
    DAYS,
    GOOD,
    NOTICE,
    PLAIN,
    age,
    colored,
    column,
    deduplicated,
    distance,
    exporter_metric,
    flexible_column,
    increase_in_range,
    properties,
    risk_metric,
    steps,
    table_panel,
    table_query,
    total,
    value_mappings,
)
from .shared import (
    AGES,
    AS_USUAL,
    HIGH,
    SLOW_AGES,
    SUMMARY,
    UNATTENDED,
    UNUSUAL,
    UP_TEXTS,
    usual_high,
)

NOT_BLOCKED = value_mappings(_0=("not blocked", PLAIN))
NONE_PENDING = value_mappings(_0=("none", PLAIN))
USED = steps((None, GOOD), (0.9, NOTICE))
# A token should be replaced a month before it expires, and must be replaced a week before.
EXPIRY = steps((None, BAD), (7 * DAY, NOTICE), (30 * DAY, GOOD))


def used() -> str:
    """The used share of the request budget, by account."""
    remaining = deduplicated(exporter_metric("budget_remaining_requests"))
    return f"1 - {remaining} / {deduplicated(exporter_metric('budget_limit_requests'))}"


def blocked() -> str:
    """Until when each account may send no request, if that is in the future."""
    return f"{deduplicated(exporter_metric('blocked_until_timestamp_seconds'))} > time()"


def _pending_since() -> str:
    return f"min by (account) ({risk_metric('oldest_pending_timestamp_seconds')})"


def at_risk() -> Any:
    text = (
        "Each account, those that cannot be read first, then by users at high risk. The numbers add up to those above."
        " Compared with usual: the users at high risk compared with their mean of the last seven days."
    )
    high = deduplicated(risk_metric("users", HIGH))
    queries = [
        table_query(deduplicated(risk_metric("up"))),
        table_query(high),
        table_query(distance(high, usual_high())),
        table_query(increase_in_range("level_changes_total", "from", by="account", matching='to="high"')),
        table_query(increase_in_range("resets_total", by="account")),
        table_query(increase_in_range("events_total", "behavior", "risk_level", by="account")),
        table_query(total(risk_metric("users"), "max_risk_level", by="account")),
        table_query(age(f"min by (account) ({risk_metric('oldest_user_timestamp_seconds', HIGH)})")),
        table_query(age(deduplicated(risk_metric("last_success_timestamp_seconds", SUMMARY)))),
    ]
    columns = {
        "account": "Account",
        "Value #A": "State",
        "Value #B": "High risk",
        "Value #C": "Compared with usual",
        "Value #D": "New at high risk",
        "Value #E": "Resets",
        "Value #F": "Events",
        "Value #G": "On the list",
        "Value #H": "Longest at high risk",
        "Value #I": "Age of the data",
    }
    link = "/d/zt-risk-users?${__url_time_range}&${datasource:queryparam}&var-account=${__data.fields.Account}"
    styles = {
        "Account": properties(links=[{"title": "The users of this account", "url": link}], custom__minWidth=140),
        "State": column(85, UP_TEXTS),
        "High risk": column(95),
        "Compared with usual": properties(
            unit="percentunit",
            decimals=0,
            mappings=AS_USUAL,
            noValue="not known yet",
            **colored(UNUSUAL),
            custom__width=165,
        ),
        "New at high risk": column(125),
        "Resets": column(80),
        "Events": column(80),
        "On the list": column(90),
        "Longest at high risk": properties(unit=DAYS, noValue="no users", **colored(UNATTENDED), custom__width=165),
        "Age of the data": properties(unit="s", noValue="never read", **colored(AGES), custom__width=125),
    }
    sort = [("State", False), ("High risk", True)]
    return table_panel(
        "Risk by account", text, queries, columns, key="account", width=24, height=9, styles=styles, sort=sort
    )


def read() -> Any:
    text = (
        "Each account, those that cannot be read first. Interval: how often its list of users is read; longer than"
        " configured if the budget is too small. Blocked for: until Cloudflare's rate limit or the budget allows"
        " requests again."
    )
    pending = deduplicated(risk_metric("pending_users"))
    queries = [
        table_query(deduplicated(risk_metric("up"))),
        table_query(age(deduplicated(risk_metric("last_success_timestamp_seconds", SUMMARY)))),
        table_query(deduplicated(exporter_metric("poll_interval_seconds", SUMMARY))),
        table_query(used()),
        table_query(f"({blocked()}) - time() or 0 * {deduplicated(risk_metric('up'))}"),
        table_query(pending),
        table_query(f"{age(_pending_since())} or 0 * {pending}"),
        table_query(f"min by (account) ({exporter_metric('token_expiry_timestamp_seconds')}) - time()"),
    ]
    columns = {
        "account": "Account",
        "Value #A": "State",
        "Value #B": "Age of the data",
        "Value #C": "Interval",
        "Value #D": "Budget used",
        "Value #E": "Blocked for",
        "Value #F": "Pending users",
        "Value #G": "Pending for",
        "Value #H": "Token expires in",
    }
    styles = {
        "Account": flexible_column(140),
        "State": column(85, UP_TEXTS),
        "Age of the data": properties(unit="s", noValue="never read", **colored(AGES), custom__width=140),
        "Interval": properties(unit="s", custom__width=100),
        "Budget used": properties(unit="percentunit", decimals=0, **colored(USED), custom__width=115),
        "Blocked for": properties(unit="s", mappings=NOT_BLOCKED, custom__width=115),
        "Pending users": column(120),
        "Pending for": properties(unit="s", mappings=NONE_PENDING, custom__width=115),
        "Token expires in": properties(unit=DAYS, noValue="no date", **colored(EXPIRY), custom__width=150),
    }
    sort = [("State", False), ("Age of the data", True)]
    return table_panel(
        "Requests by account", text, queries, columns, key="account", width=24, height=9, styles=styles, sort=sort
    )


def freshness(width: int) -> Any:
    text = (
        "The time since the last complete read of each resource, the accounts with the oldest data first. By default"
        " the exporter reads behaviors and integrations every five minutes. It reads a single user after a change, or"
        " for the audit."
    )

    def ages(resource: str) -> Any:
        return table_query(age(deduplicated(risk_metric("last_success_timestamp_seconds", f'resource="{resource}"'))))

    resources = {"summary": "List of users", "behaviors": "Behaviors", "integrations": "Integrations", "user": "A user"}
    columns = {"account": "Account"}
    columns |= {f"Value #{ref}": title for ref, title in zip("ABCD", resources.values(), strict=True)}
    styles = {
        title: properties(unit="s", noValue="never", **colored(SLOW_AGES), custom__width=110)
        for title in resources.values()
    }
    styles["List of users"] = properties(unit="s", noValue="never", **colored(AGES), custom__width=120)
    styles["A user"] = properties(unit="s", noValue="never", custom__width=110)
    queries = [ages(resource) for resource in resources]
    return table_panel(
        "Age of the data, by account",
        text,
        queries,
        columns,
        key="account",
        width=width,
        styles=styles,
        sort=[("List of users", True)],
    )
