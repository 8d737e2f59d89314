"""The recording rules and the alerts, made from settings.

What holds for all of them:

- The exporter is polled and is restarted; its pods change their names. So what is compared over time is recorded by job
  and account, over all instances: by `max`, because two exporters that watch the same account show the same twice.
- A series that is missing must not make an alert by itself, and must not keep one from firing. So conditions that
  quiet an alert are written with `unless`: what they ask for may be missing.
- `increase` knows restarts: a counter that falls began anew at 0. The exporter's counters are there with 0 before anything
  is counted, so that the first events are seen too. Exceptions say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from settings import Settings

CRITICAL = "critical"  # wakes somebody
WARNING = "warning"  # is looked at within the working day


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str


@dataclass(frozen=True)
class Alert:
    """An alert. In `summary` and `description` `$value` is the value of `expr`."""

    name: str
    severity: str
    expr: str
    wait: str  # `for`
    summary: str
    description: str
    fires: str  # the README's "fires when"


HIGH = "job_account:cloudflare_zt_risk_users_high:max"
HIGH_BEFORE = "job_account:cloudflare_zt_risk_users_high:last"
HIGH_BY_DAY = "job_account_day:cloudflare_zt_risk_users_high:avg"
HIGH_USUALLY = "job_account:cloudflare_zt_risk_users_high:median"
EVENTS = "job_account_behavior:cloudflare_zt_risk_events:increase"
HIT_USERS = "job_account_behavior:cloudflare_zt_risk_behavior_users:increase"
RESETS = "job_account:cloudflare_zt_risk_resets:increase"
ENABLED = "job_account_behavior:cloudflare_zt_risk_behavior_enabled:min"
LEVEL = "job_account_behavior:cloudflare_zt_risk_behavior_risk_level:max"
ACTIVE = "job_account_integration:cloudflare_zt_risk_integration_active:min"


def recordings(s: Settings) -> list[Recording]:
    """In this order, because later ones read earlier ones."""
    # Centred on now, so that the slope of a morning does not count as a rise.
    same_hour = [
        f'label_replace(avg_over_time({HIGH}[{s.usual_hour}] offset {s.usual_day.times(day - s.usual_hour / s.usual_day / 2)}),'
        f' "day", "{day}", "", "")'
        for day in range(1, 8)
    ]
    rules = [
        Recording(HIGH, 'max by (job, account) (cloudflare_zt_risk_users{max_risk_level="high"})'),
        # Where there was a gap: what was known last before it. In the first hour of all: the least since then.
        Recording(
            HIGH_BEFORE,
            f"last_over_time({HIGH}[{s.rise_gap}] offset {s.rise_window}) or min_over_time({HIGH}[{s.rise_window}])",
        ),
        Recording(HIGH_BY_DAY, "\nor\n".join(same_hour)),
        Recording(
            HIGH_USUALLY,
            f"""
            quantile by (job, account) (0.5, {HIGH_BY_DAY})
              and count by (job, account) ({HIGH_BY_DAY}) >= {s.usual_days_needed}
            """,
        ),
        # A pod that is replaced leaves a part of the window to each of two instances; the larger part counts. The sum
        # would count everything twice where two exporters watch the same account.
        Recording(
            EVENTS,
            f"""
            max by (job, account, behavior) (
              sum by (job, instance, account, behavior) (increase(cloudflare_zt_risk_events_total[{s.campaign_window}]))
            )
            """,
        ),
        Recording(
            HIT_USERS,
            f"max by (job, account, behavior) (increase(cloudflare_zt_risk_behavior_users_total[{s.campaign_window}]))",
        ),
        Recording(RESETS, f"max by (job, account) (increase(cloudflare_zt_risk_resets_total[{s.reset_window}]))"),
        # The exporter that read the settings later still has the old ones: `min` takes the first that knows.
        Recording(ENABLED, "min by (job, account, behavior) (cloudflare_zt_risk_behavior_enabled)"),
        # 0 is a level that Cloudflare did not say.
        Recording(LEVEL, "max by (job, account, behavior) (cloudflare_zt_risk_behavior_risk_level > 0)"),
        Recording(ACTIVE, "min by (job, account, integration, integration_type) (cloudflare_zt_risk_integration_active)"),
    ]
    return [Recording(rule.name, dedent(rule.expr).strip()) for rule in rules]


def alerts(s: Settings) -> list[Alert]:
    """First what concerns users, then settings at Cloudflare, then the exporter."""
    found = [*risk_alerts(s), *settings_alerts(s), *reading_alerts(s), *state_alerts(s)]
    plain = lambda text: " ".join(text.split())  # noqa: E731
    return [
        Alert(a.name, a.severity, dedent(a.expr).strip(), a.wait, plain(a.summary), plain(a.description), plain(a.fires))
        for a in found
    ]


def risk_alerts(s: Settings) -> list[Alert]:
    return [
        Alert(
            name="ZeroTrustHighRiskUsersRising",
            severity=CRITICAL,
            expr=f"""
            {HIGH} - {HIGH_BEFORE} >= {s.rise_users}
              unless {HIGH} < {1 + s.rise_percent / 100:g} * {HIGH_BEFORE}
            """,
            wait=str(s.rise_for),
            summary="{{ $value }} more users at high risk in {{ $labels.account }} than before.",
            description=f"""
            Within {s.rise_window} {{{{ $value }}}} users of {{{{ $labels.account }}}} reached high risk. Look at the newest of them
            and at the behavior they share, in the dashboard Users. If accounts are taken over: revoke their sessions, then
            reset their risk in Cloudflare.
            """,
            fires=f"""
            `cloudflare_zt_risk_users` at level `high` is {s.rise_users} and {s.rise_percent} % above what it was {s.rise_window} ago
            """,
        ),
        Alert(
            name="ZeroTrustHighRiskUsersUnusual",
            severity=WARNING,
            # Silent in the first days: what is usual is not known yet. HighRiskUsersRising does not need to know.
            expr=f"""
            {HIGH} >= {1 + s.usual_percent / 100:g} * {HIGH_USUALLY}
              unless {HIGH} - {HIGH_USUALLY} < {s.usual_users}
            """,
            wait=str(s.usual_for),
            summary="{{ $value }} users at high risk in {{ $labels.account }}, more than usual at this hour.",
            description="""
            {{ $labels.account }} has {{ $value }} users at high risk: far more than at this hour of most of the last seven
            days. Find out whether something began, or whether nobody resets users who were looked at; the dashboard Users shows
            since when each has been at high risk.
            """,
            fires=f"""
            users at high risk are {s.usual_percent} % and {s.usual_users} above the median of the same hour of the last seven
            days, of which {s.usual_days_needed} must be known
            """,
        ),
        Alert(
            name="ZeroTrustRiskCampaign",
            severity=CRITICAL,
            # A first event is only new to the exporter in the first days of counting; events are compared with what is
            # usual, so that this alone is no campaign.
            expr=f"""
            (
              {HIT_USERS} >= {s.campaign_users}
                and {EVENTS} >= {s.campaign_factor} * avg_over_time({EVENTS}[{s.campaign_usual}] offset {s.campaign_window})
            )
            or
            (
              {HIT_USERS} >= {s.campaign_users_unknown}
                unless avg_over_time({EVENTS}[{s.campaign_usual}] offset {s.campaign_window})
            )
            """,
            wait="0s",
            summary=f"""
            {{{{ $labels.behavior }}}} hit {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} within {s.campaign_window}.
            """,
            description=f"""
            Within {s.campaign_window} about {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} had their first event of
            {{{{ $labels.behavior }}}}. Look at what those events have in common (sender, site, application, device), stop that, and
            warn the users. If a change of yours made the events, correct it, or lower the behavior's level.
            """,
            fires=f"""
            a behavior is new to {s.campaign_users} users within {s.campaign_window}, with {s.campaign_factor} times the usual
            events; where nothing is known as usual, to {s.campaign_users_unknown} users
            """,
        ),
        Alert(
            name="ZeroTrustHighRiskUserUnattended",
            severity=WARNING,
            # `min`: after a restart without a state file the other exporter knows better since when.
            expr=f"""
            time() - min by (job, account) (cloudflare_zt_risk_oldest_user_timestamp_seconds{{max_risk_level="high"}})
              > {s.unattended.seconds}
            """,
            wait=str(s.unattended_for),
            summary="A user of {{ $labels.account }} has been at high risk for {{ humanizeDuration $value }}.",
            description="""
            Nobody has reset a user of {{ $labels.account }} who has been at high risk for {{ humanizeDuration $value }}. The
            dashboard Users lists the longest-standing ones. Look into each; reset the risk in Cloudflare when it is dealt with.
            """,
            fires=f"a user has been at high risk for {s.unattended} without a reset",
        ),
        Alert(
            name="ZeroTrustMassReset",
            severity=WARNING,
            expr=f"""
            {RESETS} >= {s.reset_users}
              unless {RESETS} < {s.reset_percent / 100:g} * sum by (job, account) (
                max by (job, account, max_risk_level) (cloudflare_zt_risk_users)
              )
            """,
            wait="0s",
            summary=f"""
            {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} were reset within {s.reset_window}.
            """,
            description=f"""
            Within {s.reset_window} about {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} had their risk reset. See in
            Cloudflare's audit log who did it, and ask. If nobody meant it: take the administrator's access away, and look into
            the users who were reset, whose risk is now hidden.
            """,
            fires=f"{s.reset_users} users, and {s.reset_percent} % of those on the risk list, are reset within {s.reset_window}",
        ),
    ]


def settings_alerts(s: Settings) -> list[Alert]:
    return [
        Alert(
            name="ZeroTrustBehaviorDisabled",
            severity=WARNING,
            # Off, or off the list while others are on it.
            expr=f"""
            max_over_time({ENABLED}[{s.change_window}]) == 1
              and ({ENABLED} == 0 or max_over_time({ENABLED}[{s.change_window}]) unless {ENABLED})
              and on (job, account) {ENABLED}
            """,
            wait=str(s.change_for),
            summary="The behavior {{ $labels.behavior }} of {{ $labels.account }} was disabled.",
            description="""
            Cloudflare no longer looks for {{ $labels.behavior }} in {{ $labels.account }}. See in Cloudflare's audit log who
            disabled it, and ask. Enable it again in Zero Trust under risk behaviors, unless it was meant.
            """,
            fires=f"a behavior was enabled within the last {s.change_window} and now is not, or is gone",
        ),
        Alert(
            name="ZeroTrustBehaviorLevelChanged",
            severity=WARNING,
            expr=f"changes({LEVEL}[{s.change_window}]) > 0",
            wait=str(s.change_for),
            summary="The level of {{ $labels.behavior }} in {{ $labels.account }} was changed.",
            description="""
            Somebody changed the risk level that {{ $labels.behavior }} gives a user of {{ $labels.account }}. Users move between
            levels by it, without doing anything. See in Cloudflare's audit log who did it, and whether it was meant.
            """,
            fires=f"the level of a behavior changed within the last {s.change_window}",
        ),
        Alert(
            name="ZeroTrustBehaviorSilent",
            severity=WARNING,
            expr=f"""
            max_over_time({EVENTS}[{s.silent_window}]) == 0
              and sum_over_time({EVENTS}[{s.silent_usual}:{s.silent_step}] offset {s.silent_window}) >= {s.silent_events}
              and count_over_time({EVENTS}[{s.silent_window}:{s.silent_step}])
                >= {s.silent_listened_percent / 100 * s.silent_window / s.silent_step:g}
              and {ENABLED} == 1
            """,
            wait=str(s.silent_for),
            summary="{{ $labels.behavior }} of {{ $labels.account }} is enabled, but silent.",
            description=f"""
            In {s.silent_window} there was no event of {{{{ $labels.behavior }}}} in {{{{ $labels.account }}}}; in the {s.silent_usual} before
            there were {s.silent_events} or more. Check what it gets its events from: the device client, the DLP profile, the
            Gateway policy, or the integration with the endpoint protection.
            """,
            fires=f"""
            an enabled behavior has no event in {s.silent_window}, after {s.silent_events} or more in the {s.silent_usual} before
            """,
        ),
        Alert(
            name="ZeroTrustIntegrationInactive",
            severity=WARNING,
            # Inactive, or deleted. A family without samples is one that was not read, or one of no integrations: the
            # time of the last reading tells them apart.
            expr=f"""
            {ACTIVE} == 0
            or
            (
              (max_over_time({ACTIVE}[{s.integration_memory}]) == 1 unless {ACTIVE})
                and on (job, account) cloudflare_zt_risk_last_success_timestamp_seconds{{endpoint="integrations"}}
            )
            """,
            wait=str(s.integration_for),
            summary="The {{ $labels.integration_type }} integration of {{ $labels.account }} is not active.",
            description="""
            Changes of risk in {{ $labels.account }} are not sent to the {{ $labels.integration_type }} integration
            {{ $labels.integration }}: it is inactive, or was deleted. What relies on it, such as a step-up sign-in, no longer knows who
            is at risk. Activate it in Zero Trust, or delete it if nobody needs it.
            """,
            fires=f"an integration is inactive, or was active within the last {s.integration_memory} and is gone",
        ),
    ]


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
            Prometheus gets nothing from the job {s.job}, so no other alert about user risk can fire. Look whether the process
            runs and what its log says last, whether its port is reached, and whether the job is still configured.
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
            The list of users of {{{{ $labels.account }}}} was not read whole in {s.stale_polls} polling intervals; what is shown is
            old. The exporter's log says why under the endpoint summary; zt-risk-exporter check tries it at once. If Cloudflare is in
            trouble, wait.
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
            The {{{{ $labels.endpoint }}}} of {{{{ $labels.account }}}} were not read in {s.stale_polls} polling intervals, so changes of
            them are not seen. The exporter's log says why; zt-risk-exporter check tries it at once.
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
            Cloudflare refuses the token of {{ $labels.account }}: it was deleted, rolled, disabled, or has expired. Create a new
            one and write it into the token file, where it is used at once. Where the token is in the environment, restart the
            exporter with the new one.
            """,
            fires=f"requests are refused for their credentials within {s.refused_window}, and none succeeds for {s.refused_quiet}",
        ),
        Alert(
            name="ZtRiskExporterTokenExpiring",
            severity=WARNING,
            expr=f"zt_risk_exporter_token_expiry_timestamp_seconds - time() < {s.expiry_notice.seconds}",
            wait="0s",
            summary="The API token of {{ $labels.account }} expires in {{ humanizeDuration $value }}.",
            description="""
            The API token of {{ $labels.account }} expires in {{ humanizeDuration $value }}. Create a new one with the same
            permissions and write it into the token file, where it is used at once.
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
            Cloudflare does not let the token of {{ $labels.account }} read {{ $labels.endpoint }}. Run zt-risk-exporter check: it says
            which permission group to add to the token, or that the account has no user risk scoring.
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
            Cloudflare blocked the requests of {{ $labels.account }} more than once. All tokens of the same Cloudflare user and the
            dashboard share one limit. Find what else uses it up; lower budget_share, or give the exporter a token of a user of its own.
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
            A user of {{ $labels.account }} has had unread events for {{ humanizeDuration $value }}, so counts lag behind. If many
            users wait, raise budget_share, or intervals.summary, which leaves more requests to them. If it is one, the log says what
            is wrong with the endpoint user.
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
            The exporter {{ $labels.instance }} keeps its counters in memory only: a restart starts them at 0, and what happens
            meanwhile is not counted. Configure state.path on a volume that stays, or silence this alert if that is what you want.
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
            The exporter {{ $labels.instance }} could not write its state to disk. Counters stand still until it can. Check space,
            permissions and health of the disk; the log names the error.
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
            At its start the exporter {{ $labels.instance }} found its state damaged and began anew: counters start at 0, with a new
            cloudflare_zt_risk_counting_since_timestamp_seconds. Check the disk; keep the damaged file if the log names it.
            """,
            fires=f"the state was found damaged at a start within the last {s.damaged_shown}",
        ),
    ]
