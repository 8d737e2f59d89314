"""The recording rules, and their names."""

from __future__ import annotations

from textwrap import dedent

from model import Recording
from promql import increase, indented, rose
from settings import Settings

HIGH = "job_account:cloudflare_zt_risk_users_high:max"
HIGH_BEFORE = "job_account:cloudflare_zt_risk_users_high:last"
HIGH_BY_DAY = "job_account_day:cloudflare_zt_risk_users_high:avg"
HIGH_USUAL = "job_account:cloudflare_zt_risk_users_high:median"
EVENTS = "job_account_behavior:cloudflare_zt_risk_events:increase"
NEW_USERS = "job_account_behavior:cloudflare_zt_risk_behavior_users:increase"
RESETS = "job_account:cloudflare_zt_risk_resets:increase"
ENABLED = "job_account_behavior:cloudflare_zt_risk_behavior_enabled:min"
LEVEL = "job_account_behavior:cloudflare_zt_risk_behavior_risk_level:max"
ACTIVE = "job_account_integration:cloudflare_zt_risk_integration_active:min"
FAILING = "job_account_cause:zt_risk_exporter_failed_requests:increase"
FAILING_ACCOUNTS = "job_cause:zt_risk_exporter_failing_accounts:count"
UNREAD = "job:cloudflare_zt_risk_last_success_age_seconds:min"
SHARED = "job_cause:zt_risk_exporter_failing_accounts_shared:count"

# Why the list of users cannot be read, by the outcomes of its requests. If an account has several, the first counts:
# refused credentials explain a missing answer, and not the other way round.
CAUSES = {
    "credentials": "credentials|refused",
    "permission": "forbidden|not_entitled",
    "rate_limit": "limited",
    "unavailable": "timeout|unavailable",
    "answer": "invalid|not_found|shape",
}


def recordings(s: Settings) -> list[Recording]:
    """In order of evaluation: later rules read earlier ones."""
    # Each hour is centred on the current time of day. Otherwise the rise of every morning would look unusual.
    offsets = [s.usual_day.times(day - s.usual_hour / s.usual_day / 2) for day in range(1, 8)]
    same_hour = [
        f'label_replace(avg_over_time({HIGH}[{s.usual_hour}] offset {offset}), "day", "{day}", "", "")'
        for day, offset in enumerate(offsets, start=1)
    ]
    rules = [
        Recording(HIGH, 'max by (job, account) (cloudflare_zt_risk_users{max_risk_level="high"})'),
        # After a gap, this is the last value before the gap. In the first hour of all, it is the lowest value so far.
        Recording(
            HIGH_BEFORE,
            f"last_over_time({HIGH}[{s.rise_gap}] offset {s.rise_window}) or min_over_time({HIGH}[{s.rise_window}])",
        ),
        Recording(HIGH_BY_DAY, "\nor\n".join(same_hour)),
        Recording(
            HIGH_USUAL,
            f"""
            quantile by (job, account) (0.5, {HIGH_BY_DAY})
              and count by (job, account) ({HIGH_BY_DAY}) >= {s.usual_days_needed}
            """,
        ),
        # When a pod is replaced, two instances each have a part of the window, and the larger part is used. A sum would
        # count every event twice if two exporters watch the same account.
        Recording(
            EVENTS,
            f"""
            max by (job, account, behavior) (
              sum by (job, instance, account, behavior) (
                {indented(16, increase("cloudflare_zt_risk_events_total", s.campaign_window))}
              )
            )
            """,
        ),
        Recording(
            NEW_USERS,
            f"""
            max by (job, account, behavior) (
              {indented(14, increase("cloudflare_zt_risk_behavior_users_total", s.campaign_window))}
            )
            """,
        ),
        Recording(
            RESETS,
            f"""
            max by (job, account) (
              {indented(14, increase("cloudflare_zt_risk_resets_total", s.reset_window))}
            )
            """,
        ),
        Recording(ENABLED, "min by (job, account, behavior) (cloudflare_zt_risk_behavior_enabled)"),
        # 0 means that Cloudflare did not send a level.
        Recording(LEVEL, "max by (job, account, behavior) (cloudflare_zt_risk_behavior_risk_level > 0)"),
        Recording(
            ACTIVE, "min by (job, account, integration, integration_type) (cloudflare_zt_risk_integration_active)"
        ),
        *failing_accounts(s),
    ]
    return [Recording(rule.name, dedent(rule.expr).strip()) for rule in rules]


def failing_accounts(s: Settings) -> list[Recording]:
    """Which accounts cannot be read and why, and whether nearly all accounts of a job share the cause."""

    def caused(cause: str, outcomes: str) -> str:
        requests = f'zt_risk_exporter_requests_total{{resource="summary",outcome=~"{outcomes}"}}'
        failed = f"sum by (job, account) (\n    {indented(4, rose(requests, s.shared_window))}\n  )"
        if cause == "rate_limit":
            # While all requests are blocked, none is limited.
            blocked = "max by (job, account) (zt_risk_exporter_blocked_until_timestamp_seconds > time())"
            failed = f"{failed} or {blocked}"
        return f'label_replace(\n  {failed},\n  "cause", "{cause}", "", ""\n)'

    causes = "\nor on (job, account)\n".join(caused(*cause) for cause in CAUSES.items())
    return [
        # One cause for each account.
        Recording(
            FAILING,
            f"""
            (
              {indented(14, causes)}
            )
              and on (job, account) max by (job, account) (cloudflare_zt_risk_up) == 0
            """,
        ),
        Recording(
            FAILING_ACCOUNTS,
            f"""
            (
              count by (job, cause) ({FAILING})
                >= on (job) group_left
                  {s.shared_percent} / 100 * count by (job) (max by (job, account) (cloudflare_zt_risk_up))
            ) >= {s.shared_accounts}
            """,
        ),
        # Since the newest complete list of users of any account. Without one, since the start.
        Recording(
            UNREAD,
            """
            time() - (
              max by (job) (cloudflare_zt_risk_last_success_timestamp_seconds{resource="summary"})
                or max by (job) (process_start_time_seconds and on (job) zt_risk_exporter_build_info)
            )
            """,
        ),
        Recording(
            SHARED,
            f"""
            {FAILING_ACCOUNTS}{{cause!="rate_limit"}} and on (job) {UNREAD} > {s.shared_unread.seconds}
            or
            {FAILING_ACCOUNTS}{{cause="rate_limit"}} and on (job) {UNREAD} > {s.shared_limited.seconds}
            """,
        ),
    ]
