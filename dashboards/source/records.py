"""What Loki has of the feed: optional, and idle unless somebody opens or enables it.

The labels are those of deploy/feed/loki.alloy.
"""

from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import logs, loki
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models.loki import LokiQueryType

LOKI = c.DataSourceRef(type_val="loki", uid="${loki}")
STREAM = '{job="zt-risk-exporter", account=~"$account", kind=~"KINDS"}'


def variable() -> Any:
    """The data source. Without a Loki it is empty, and nothing asks for it."""
    return builders.DatasourceVariable("loki").label("Loki").type("loki")


def annotation() -> Any:
    """Marks when a user rose to high. Off until somebody enables it."""
    expr = STREAM.replace("KINDS", "level_change") + ' | current_level="high"'
    query = builders.AnnotationQuery().name("Users who rose to high (Loki)").datasource(LOKI).enable(False)
    query = query.icon_color("red").expr(expr).title_format("a user rose to high")
    return query.text_format("{{user}} in account {{account}}").tag_keys("account,user")


def row() -> Any:
    """The records about users. A collapsed row sends no query."""
    line = "{{.kind}} {{.behavior}} {{or .level .current_level}} {{.user}}"
    expr = STREAM.replace("KINDS", "risk_event|level_change|reset|user_gone") + f" | line_format `{line}`"
    query = loki.Dataquery().datasource(LOKI).expr(expr).query_type(LokiQueryType.RANGE).max_lines(500).ref_id("A")
    panel = (
        logs.Panel()
        .title("Events, level changes and resets")
        .description(
            "The records of the feed about users, newest first. They name users as feed.identity says. Needs Loki, and"
            " Alloy with deploy/feed/loki.alloy."
        )
        .datasource(LOKI)
        .with_target(query)
        .span(24)
        .height(13)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(c.LogsSortOrder.DESCENDING)
        .dedup_strategy(c.LogsDedupStrategy.NONE)
    )
    return builders.Row("Records of the feed, from Loki").collapsed(True).with_panel(panel)
