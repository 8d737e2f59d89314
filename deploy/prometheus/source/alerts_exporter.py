"""The alerts about the exporter."""

from __future__ import annotations

from model import CRITICAL, WARNING, Alert
from settings import Settings


def stale(endpoints: str, s: Settings) -> str:
    """What was read too long ago, or never since the start."""
    read = f'cloudflare_zt_risk_last_success_timestamp_seconds{{endpoint=~"{endpoints}"}}'
    interval = f'zt_risk_exporter_poll_interval_seconds{{endpoint=~"{endpoints}"}}'
    return f"""
            (
              time() - {read} > {s.stale_least.seconds}
                unless on (job, instance, account, endpoint)
                  (time() - {read}) <= on (job, instance, account, endpoint) {s.stale_polls} * {interval}
            )
            or
            (
              {interval}
                unless on (job, instance, account, endpoint) {read}
                unless on (job, instance) time() - process_start_time_seconds < {s.stale_start.seconds}
            )
            """


def reading_alerts(s: Settings) -> list[Alert]:
    # Cloudflare may refuse `token_verify` to a good token; nothing depends on it.
    asked = 'endpoint!="token_verify"'
    return [
        Alert(
            name="ZtRiskExporterDown",
            severity=CRITICAL,
            expr=f"""
            avg_over_time(up{{job="{s.job}"}}[{s.down_window}]) < {s.down_percent / 100:g}
            or
            absent(up{{job="{s.job}"}})
            """,
            wait=str(s.down_for),
            summary="The exporter {{ with $labels.instance }}{{ . }} {{ end }}is down, or is not scraped.",
            description=f"""
            Prometheus gets nothing from the job {s.job}, so no other alert about user risk can fire. Look whether the
            process runs and what its log says last, whether its port is reached, and whether the job is still
            configured.
            """,
            fires=f"more than half of the scrapes fail, or there is no target of the job `{s.job}`",
        ),
        Alert(
            name="ZtRiskExporterUserListStale",
            severity=CRITICAL,
            expr=stale("summary", s),
            wait=str(s.stale_for),
            summary="The list of users at risk of {{ $labels.account }} is out of date.",
            description=f"""
            The list of users of {{{{ $labels.account }}}} was not read whole in {s.stale_polls} polling intervals; what
            is shown is old. The exporter's log says why under the endpoint summary; zt-risk-exporter check tries it at
            once. If Cloudflare is in trouble, wait.
            """,
            fires=f"""
            the list of users was not read for {s.stale_polls} intervals and {s.stale_least}, or never
            """,
        ),
        Alert(
            name="ZtRiskExporterSettingsStale",
            severity=WARNING,
            expr=stale("behaviors|integrations", s),
            wait=str(s.stale_for),
            summary="The {{ $labels.endpoint }} of {{ $labels.account }} are out of date.",
            description=f"""
            The {{{{ $labels.endpoint }}}} of {{{{ $labels.account }}}} were not read in {s.stale_polls} polling
            intervals, so changes of them are not seen. The exporter's log says why; zt-risk-exporter check tries it at
            once.
            """,
            fires=f"""
            behaviors or integrations were not read for {s.stale_polls} intervals and {s.stale_least}, or never
            """,
        ),
        Alert(
            name="ZtRiskExporterTokenRefused",
            severity=CRITICAL,
            expr=f"""
            sum by (job, instance, account) (
              increase(zt_risk_exporter_requests_total{{outcome=~"credentials|refused",{asked}}}[{s.refused_window}])
            ) > 0
              unless sum by (job, instance, account) (
                increase(zt_risk_exporter_requests_total{{outcome="ok",{asked}}}[{s.refused_quiet}])
              ) > 0
            """,
            wait="0s",
            summary="Cloudflare refuses the credentials of {{ $labels.account }}.",
            description="""
            Cloudflare refuses the token of {{ $labels.account }}: it was deleted, rolled, disabled, or has expired.
            Create a new one and write it into the token file, where it is used at once. Where the token is in the
            environment, restart the exporter with the new one.
            """,
            fires=f"""
            requests are refused for their credentials within {s.refused_window}, and none succeeds for
            {s.refused_quiet}
            """,
        ),
        Alert(
            name="ZtRiskExporterTokenExpiring",
            severity=WARNING,
            expr=f"zt_risk_exporter_token_expiry_timestamp_seconds - time() < {s.expiry_notice.seconds}",
            wait="0s",
            summary="The API token of {{ $labels.account }} expires in {{ humanizeDuration $value }}.",
            description="""
            The API token of {{ $labels.account }} expires in {{ humanizeDuration $value }}. Create a new one with the
            same permissions and write it into the token file, where it is used at once.
            """,
            fires=f"the API token expires within {s.expiry_notice}",
        ),
        Alert(
            name="ZtRiskExporterPermissionMissing",
            severity=WARNING,
            expr=f"""
            sum by (job, instance, account, endpoint) (
              increase(zt_risk_exporter_requests_total{{outcome=~"forbidden|not_entitled",{asked}}}[{s.forbidden_window}])
            ) > 0
              unless sum by (job, instance, account, endpoint) (
                increase(zt_risk_exporter_requests_total{{outcome="ok",{asked}}}[{s.forbidden_window}])
              ) > 0
            """,
            wait=str(s.forbidden_for),
            summary="The token of {{ $labels.account }} may not read {{ $labels.endpoint }}.",
            description="""
            Cloudflare does not let the token of {{ $labels.account }} read {{ $labels.endpoint }}. Run zt-risk-exporter
            check: it says which permission group to add to the token, or that the account has no user risk scoring.
            """,
            fires=f"an endpoint is closed to the token, and was not read for {s.forbidden_window}",
        ),
        Alert(
            name="ZtRiskExporterRateLimited",
            severity=WARNING,
            expr=f"""
            sum by (job, instance, account) (
              increase(zt_risk_exporter_requests_total{{outcome="limited"}}[{s.limited_window}])
            ) > 0
            or
            zt_risk_exporter_blocked_until_timestamp_seconds > time()
            """,
            wait=str(s.limited_for),
            summary="Cloudflare limits the requests of {{ $labels.account }} again and again.",
            description="""
            Cloudflare blocked the requests of {{ $labels.account }} more than once. All tokens of the same Cloudflare
            user and the dashboard share one limit. Find what else uses it up; lower budget_share, or give the exporter
            a token of a user of its own.
            """,
            fires=f"Cloudflare's rate limit is hit again within {s.limited_window}, or a block lasts that long",
        ),
        Alert(
            name="ZtRiskExporterUsersPending",
            severity=WARNING,
            expr=f"time() - cloudflare_zt_risk_oldest_pending_timestamp_seconds > {s.pending.seconds}",
            wait=str(s.pending_for),
            summary="Events of {{ $labels.account }} have waited for {{ humanizeDuration $value }} to be read.",
            description="""
            A user of {{ $labels.account }} has had unread events for {{ humanizeDuration $value }}, so counts lag
            behind. If many users wait, raise budget_share, or intervals.summary, which leaves more requests to them. If
            it is one, the log says what is wrong with the endpoint user.
            """,
            fires=f"a user's new events have been waiting for {s.pending} to be read",
        ),
    ]


def state_alerts(s: Settings) -> list[Alert]:
    return [
        Alert(
            name="ZtRiskExporterStateNotDurable",
            severity=WARNING,
            expr="zt_risk_exporter_state_durable == 0",
            wait=str(s.state_for),
            summary="The counters of {{ $labels.instance }} do not survive a restart.",
            description="""
            The exporter {{ $labels.instance }} keeps its counters in memory only: a restart starts them at 0, and what
            happens meanwhile is not counted. Give it a state file on a volume that stays, or silence this alert if that
            is what you want.
            """,
            fires="the exporter keeps its counters in memory only",
        ),
        Alert(
            name="ZtRiskExporterStateCommitFailed",
            severity=WARNING,
            expr=f'increase(zt_risk_exporter_state_commits_total{{result="failed"}}[{s.commit_window}]) > 0',
            wait="0s",
            summary="The exporter {{ $labels.instance }} could not write its state.",
            description="""
            The exporter {{ $labels.instance }} could not write its state to disk. Counters stand still until it can.
            Check space, permissions and health of the disk; the log names the error.
            """,
            fires=f"a write of the state failed within the last {s.commit_window}",
        ),
        Alert(
            name="ZtRiskExporterStateDamaged",
            severity=WARNING,
            # Counted before the first scrape, so an increase is never seen: the count since the start is.
            expr=f"""
            zt_risk_exporter_state_recoveries_total{{result="damaged"}} > 0
              unless on (job, instance) time() - process_start_time_seconds > {s.damaged_shown.seconds}
            """,
            wait="0s",
            summary="The state of {{ $labels.instance }} was damaged.",
            description="""
            At its start the exporter {{ $labels.instance }} found its state damaged and began anew: counters start at
            0, with a new cloudflare_zt_risk_counting_since_timestamp_seconds. Check the disk; keep the damaged file if
            the log names it.
            """,
            fires=f"the state was found damaged at a start within the last {s.damaged_shown}",
        ),
    ]
