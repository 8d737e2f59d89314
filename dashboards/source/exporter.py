"""Exporter: its state, its requests to Cloudflare, and its resource usage."""

from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders

from .kit import (
    BAD,
    BAR,
    COUNT,
    DAY,
    GOOD,
    LEVELS,
    NOTICE,
    PLAIN,
    age,
    bar_gauge,
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
from .shared import NO_THRESHOLDS, NONE_TEXT, RED_FROM_1, data_age, frame

RATE = "[$__rate_interval]"
GRAY = LEVELS["unknown"]
STATE = value_mappings(_0=("in memory", PLAIN), _1=("on disk", GOOD))
UP = value_mappings(_0=("down", BAD), _1=("up", GOOD))
# A token should be replaced a month before it expires, and must be replaced a week before.
EXPIRY = steps((None, BAD), (7 * DAY, NOTICE), (30 * DAY, GOOD))


def _summary() -> list[Any]:
    remaining = deduplicated(exporter_metric("budget_remaining_requests"))
    used = f"1 - {remaining} / {deduplicated(exporter_metric('budget_limit_requests'))}"
    return [
        stat_panel(
            "Exporters down",
            "Exporters that Prometheus could not scrape.",
            instant_query(f"sum(1 - {plain_metric('up')})"),
            COUNT,
            RED_FROM_1,
            mappings=NONE_TEXT,
        ),
        stat_panel(
            "Accounts failing",
            "Accounts whose last attempt to read the list of users failed.",
            instant_query(f"sum(1 - {deduplicated(risk_metric('up'))})"),
            COUNT,
            RED_FROM_1,
            mappings=NONE_TEXT,
        ),
        data_age(),
        stat_panel(
            "Budget used",
            "The share of the request budget that was used in the last five minutes, for the account with the highest"
            " share. Single users get the requests that lists do not need, so a high value can be normal.",
            instant_query(f"max({used})"),
            "percentunit",
            steps((None, GOOD), (0.9, NOTICE)),
            decimals=0,
        ),
        stat_panel(
            "Blocked accounts",
            "Accounts without requests now: Cloudflare's rate limit is reached, or no request is left, there or in the"
            " exporter's own budget, and the list of users is overdue.",
            instant_query(
                or_zero(f"count({deduplicated(exporter_metric('blocked_until_timestamp_seconds'))} > time())")
            ),
            COUNT,
            RED_FROM_1,
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
            "s",
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
            "Request budget",
            "Requests that the exporter may still send within five minutes, and their limit. At zero, requests wait.",
            [
                range_query(deduplicated(exporter_metric("budget_remaining_requests")), "{{account}} remaining"),
                range_query(deduplicated(exporter_metric("budget_limit_requests")), "{{account}} limit"),
            ],
            COUNT,
            width=8,
            calcs=("lastNotNull", "min"),
        ).override_by_regexp(".* limit", properties(custom__lineStyle={"fill": "dash", "dash": [8, 8]})),
        line_panel(
            "Request duration",
            "The mean time from sending a request to the end of its answer, by resource. A list with several pages"
            " needs several requests.",
            [range_query(without_nan(f"{duration_rate('sum')} / {duration_rate('count')}"), "{{resource}}")],
            "s",
            width=8,
            calcs=("mean", "max"),
        ),
        bar_gauge(
            "Poll interval",
            "The interval between reads of each resource. It is longer than configured if the budget is too small.",
            instant_query(
                deduplicated(exporter_metric("poll_interval_seconds"), "resource"), "{{account}} {{resource}}"
            ),
            "s",
            NO_THRESHOLDS,
            width=8,
        ),
    ]


def _counting() -> list[Any]:
    oldest = f"min by (account) ({risk_metric('oldest_pending_timestamp_seconds')})"
    return [
        line_panel(
            "Pending users, by account",
            "Users with new events that the exporter has not read yet. A short peak is a campaign or a restart. A"
            " plateau means that the budget is too small.",
            [range_query(deduplicated(risk_metric("pending_users")), "{{account}}")],
            COUNT,
            width=6,
            height=8,
            decimals=0,
        ),
        line_panel(
            "Longest pending time",
            "How long the longest-waiting user has been pending; 0 if there are none.",
            [range_query(f"time() - {oldest} or 0 * {deduplicated(risk_metric('pending_users'))}", "{{account}}")],
            "s",
            width=6,
            height=8,
        ),
        line_panel(
            "Observation delay, p95",
            "95 % of the events had a shorter delay. Each point covers the hour before it.",
            [range_query(quantile(0.95, "event_observation_delay_seconds", "1h", "account"), "{{account}}")],
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
        "Uptime": properties(unit="s", decimals=1),
        "Configuration": column(130, value_mappings(_0=("outdated", BAD), _1=("current", GOOD))),
        "Memory": properties(unit="bytes"),
    }
    return table_panel("Exporters", text, queries, columns, key="instance", width=24, height=5, styles=styles)


def _exposition() -> builders.Row:
    by = "{{instance}}"
    scraped = plain_metric("zt_risk_exporter_scrapes_total", when=RATE)
    closed = plain_metric("zt_risk_exporter_web_connections_closed_total", when=RATE)
    panels = [
        line_panel(
            "Exposition size",
            "The size of /metrics without its samples about the exporter, uncompressed.",
            [range_query(plain_metric("zt_risk_exporter_exposition_size_bytes"), by)],
            "bytes",
            width=6,
            height=7,
            calcs=("lastNotNull",),
        ),
        line_panel(
            "Exposition build time",
            "The time to encode and compress /metrics in the formats in use. Only the first scrape in one waits.",
            [range_query(plain_metric("zt_risk_exporter_exposition_build_seconds"), by)],
            "s",
            width=6,
            height=7,
            calcs=("lastNotNull",),
        ),
        line_panel(
            "Scrapes",
            "Answered scrapes per minute, by format.",
            [range_query(f"60 * sum by (instance, format) (rate({scraped}))", "{{instance}} {{format}}")],
            COUNT,
            width=6,
            height=7,
            calcs=("lastNotNull",),
        ),
        line_panel(
            "Scrape duration",
            "The duration that Prometheus measures.",
            [range_query(plain_metric("scrape_duration_seconds"), by)],
            "s",
            width=6,
            height=7,
            calcs=("lastNotNull",),
        ),
        line_panel(
            "Connections",
            "Open connections to the exporter. At most 256, and at most 32 from one address.",
            [range_query(plain_metric("zt_risk_exporter_web_connections"), by)],
            COUNT,
            width=8,
            height=7,
            calcs=("lastNotNull",),
            decimals=0,
        ),
        line_panel(
            "Closed connections",
            "Connections that the exporter closed or could not accept, per minute, by reason.",
            [range_query(f"60 * sum by (instance, reason) (rate({closed}))", "{{instance}} {{reason}}")],
            COUNT,
            width=8,
            height=7,
            calcs=("lastNotNull",),
        ),
        line_panel(
            "Unsent answers",
            "The size of answers that clients have not received yet.",
            [range_query(plain_metric("zt_risk_exporter_web_unsent_bytes"), by)],
            "bytes",
            width=8,
            height=7,
            calcs=("lastNotNull",),
        ),
    ]
    return _row("Exposition and scrapes", panels)


def _state() -> builders.Row:
    commits = plain_metric("zt_risk_exporter_state_commits_total", when=RATE)
    panels = [
        line_panel(
            "State size",
            "The size of the state file; 0 if the state is in memory only.",
            [range_query(plain_metric("zt_risk_exporter_state_size_bytes"), "{{instance}}")],
            "bytes",
            width=8,
            height=7,
        ),
        line_panel(
            "Commits",
            "Attempts to write the state to disk per minute, by result.",
            [range_query(f"60 * sum by (result) (rate({commits}))", "{{result}}")],
            COUNT,
            width=8,
            height=7,
        ),
        line_panel(
            "Recoveries",
            "Attempts to restore the state from disk since the start, by result.",
            [
                range_query(
                    f"sum by (result) ({plain_metric('zt_risk_exporter_state_recoveries_total')})",
                    "{{result}}",
                )
            ],
            COUNT,
            width=8,
            height=7,
            decimals=0,
        ),
    ]
    return _row("State", panels)


def _process() -> builders.Row:
    by = "{{instance}}"
    panels = [
        line_panel(
            "CPU",
            "The share of one CPU.",
            [range_query(f"rate({plain_metric('process_cpu_seconds_total', when=RATE)})", by)],
            "percentunit",
            width=6,
            height=7,
            calcs=("lastNotNull",),
        ),
        line_panel(
            "Memory",
            "Resident memory.",
            [range_query(plain_metric("process_resident_memory_bytes"), by)],
            "bytes",
            width=6,
            height=7,
            calcs=("lastNotNull",),
        ),
        line_panel(
            "Open files",
            "File descriptors in use.",
            [range_query(plain_metric("process_open_fds"), by)],
            COUNT,
            width=6,
            height=7,
            calcs=("lastNotNull",),
            decimals=0,
        ),
        line_panel(
            "Threads",
            "Threads of the operating system.",
            [range_query(plain_metric("process_threads"), by)],
            COUNT,
            width=6,
            height=7,
            calcs=("lastNotNull",),
            decimals=0,
        ),
    ]
    return _row("Process", panels)


def _row(title: str, panels: list[Any]) -> builders.Row:
    row = builders.Row(title).collapsed(True)
    for panel in panels:
        row = row.with_panel(panel)
    return row


def dashboard() -> Any:
    """The dashboard for operators of the exporter."""
    panels = [*_summary(), _instances(), *_cloudflare(), *_counting()]
    text = "The state of the exporter, its requests to Cloudflare, the age of its data, and its resource usage."
    return frame("zt-risk-exporter", "Exporter", text, panels, [_exposition(), _state(), _process()])
