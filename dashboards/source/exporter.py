"""Exporter: its state, its requests to Cloudflare, and its resource usage."""

from typing import Any

from .accounts import EXPIRY, USED, blocked, used
from .accounts import read as accounts_read
from .kit import (
    BAD,
    BAR,
    COUNT,
    DAYS,
    GOOD,
    LEVELS,
    NOTICE,
    PLAIN,
    age,
    bar_panel,
    column,
    deduplicated,
    exporter_metric,
    increase_per_bar,
    instant_query,
    line_panel,
    or_zero,
    plain_metric,
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
    without_nan,
)
from .process import process_rows
from .shared import (
    NO_THRESHOLDS,
    NONE_TEXT,
    ORANGE_FROM_1,
    RED_FROM_1,
    accounts_failing,
    data_age,
    frame,
)

RATE = "[$__rate_interval]"
GRAY = LEVELS["unknown"]
STATE = value_mappings(_0=("in memory", PLAIN), _1=("on disk", GOOD))
UP = value_mappings(_0=("down", BAD), _1=("up", GOOD))


def _summary() -> list[Any]:
    return [
        stat_panel(
            "Exporters down",
            "Exporters that Prometheus could not scrape.",
            instant_query(f"sum(1 - {plain_metric('up')})"),
            COUNT,
            RED_FROM_1,
            mappings=NONE_TEXT,
        ),
        accounts_failing(),
        data_age(),
        stat_panel(
            "Budget used",
            "The share of the request budget that was used in the last five minutes, for the account with the highest"
            " share. Single users get the requests that lists do not need, so a high value can be normal.",
            instant_query(f"max({used()})"),
            "percentunit",
            USED,
            decimals=0,
        ),
        stat_panel(
            "Blocked accounts",
            "Accounts without requests now: Cloudflare's rate limit is reached, or no request is left, there or in the"
            " exporter's own budget, and the list of users is overdue.",
            instant_query(or_zero(f"count({blocked()})")),
            COUNT,
            ORANGE_FROM_1,
            mappings=NONE_TEXT,
        ),
        stat_panel(
            "Pending users",
            "Users with new events that the exporter has not read yet.",
            instant_query(total(risk_metric("pending_users"))),
            COUNT,
            steps((None, GOOD), (100, NOTICE)),
        ),
        stat_panel(
            "Token expires in",
            "The time until the first token of an account expires. Orange within a month, red within a week.",
            instant_query(f"min({exporter_metric('token_expiry_timestamp_seconds')}) - time()"),
            DAYS,
            EXPIRY,
            no_value="no date",
        ),
        stat_panel(
            "Storage of counters",
            "Counters in memory are lost at a restart. Counters on disk survive it.",
            instant_query(f"min({plain_metric('zt_risk_exporter_state_durable')})"),
            COUNT,
            NO_THRESHOLDS,
            mappings=STATE,
        ),
    ]


def _cloudflare() -> list[Any]:
    ages = age(deduplicated(risk_metric("last_success_timestamp_seconds"), "resource"))
    sent = exporter_metric("requests_total", when=RATE)
    failed = exporter_metric("requests_total", 'outcome!="ok"', BAR)

    def duration_rate(part: str) -> str:
        return (
            f"sum by (resource) (rate({plain_metric(f'zt_risk_exporter_request_duration_seconds_{part}', when=RATE)}))"
        )

    return [
        line_panel(
            "Age of the data, by resource",
            "The time since the last complete read of each resource, for the account with the longest time. A sawtooth"
            " is normal. A constant rise is an outage.",
            [range_query(f"max by (resource) ({ages})", "{{resource}}")],
            "s",
            width=8,
            calcs=("max",),
        ),
        line_panel(
            "Requests to Cloudflare",
            "Requests per minute, by resource, including retries.",
            [range_query(f"60 * sum by (resource) (rate({sent}))", "{{resource}}")],
            COUNT,
            width=8,
            stacked=True,
            calcs=("mean", "max"),
        ),
        bar_panel(
            "Failed requests",
            "Requests without a usable answer, by resource and outcome. limited: the rate limit. refused, credentials,"
            " forbidden: the token. unavailable, timeout: Cloudflare or the network. shape, invalid: the answer differs"
            " from the documentation.",
            [range_query(f"sum by (resource, outcome) (increase({failed})) > 0", "{{resource}} {{outcome}}")],
            width=8,
            interval="10m",
        ),
        line_panel(
            "Request budget used",
            "The share of the request budget that was used in the last five minutes, for the account with the highest"
            " share and on average. At 100 %, requests wait. The table of accounts shows which account it is.",
            [range_query(f"max({used()})", "highest account"), range_query(f"avg({used()})", "all accounts")],
            "percentunit",
            width=12,
            calcs=("max",),
            decimals=0,
        ),
        line_panel(
            "Request duration",
            "The mean time from sending a request to the end of its answer, by resource. A list with several pages"
            " needs several requests.",
            [range_query(without_nan(f"{duration_rate('sum')} / {duration_rate('count')}"), "{{resource}}")],
            "s",
            width=12,
            calcs=("mean", "max"),
        ),
    ]


def _counting() -> list[Any]:
    pending = deduplicated(risk_metric("pending_users"))
    since = f"min({risk_metric('oldest_pending_timestamp_seconds')})"
    return [
        line_panel(
            "Pending users over time",
            "Users with new events that the exporter has not read yet, of all accounts and of the account with most of"
            " them. A short peak is a campaign or a restart. A plateau means that the budget is too small.",
            [range_query(f"sum({pending})", "all accounts"), range_query(f"max({pending})", "highest account")],
            COUNT,
            width=6,
            height=8,
            calcs=("max",),
            decimals=0,
        ),
        line_panel(
            "Longest pending time",
            "How long the longest-waiting user of all accounts has been pending; 0 if there are none.",
            [range_query(f"time() - {since} or 0 * sum({pending})", "longest")],
            "s",
            width=6,
            height=8,
            calcs=("max",),
        ),
        line_panel(
            "Observation delay, p95",
            "95 % of the events of all accounts had a shorter delay. Each point covers the hour before it.",
            [range_query(quantile(0.95, "event_observation_delay_seconds", "1h"), "p95")],
            "s",
            width=6,
            height=8,
        ),
        bar_panel(
            "Data problems",
            "Events that could not be attributed, rows and fields of answers that could not be decoded, users who left"
            " and were not read once more, log lines that were dropped, and retries of requests.",
            [
                range_query(increase_per_bar("events_unattributed_total", "reason"), "events not attributed"),
                range_query(f"sum(increase({exporter_metric('rejected_rows_total', when=BAR)}))", "rows rejected"),
                range_query(
                    f"sum(increase({exporter_metric('unexpected_fields_total', when=BAR)}))", "unexpected fields"
                ),
                range_query(increase_per_bar("departed_users_skipped_total"), "users skipped"),
                range_query(
                    f"sum(increase({plain_metric('zt_risk_exporter_log_lines_dropped_total', when=BAR)}))",
                    "log lines dropped",
                ),
                range_query(f"sum(increase({plain_metric('zt_risk_exporter_retries_total', when=BAR)}))", "retries"),
            ],
            width=6,
            height=8,
        ),
    ]


def _instances() -> Any:
    text = (
        "Each exporter: whether Prometheus can scrape it, its version, its uptime, and whether it uses the latest"
        " configuration."
    )
    queries = [
        table_query(f"max by (instance) ({plain_metric('up')})"),
        table_query(f"max by (instance, version) ({plain_metric('zt_risk_exporter_build_info')})"),
        table_query(f"max by (instance) ({age(plain_metric('process_start_time_seconds'))})"),
        table_query(f"max by (instance) ({plain_metric('zt_risk_exporter_config_last_reload_successful')})"),
        table_query(f"max by (instance) ({plain_metric('process_resident_memory_bytes')})"),
    ]
    columns = {
        "instance": "Instance",
        "Value #A": "State",
        "version": "Version",
        "Value #C": "Uptime",
        "Value #D": "Configuration",
        "Value #E": "Memory",
    }
    styles = {
        "State": column(90, UP),
        "Uptime": properties(unit=DAYS),
        "Configuration": column(130, value_mappings(_0=("outdated", BAD), _1=("current", GOOD))),
        "Memory": properties(unit="bytes"),
    }
    return table_panel("Exporters", text, queries, columns, key="instance", width=24, height=5, styles=styles)


def dashboard() -> Any:
    """The dashboard for operators of the exporter."""
    panels = [*_summary(), accounts_read(), _instances(), *_cloudflare(), *_counting()]
    text = "The state of the exporter, its requests to Cloudflare, the age of its data, and its resource usage."
    return frame("zt-risk-exporter", "Exporter", text, panels, [*process_rows()])
