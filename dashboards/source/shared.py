"""Panels that several dashboards use, and the common frame of all dashboards."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as d

from .kit import (
    BAD,
    BAR,
    COUNT,
    DAY,
    DAYS,
    GOOD,
    HOUR,
    LEVELS,
    NOTICE,
    PLAIN,
    SOURCE,
    TARGET,
    age,
    bar_panel,
    by_name,
    changed,
    changes,
    column,
    deduplicated,
    distance,
    increase_in_range,
    instant_query,
    range_query,
    risk_metric,
    stat_panel,
    steps,
    table_panel,
    table_query,
    total,
    value_mappings,
    with_link,
)

TAG = "cloudflare-zt-risk"
HIGH = 'max_risk_level="high"'
SUMMARY = 'resource="summary"'

NO_THRESHOLDS = steps((None, PLAIN))
ORANGE_FROM_1 = steps((None, GOOD), (1, NOTICE))
RED_FROM_1 = steps((None, GOOD), (1, BAD))
# The distances at which the alerts HighRiskUsersRising and HighRiskUsersUnusual fire.
UNUSUAL = steps((None, GOOD), (0.2, NOTICE), (0.5, BAD))
# With a poll every 30 s and a scrape every minute, two polls may be missed. Ten minutes are an outage.
AGES = steps((None, GOOD), (180, NOTICE), (600, BAD))
# Behaviors and integrations are read every five minutes.
SLOW_AGES = steps((None, GOOD), (900, NOTICE), (HOUR, BAD))
# A user may wait for a working day, but not for three days.
UNATTENDED = steps((None, GOOD), (8 * HOUR, NOTICE), (3 * DAY, BAD))

LEVEL_TEXTS = value_mappings(
    _3=("high", LEVELS["high"]),
    _2=("medium", LEVELS["medium"]),
    _1=("low", LEVELS["low"]),
    _0=("unknown", LEVELS["unknown"]),
)
ENABLED_TEXTS = value_mappings(_1=("enabled", GOOD), _0=("disabled", LEVELS["unknown"]))
ACTIVE_TEXTS = value_mappings(_1=("active", GOOD), _0=("inactive", BAD))
NONE_TEXT = value_mappings(_0=("none", GOOD))
AS_USUAL = value_mappings(_0=("as usual", GOOD))
UP_TEXTS = value_mappings(_1=("read", GOOD), _0=("failing", BAD))


def by_level(expr: str) -> list[Any]:
    """A query for each level, which replaces LEVEL. The highest is first, so that it is at the bottom of a stack."""
    return [range_query(expr.replace("LEVEL", level), level) for level in LEVELS]


def high_now() -> Any:
    text = "Users at high risk now. Each of them needs an investigation and a reset of the score."
    query = instant_query(total(risk_metric("users", HIGH)))
    return with_link(
        stat_panel("High-risk users", text, query, COUNT, NO_THRESHOLDS), "zt-risk-users", "Show these users"
    )


def usual_high() -> str:
    """The users at high risk of each account as a mean of the seven days before the last hour."""
    return deduplicated(f"avg_over_time({risk_metric('users', HIGH, '[7d] offset 1h')})")


def against_usual() -> Any:
    text = (
        "The users at high risk compared with their mean of the last seven days. Orange from 20 % more, red from 50 %"
        " more. Less than five users more or less are as usual."
    )
    now = total(risk_metric("users", HIGH))
    query = instant_query(distance(now, f"sum({usual_high()})"))
    return stat_panel(
        "Compared with usual",
        text,
        query,
        "percentunit",
        UNUSUAL,
        mappings=AS_USUAL,
        decimals=0,
        no_value="not known yet",
    )


def users_on_list() -> Any:
    query = instant_query(total(risk_metric("users"), "max_risk_level"))
    return stat_panel("Users on the list", "All users on the risk list, at any level.", query, COUNT, NO_THRESHOLDS)


def accounts() -> Any:
    query = instant_query(f"count({deduplicated(risk_metric('account_info'))})")
    return stat_panel("Accounts", "The accounts that the exporters watch.", query, COUNT, NO_THRESHOLDS)


def accounts_failing() -> Any:
    text = "Accounts whose last attempt to read the list of users failed. The tables by account show which."
    query = instant_query(f"sum(1 - {deduplicated(risk_metric('up'))})")
    return stat_panel("Accounts failing", text, query, COUNT, ORANGE_FROM_1, mappings=NONE_TEXT)


def longest_high() -> Any:
    return stat_panel(
        "Longest at high risk",
        "How long the longest-waiting of the users now at high risk has been there, as far as the exporter saw it."
        " Orange after a working day, red after three days.",
        instant_query(age(f"min({risk_metric('oldest_user_timestamp_seconds', HIGH)})")),
        DAYS,
        UNATTENDED,
        no_value="no users",
    )


def resets() -> Any:
    text = "Users whose risk was reset during the selected time."
    return stat_panel("Resets", text, instant_query(increase_in_range("resets_total")), COUNT, NO_THRESHOLDS)


def data_age() -> Any:
    text = (
        "The time since the list of users was last read completely, for the account with the longest time. Orange after"
        " three minutes, red after ten. All other numbers are at least as old."
    )
    expr = f"max({age(deduplicated(risk_metric('last_success_timestamp_seconds', SUMMARY)))})"
    panel = stat_panel("Age of the data", text, instant_query(expr), "s", AGES, no_value="never read")
    return with_link(panel, "zt-risk-exporter", "Show the cause")


def events_by_behavior(width: int) -> Any:
    text = (
        "Distinct risk events in each interval, by behavior. A single color with much higher bars is probably a"
        " campaign. Purple lines mark changes of the configuration."
    )
    # Events that the exporter counted, and older events from `backfill`. Their instances differ, so `or` keeps both.
    counted, backfilled = (
        f"increase({risk_metric(f'{name}_total', when=BAR)})" for name in ("events", "backfill_events")
    )
    expr = total(f"{counted} or {backfilled}", "behavior", "risk_level", by="account, behavior")
    query = range_query(by_name(expr, "behavior", "behavior_info"), "{{name}}")
    return bar_panel("Risk events by behavior", text, [query], width=width)


def behaviors(width: int, height: int) -> Any:
    text = (
        "The behaviors as configured at Cloudflare, their events and users during the selected time, and how often"
        " each was enabled, disabled or given another level in that time."
    )
    queries = [
        table_query(deduplicated(risk_metric("behavior_enabled"), "behavior")),
        table_query(deduplicated(risk_metric("behavior_risk_level"), "behavior")),
        table_query(increase_in_range("events_total", "behavior", "risk_level", by="account, behavior")),
        table_query(increase_in_range("behavior_users_total", "behavior", by="account, behavior")),
        table_query(f"{changes('behavior_enabled', 'behavior')} + {changes('behavior_risk_level', 'behavior')}"),
        table_query(deduplicated(risk_metric("behavior_info"), "behavior", "name")),
    ]
    columns = {
        "name": "Behavior",
        "account": "Account",
        "Value #A": "State",
        "Value #B": "Level",
        "Value #C": "Events",
        "Value #D": "Users",
        "Value #E": "Changes",
    }
    styles = {
        "Account": column(140),
        "State": column(85, ENABLED_TEXTS),
        "Level": column(85, LEVEL_TEXTS),
        "Events": column(75),
        "Users": column(75),
        "Changes": column(85, value_mappings(_0=("none", LEVELS["unknown"])), NOTICE),
    }
    return table_panel(
        "Behaviors", text, queries, columns, width=width, height=height, styles=styles, sort=[("Events", True)]
    )


def integrations(width: int, height: int) -> Any:
    text = (
        "Integrations that receive risk changes. Cloudflare sends nothing to an inactive integration, so users at high"
        " risk keep their access there."
    )
    queries = [
        table_query(deduplicated(risk_metric("integration_active"), "integration", "integration_type")),
        table_query(deduplicated(risk_metric("integration_info"), "integration", "reference_id", "tenant_url")),
    ]
    columns = {"account": "Account", "reference_id": "Reference", "Value #A": "State"}
    styles = {"Account": column(120), "State": column(85, ACTIVE_TEXTS)}
    if width > 8:
        state = columns.pop("Value #A")
        columns = {
            "account": "Account",
            "integration_type": "Type",
            **columns,
            "tenant_url": "Tenant",
            "Value #A": state,
        }
        styles |= {"Type": column(65), "Reference": column(125)}
    return table_panel(
        "Integrations", text, queries, columns, width=width, height=height, styles=styles, sort=[("State", False)]
    )


def frame(
    uid: str,
    title: str,
    description: str,
    panels: Sequence[Any],
    collapsed: Sequence[Any] = (),
    annotations: Sequence[Any] = (),
) -> Any:
    """A dashboard with the common variables, links and annotations, and its own. Collapsed rows come last."""
    link = builders.DashboardLink("Cloudflare user risk").type(d.DashboardLinkType.DASHBOARDS).tags([TAG])
    board = (
        builders.Dashboard(f"Cloudflare Zero Trust risk / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .tooltip(d.DashboardCursorSync.CROSSHAIR)
        .time("now-24h", "now")
        .refresh("1m")
        .timezone("browser")
        .link(link.as_dropdown(False).include_vars(True).keep_time(True).icon("external link"))
        .variables(_variables())
        .annotations([*_annotations(), *annotations])
    )
    for panel in panels:
        board = board.with_row(panel) if isinstance(panel, builders.Row) else board.with_panel(panel)
    for row in collapsed:
        board = board.with_row(row)
    return board


def _variables() -> list[Any]:
    all_values = d.VariableOption(text="All", value="$__all", selected=True)

    def variable(name: str, label: str, metric: str) -> Any:
        query = f"label_values({metric}, {name})"
        builder = builders.QueryVariable(name).label(label).datasource(SOURCE).definition(query)
        builder = builder.query({"query": query, "refId": f"variable-{name}"})
        builder = builder.refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(d.VariableSort.ALPHABETICAL_ASC)
        return builder.multi(True).include_all(True).all_value(".+").current(all_values)

    return [
        builders.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        variable("job", "Job", "zt_risk_exporter_build_info"),
        variable("instance", "Instance", 'zt_risk_exporter_build_info{job=~"$job"}'),
        variable("account", "Account", f"cloudflare_zt_risk_account_info{{{TARGET}}}"),
    ]


def _annotations() -> list[Any]:
    def mark(name: str, metric: str, label: str, title: str) -> Any:
        expr = deduplicated(changed(metric, "[$__rate_interval]"), label)
        query = builders.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color("purple").expr(expr)
        return query.title_format(title).text_format("account {{account}}").tag_keys(f"account,{label}").step("60s")

    return [
        mark("Behaviors enabled or disabled", "behavior_enabled", "behavior", "{{behavior}} was enabled or disabled"),
        mark("Behavior levels changed", "behavior_risk_level", "behavior", "the level of {{behavior}} changed"),
        mark(
            "Integrations activated or deactivated",
            "integration_active",
            "integration",
            "an integration was activated or deactivated",
        ),
    ]
