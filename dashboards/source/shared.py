"""What stands on more than one dashboard, and the frame that they all have."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as d

from .kit import (
    BAD,
    DAY,
    GOOD,
    HOUR,
    LEVELS,
    NOTICE,
    PLAIN,
    SOURCE,
    TARGET,
    age,
    bars,
    grid,
    in_range,
    leading,
    mapped,
    now,
    once,
    over_time,
    risk,
    rows,
    shown,
    steps,
    tile,
    total,
)

TAG = "cloudflare-zt-risk"
HIGH = 'max_risk_level="high"'
SUMMARY = 'endpoint="summary"'

CALM = steps((None, PLAIN))
ANY_IS_NOTED = steps((None, GOOD), (1, NOTICE))
ANY_IS_BAD = steps((None, GOOD), (1, BAD))
# A poll each 30 s and a scrape each minute: two polls may be missed; ten minutes are an outage.
AGES = steps((None, GOOD), (180, NOTICE), (600, BAD))
# A working day is patience, three days are neglect.
UNATTENDED = steps((None, GOOD), (8 * HOUR, NOTICE), (3 * DAY, BAD))

LEVEL = mapped(
    _3=("high", LEVELS["high"]),
    _2=("medium", LEVELS["medium"]),
    _1=("low", LEVELS["low"]),
    _0=("unknown", LEVELS["unknown"]),
)
SWITCH = mapped(_1=("enabled", GOOD), _0=("disabled", LEVELS["unknown"]))
ACTIVE = mapped(_1=("active", GOOD), _0=("inactive", BAD))
NONE = mapped(_0=("none", GOOD))


def by_level(expr: str) -> list[Any]:
    """A query for each level in place of LEVEL, the highest first, so that it lies at the bottom of a stack."""
    return [over_time(expr.replace("LEVEL", level), level) for level in LEVELS]


def high_now() -> Any:
    text = "Users at high risk now. Each of them waits for someone to look, and to reset the score."
    panel = tile("High-risk users", text, over_time(total(risk("users", HIGH)), ""), "short", ANY_IS_BAD)
    return leading(panel, "zt-risk-users", "Who they are")


def longest_high() -> Any:
    return tile(
        "Longest waiting",
        "For how long the longest-standing user has been at high risk, as far as the exporter saw it. Orange after a"
        " working day, red after three days.",
        now(age(f"min({risk('oldest_user_timestamp_seconds', HIGH)})")),
        "s",
        UNATTENDED,
        no_value="nobody",
    )


def resets() -> Any:
    text = "Users whose risk was reset during the selected time."
    return tile("Resets", text, now(in_range("resets_total")), "short", CALM)


def data_age() -> Any:
    text = (
        "How long ago the list of users was last read whole, of the account where that is longest. Orange after"
        " three minutes, red after ten: then all other numbers are as old."
    )
    expr = f"max({age(once(risk('last_success_timestamp_seconds', SUMMARY)))})"
    panel = tile("Age of the data", text, now(expr), "s", AGES, no_value="never read")
    return leading(panel, "zt-risk-exporter", "Why")


def events_by_behavior(width: int) -> Any:
    text = (
        "Distinct risk events in each stretch of time, by behavior. One color that towers over a morning is a"
        " campaign. Purple lines mark changes of the configuration."
    )
    # What the exporter counted, and before that what `backfill` found: their instances differ, so both are kept.
    counted, found = (
        f"increase({risk(f'{name}_total', when='[$__interval]')})" for name in ("events", "backfill_events")
    )
    expr = total(f"{counted} or {found}", "behavior", "risk_level", by="behavior")
    query = over_time(expr, "{{behavior}}")
    return bars("Risk events by behavior", text, [query], width=width)


def behaviors(width: int, height: int) -> Any:
    text = (
        "What counts as risky, as configured at Cloudflare; what came of it during the selected time; and how"
        " often it was switched or given another level in that time."
    )
    risen = f"increase({risk('events_total', when='[$__range]')})"
    users = f"increase({risk('behavior_users_total', when='[$__range]')})"
    switched, leveled = (
        f"changes({risk(f'behavior_{what}', when='[$__range]')})" for what in ("enabled", "risk_level")
    )
    queries = [
        rows(once(risk("behavior_enabled"), "behavior")),
        rows(once(risk("behavior_risk_level"), "behavior")),
        rows(f"round(sum by (account, behavior) ({once(risen, 'behavior', 'risk_level')}))"),
        rows(f"round({once(users, 'behavior')})"),
        rows(f"{once(switched, 'behavior')} + {once(leveled, 'behavior')}"),
        rows(once(risk("behavior_info"), "behavior", "name")),
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
        "Account": shown(80),
        "State": shown(85, SWITCH),
        "Level": shown(85, LEVEL),
        "Events": shown(75),
        "Users": shown(75),
        "Changes": shown(85, mapped(_0=("none", LEVELS["unknown"])), NOTICE),
    }
    return grid("Behaviors", text, queries, columns, width=width, height=height, styles=styles, sort=[("Events", True)])


def integrations(width: int, height: int) -> Any:
    text = (
        "Receivers of changes of risk. One that is inactive is told nothing: a user at high risk keeps all access"
        " there."
    )
    queries = [
        rows(once(risk("integration_active"), "integration", "integration_type")),
        rows(once(risk("integration_info"), "integration", "reference_id", "tenant_url")),
    ]
    columns = {"account": "Account", "reference_id": "Reference", "Value #A": "State"}
    styles = {"Account": shown(80), "State": shown(85, ACTIVE)}
    if width > 8:
        state = columns.pop("Value #A")
        columns = {
            "account": "Account",
            "integration_type": "Type",
            **columns,
            "tenant_url": "Tenant",
            "Value #A": state,
        }
        styles |= {"Type": shown(65), "Reference": shown(125)}
    return grid(
        "Integrations", text, queries, columns, width=width, height=height, styles=styles, sort=[("State", False)]
    )


def frame(uid: str, title: str, description: str, panels: Sequence[Any], collapsed: Sequence[Any] = ()) -> Any:
    """A dashboard with what all have: variables, links, annotations. Rows that are collapsed come last."""
    tied = builders.DashboardLink("Cloudflare user risk").type(d.DashboardLinkType.DASHBOARDS).tags([TAG])
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
        .link(tied.as_dropdown(False).include_vars(True).keep_time(True).icon("external link"))
        .variables(_variables())
        .annotations(_annotations())
    )
    for panel in panels:
        board = board.with_row(panel) if isinstance(panel, builders.Row) else board.with_panel(panel)
    for row in collapsed:
        board = board.with_row(row)
    return board


def _variables() -> list[Any]:
    every = d.VariableOption(text="All", value="$__all", selected=True)

    def chosen(name: str, label: str, metric: str) -> Any:
        query = f"label_values({metric}, {name})"
        variable = builders.QueryVariable(name).label(label).datasource(SOURCE).definition(query)
        variable = variable.query({"query": query, "refId": f"variable-{name}"})
        variable = variable.refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(d.VariableSort.ALPHABETICAL_ASC)
        return variable.multi(True).include_all(True).all_value(".+").current(every)

    return [
        builders.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        chosen("job", "Job", "zt_risk_exporter_build_info"),
        chosen("instance", "Instance", 'zt_risk_exporter_build_info{job=~"$job"}'),
        chosen("account", "Account", f"cloudflare_zt_risk_account_info{{{TARGET}}}"),
    ]


def _annotations() -> list[Any]:
    def changed(name: str, metric: str, label: str, title: str) -> Any:
        window = risk(metric, when="[$__rate_interval]")
        expr = f"{once(f'changes({window})', label)} > 0"
        mark = builders.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color("purple").expr(expr)
        return mark.title_format(title).text_format("account {{account}}").tag_keys(f"account,{label}").step("60s")

    return [
        changed("Behaviors switched", "behavior_enabled", "behavior", "{{behavior}} was enabled or disabled"),
        changed("Behavior levels", "behavior_risk_level", "behavior", "{{behavior}} has another level"),
        changed("Integrations switched", "integration_active", "integration", "an integration was switched"),
    ]
