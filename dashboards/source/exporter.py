"""Exporter: whether it runs, what it asks of Cloudflare, and what it costs."""

from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders

from .kit import (
    BAD,
    DAY,
    GOOD,
    LEVELS,
    NOTICE,
    PLAIN,
    age,
    bars,
    grid,
    lines,
    mapped,
    now,
    once,
    or_zero,
    over_time,
    own,
    per_bar,
    process,
    properties,
    quantile,
    ranking,
    risk,
    rows,
    shown,
    steps,
    tile,
    total,
    valid,
)
from .shared import ANY_IS_BAD, CALM, NONE, data_age, frame

RATE = "[$__rate_interval]"
GRAY = LEVELS["unknown"]
STATE = mapped(_0=("in memory", PLAIN), _1=("on disk", GOOD))
UP = mapped(_0=("down", BAD), _1=("up", GOOD))
# A token should be replaced a month before it expires, and must be within the week.
EXPIRY = steps((None, BAD), (7 * DAY, NOTICE), (30 * DAY, GOOD))


def _tiles() -> list[Any]:
    used = f"1 - {once(own('budget_remaining_requests'))} / {once(own('budget_limit_requests'))}"
    return [
        tile(
            "Exporters down",
            "Exporters that Prometheus could not scrape.",
            now(f"sum(1 - {process('up')})"),
            "short",
            ANY_IS_BAD,
            mappings=NONE,
        ),
        tile(
            "Accounts failing",
            "Accounts whose list of users could not be read at the latest attempt.",
            now(f"sum(1 - {once(risk('up'))})"),
            "short",
            ANY_IS_BAD,
            mappings=NONE,
        ),
        data_age(),
        tile(
            "Budget used",
            "The share of the request budget that was spent in the last five minutes, of the account where that is"
            " highest. What the lists leave goes to single users, so much may be used and all be well.",
            now(f"max({used})"),
            "percentunit",
            steps((None, GOOD), (0.9, NOTICE)),
            decimals=0,
        ),
        tile(
            "Blocked accounts",
            "Accounts for which nothing is sent now, because Cloudflare's rate limit was hit.",
            now(or_zero(f"count({once(own('blocked_until_timestamp_seconds'))} > time())")),
            "short",
            ANY_IS_BAD,
            mappings=NONE,
        ),
        tile(
            "Users waiting",
            "Users whose new events are still to be read.",
            over_time(total(risk("pending_users")), ""),
            "short",
            steps((None, GOOD), (100, NOTICE)),
        ),
        tile(
            "Token expires in",
            "When the first of the accounts' tokens expires. Orange within a month, red within a week.",
            now(f"min({own('token_expiry_timestamp_seconds')}) - time()"),
            "s",
            EXPIRY,
            no_value="not known",
        ),
        tile(
            "Counters are kept",
            "Whether counters survive a restart of the exporter.",
            now(f"min({process('zt_risk_exporter_state_durable')})"),
            "short",
            CALM,
            mappings=STATE,
        ),
    ]


def _cloudflare() -> list[Any]:
    ages = age(once(risk("last_success_timestamp_seconds"), "endpoint"))
    sent = own("requests_total", when=RATE)
    failed = own("requests_total", 'outcome!="ok"', "[$__interval]")

    def taken(part: str) -> str:
        return f"sum by (endpoint) (rate({process(f'zt_risk_exporter_request_duration_seconds_{part}', when=RATE)}))"

    return [
        lines(
            "Age of what was read",
            "How long ago each part was last read whole, of the account where that is longest. A saw is normal, a"
            " ramp is an outage.",
            [over_time(f"max by (endpoint) ({ages})", "{{endpoint}}")],
            "s",
            width=8,
        ),
        lines(
            "Requests to Cloudflare",
            "Requests in a minute, by endpoint, retries included.",
            [over_time(f"60 * sum by (endpoint) (rate({sent}))", "{{endpoint}}")],
            "short",
            width=8,
            stacked=True,
            calcs=("mean", "max"),
        ),
        bars(
            "Failed requests",
            "Requests that gave nothing usable, by endpoint and how they ended. limited: the rate limit. refused,"
            " credentials, forbidden: the token. unavailable, timeout: Cloudflare or the network. shape, invalid: an"
            " answer that is not as documented.",
            [over_time(f"sum by (endpoint, outcome) (increase({failed})) > 0", "{{endpoint}} {{outcome}}")],
            width=8,
            interval="10m",
        ),
        lines(
            "Request budget",
            "Requests that may still be sent within five minutes, and how many there may be. At zero, readings wait.",
            [
                over_time(once(own("budget_remaining_requests")), "{{account}} remaining"),
                over_time(once(own("budget_limit_requests")), "{{account}} limit"),
            ],
            "short",
            width=8,
            calcs=("lastNotNull", "min"),
        ).override_by_regexp(".* limit", properties(custom__lineStyle={"fill": "dash", "dash": [8, 8]})),
        lines(
            "Request duration",
            "The mean time from sending a request to the end of its answer, by endpoint. A list on several pages is"
            " several requests.",
            [over_time(valid(f"{taken('sum')} / {taken('count')}"), "{{endpoint}}")],
            "s",
            width=8,
            calcs=("mean", "max"),
        ),
        ranking(
            "Poll interval",
            "How often each endpoint is read: as configured, or more slowly where the budget demands it.",
            now(once(own("poll_interval_seconds"), "endpoint"), "{{account}} {{endpoint}}"),
            "s",
            CALM,
            width=8,
        ),
    ]


def _counting() -> list[Any]:
    oldest = f"min by (account) ({risk('oldest_pending_timestamp_seconds')})"
    return [
        lines(
            "Users waiting to be read",
            "Users whose new events are still to be read. A peak that melts away is a campaign or a restart; a plateau"
            " needs more budget.",
            [over_time(once(risk("pending_users")), "{{account}}")],
            "short",
            width=6,
            height=8,
            decimals=0,
        ),
        lines(
            "Longest wait",
            "For how long the first of them has been waiting; 0 where nobody waits.",
            [over_time(f"time() - {oldest} or 0 * {once(risk('pending_users'))}", "{{account}}")],
            "s",
            width=6,
            height=8,
        ),
        lines(
            "Delay from event to observation, 19 of 20",
            "95 % of the events were seen sooner after they happened, over one hour before each moment.",
            [over_time(quantile(0.95, "event_observation_delay_seconds", "1h", "account"), "{{account}}")],
            "s",
            width=6,
            height=8,
        ),
        bars(
            "Trouble with the data",
            "Events that could not be attributed; rows of answers that could not be read; requests that were"
            " sent again.",
            [
                over_time(per_bar("events_unattributed_total", "reason"), "events not attributed"),
                over_time(f"sum(increase({own('rejected_rows_total')}[$__interval]))", "rows rejected"),
                over_time(
                    f"sum(increase({process('zt_risk_exporter_retries_total')}[$__interval]))", "requests sent again"
                ),
            ],
            width=6,
            height=8,
        ),
    ]


def _instances() -> Any:
    text = (
        "Each exporter: whether Prometheus reaches it, its version, since when it runs, and whether the"
        " configuration in force is the latest."
    )
    queries = [
        rows(f"max by (instance) ({process('up')})"),
        rows(f"max by (instance, version) ({process('zt_risk_exporter_build_info')})"),
        rows(f"max by (instance) ({age(process('process_start_time_seconds'))})"),
        rows(f"max by (instance) ({process('zt_risk_exporter_config_last_reload_successful')})"),
        rows(f"max by (instance) ({process('process_resident_memory_bytes')})"),
    ]
    columns = {
        "instance": "Instance",
        "Value #A": "State",
        "version": "Version",
        "Value #C": "Running for",
        "Value #D": "Configuration",
        "Value #E": "Memory",
    }
    styles = {
        "State": shown(90, UP),
        "Running for": properties(unit="s", decimals=1),
        "Configuration": shown(130, mapped(_0=("outdated", BAD), _1=("current", GOOD))),
        "Memory": properties(unit="bytes"),
    }
    return grid("Exporters", text, queries, columns, key="instance", width=24, height=5, styles=styles)


def _page() -> builders.Row:
    by = "{{instance}}"
    scraped = process("zt_risk_exporter_scrapes_total", when=RATE)
    panels = [
        lines(
            "Size of the page",
            "The page in text format, uncompressed.",
            [over_time(process("zt_risk_exporter_page_size_bytes"), by)],
            "bytes",
            width=6,
            height=7,
        ),
        lines(
            "Time to build the page",
            "To encode and compress it in both formats. Scrapes do not wait for it.",
            [over_time(process("zt_risk_exporter_page_build_seconds"), by)],
            "s",
            width=6,
            height=7,
        ),
        lines(
            "Scrapes",
            "Scrapes answered in a minute, by format.",
            [over_time(f"60 * sum by (instance, format) (rate({scraped}))", "{{instance}} {{format}}")],
            "short",
            width=6,
            height=7,
        ),
        lines(
            "Time of a scrape",
            "As Prometheus measures it.",
            [over_time(process("scrape_duration_seconds"), by)],
            "s",
            width=6,
            height=7,
        ),
    ]
    return _row("Page and scrapes", panels)


def _state() -> builders.Row:
    commits = process("zt_risk_exporter_state_commits_total", when=RATE)
    panels = [
        lines(
            "Size of the state",
            "On disk; 0 if it is kept in memory only.",
            [over_time(process("zt_risk_exporter_state_size_bytes"), "{{instance}}")],
            "bytes",
            width=8,
            height=7,
        ),
        lines(
            "Commits",
            "Attempts to write the state to disk in a minute, by result.",
            [over_time(f"60 * sum by (result) (rate({commits}))", "{{result}}")],
            "short",
            width=8,
            height=7,
        ),
        lines(
            "Recoveries",
            "Attempts to restore the state from disk since the start, by result.",
            [
                over_time(
                    f"sum by (result) ({process('zt_risk_exporter_state_recoveries_total')})",
                    "{{result}}",
                )
            ],
            "short",
            width=8,
            height=7,
            decimals=0,
        ),
    ]
    return _row("State", panels)


def _process() -> builders.Row:
    by = "{{instance}}"
    panels = [
        lines(
            "CPU",
            "The share of one CPU.",
            [over_time(f"rate({process('process_cpu_seconds_total', when=RATE)})", by)],
            "percentunit",
            width=6,
            height=7,
        ),
        lines(
            "Memory",
            "Resident memory.",
            [over_time(process("process_resident_memory_bytes"), by)],
            "bytes",
            width=6,
            height=7,
        ),
        lines(
            "Open files",
            "File descriptors in use.",
            [over_time(process("process_open_fds"), by)],
            "short",
            width=6,
            height=7,
            decimals=0,
        ),
        lines(
            "Threads",
            "Threads of the operating system.",
            [over_time(process("process_threads"), by)],
            "short",
            width=6,
            height=7,
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
    """The dashboard of those who run it."""
    panels = [*_tiles(), _instances(), *_cloudflare(), *_counting()]
    text = "Whether it runs, what it asks of Cloudflare, how fresh its data is, and what it costs."
    return frame("zt-risk-exporter", "Exporter", text, panels, [_page(), _state(), _process()])
