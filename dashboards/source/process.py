"""Rows about the process of the exporter: its answers, its state file and its resource usage."""

from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders

from .kit import COUNT, line_panel, plain_metric, range_query

RATE = "[$__rate_interval]"


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


def process_rows() -> list[builders.Row]:
    """The collapsed rows about the process."""
    return [_exposition(), _state(), _process()]
