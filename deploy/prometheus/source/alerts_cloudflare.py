"""Alerts about users at risk and about settings at Cloudflare."""

from __future__ import annotations

from model import ACCOUNT, BEHAVIOR, BEHAVIORS, CRITICAL, USERS, WARNING, Alert, dashboard
from promql import changed
from recordings import (
    ACTIVE,
    ENABLED,
    EVENTS,
    HIGH,
    HIGH_BEFORE,
    HIGH_USUAL,
    LEVEL,
    NEW_USERS,
    RESETS,
)
from settings import Settings


def risk_alerts(s: Settings) -> list[Alert]:
    usual_events = f"avg_over_time({EVENTS}[{s.campaign_usual}] offset {s.campaign_window})"
    return [
        Alert(
            name="ZeroTrustHighRiskUsersRising",
            severity=CRITICAL,
            expr=f"""
            {HIGH} - {HIGH_BEFORE} >= {s.rise_users}
              unless {HIGH} < (1 + {s.rise_percent} / 100) * {HIGH_BEFORE}
            """,
            for_duration=str(s.rise_for),
            summary="{{ $value }} more users at high risk in {{ $labels.account }} than before.",
            description=f"""
            Within {s.rise_window} {{{{ $value }}}} users of {{{{ $labels.account }}}} reached high risk. Open the
            dashboard Users, look at the newest of them, and find the behavior that they share. If an account is taken
            over, revoke its sessions first, then reset its risk in Cloudflare.
            """,
            command=f"zt-risk-exporter users {ACCOUNT} --level high --sort last-event",
            dashboard=USERS,
            fires_when=f"""
            `cloudflare_zt_risk_users` at level `high` is at least {s.rise_users} users and {s.rise_percent} % higher
            than {s.rise_window} ago
            """,
        ),
        Alert(
            name="ZeroTrustHighRiskUsersUnusual",
            severity=WARNING,
            # Does not fire in the first days, because the usual number is not known yet. HighRiskUsersRising needs no
            # history.
            expr=f"""
            {HIGH} >= (1 + {s.usual_percent} / 100) * {HIGH_USUAL}
              unless {HIGH} - {HIGH_USUAL} < {s.usual_users}
            """,
            for_duration=str(s.usual_for),
            summary="{{ $value }} users at high risk in {{ $labels.account }}, more than usual at this hour.",
            description="""
            {{ $labels.account }} has {{ $value }} users at high risk, far more than the median at this hour of the last
            seven days. Find out whether an attack began, or whether users who were investigated were not reset. The
            dashboard Users shows how long each user has been at high risk.
            """,
            command=f"zt-risk-exporter users {ACCOUNT} --level high --sort last-event",
            dashboard=USERS,
            fires_when=f"""
            the number of users at high risk is at least {s.usual_percent} % and {s.usual_users} users above the median
            of the same hour of the last seven days; at least {s.usual_days_needed} of these days must have data
            """,
        ),
        Alert(
            name="ZeroTrustRiskCampaign",
            severity=CRITICAL,
            # In the first days of counting, an event can be new to the exporter and not to the user. So the number of
            # events must be unusual too.
            expr=f"""
            (
              {NEW_USERS} >= {s.campaign_users}
                and {EVENTS} >= {s.campaign_factor} * {usual_events}
            )
            or
            (
              {NEW_USERS} >= {s.campaign_users_no_history}
                unless {usual_events}
            )
            """,
            for_duration="0s",
            summary=f"""
            {{{{ $labels.behavior }}}} affected {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} within
            {s.campaign_window}.
            """,
            description=f"""
            Within {s.campaign_window} about {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} had their
            first event of {{{{ $labels.behavior }}}}. Find what these events have in common (sender, site,
            application, device), block it, and warn the users. If a change that you made caused the events, correct the
            change or lower the behavior's level.
            """,
            command=f"zt-risk-exporter users {ACCOUNT} {BEHAVIOR} --sort last-event",
            dashboard=BEHAVIORS,
            fires_when=f"""
            {s.campaign_users} users have their first event of a behavior within {s.campaign_window}, and the behavior
            has {s.campaign_factor} times its usual events; {s.campaign_users_no_history} users if there is no history
            """,
        ),
        Alert(
            name="ZeroTrustHighRiskUserUnattended",
            severity=WARNING,
            # `min`: if one of two exporters restarted without a state file, the other one still has the older date.
            expr=f"""
            time() - min by (job, account) (cloudflare_zt_risk_oldest_user_timestamp_seconds{{max_risk_level="high"}})
              > {s.unattended.seconds}
            """,
            for_duration=str(s.unattended_for),
            summary="A user of {{ $labels.account }} has been at high risk for {{ humanizeDuration $value }}.",
            description="""
            A user of {{ $labels.account }} has been at high risk for {{ humanizeDuration $value }} without a reset. The
            dashboard Users lists the users who have been at high risk for longest. Investigate each of them, and reset
            the risk in Cloudflare when the case is closed.
            """,
            command=f"zt-risk-exporter users {ACCOUNT} --level high --limit 1000",
            dashboard=USERS,
            fires_when=f"a user has been at high risk for {s.unattended} without a reset",
        ),
        Alert(
            name="ZeroTrustUnknownRiskLevel",
            severity=WARNING,
            expr='max by (job, account) (cloudflare_zt_risk_users{max_risk_level="unknown"}) > 0',
            for_duration=str(s.unknown_for),
            summary='{{ printf "%.0f" $value }} users of {{ $labels.account }} have an unknown risk level.',
            description="""
            Cloudflare gives {{ printf "%.0f" $value }} users of {{ $labels.account }} a risk level that the exporter
            does not know. The exporter ranks them above high, but alerts about high risk do not count them. Look at
            these users in Cloudflare. The exporter's log has the word for the level. Update the exporter.
            """,
            command=f"zt-risk-exporter users {ACCOUNT} --level unknown",
            dashboard=USERS,
            fires_when="Cloudflare gives a user a risk level that the exporter does not know",
        ),
        Alert(
            name="ZeroTrustMassReset",
            severity=WARNING,
            expr=f"""
            {RESETS} >= {s.reset_users}
              unless {RESETS} < {s.reset_percent} / 100 * sum by (job, account) (
                max by (job, account, max_risk_level) (cloudflare_zt_risk_users)
              )
            """,
            for_duration="0s",
            summary=f"""
            {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} were reset within {s.reset_window}.
            """,
            description=f"""
            Within {s.reset_window} about {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} had their
            risk reset. Cloudflare's audit log says who did it: ask that person. If the reset was not intended, revoke
            the administrator's access and investigate the users who were reset, because their risk is now hidden.
            """,
            command=f"zt-risk-exporter users {ACCOUNT} --sort last-event",
            dashboard=USERS,
            fires_when=f"""
            at least {s.reset_users} users and {s.reset_percent} % of the risk list are reset within {s.reset_window}
            """,
        ),
    ]


def settings_alerts(s: Settings) -> list[Alert]:
    return [
        Alert(
            name="ZeroTrustBehaviorDisabled",
            severity=WARNING,
            # The behavior is disabled, or it is missing from a list that has other behaviors.
            expr=f"""
            max_over_time({ENABLED}[{s.change_window}]) == 1
              and ({ENABLED} == 0 or max_over_time({ENABLED}[{s.change_window}]) unless {ENABLED})
              and on (job, account) {ENABLED}
            """,
            for_duration=str(s.change_for),
            summary="The behavior {{ $labels.behavior }} of {{ $labels.account }} was disabled.",
            description="""
            Cloudflare no longer looks for {{ $labels.behavior }} in {{ $labels.account }}. Cloudflare's audit log says
            who disabled it: ask that person. If this was not intended, enable the behavior again in Zero Trust under
            risk behaviors.
            """,
            command=f"zt-risk-exporter behaviors list {ACCOUNT}",
            dashboard=BEHAVIORS,
            fires_when=f"a behavior was enabled within the last {s.change_window} and is now disabled or missing",
        ),
        Alert(
            name="ZeroTrustBehaviorLevelChanged",
            severity=WARNING,
            expr=changed(LEVEL, s.change_window),
            for_duration=str(s.change_for),
            summary="The level of {{ $labels.behavior }} in {{ $labels.account }} was changed.",
            description="""
            The risk level that {{ $labels.behavior }} gives a user of {{ $labels.account }} was changed. Users can move
            to another level because of this, without any new event. Cloudflare's audit log says who changed it: ask
            whether this was intended.
            """,
            command=f"zt-risk-exporter behaviors list {ACCOUNT}",
            dashboard=BEHAVIORS,
            fires_when=f"the level of a behavior changed within the last {s.change_window}",
        ),
        Alert(
            name="ZeroTrustBehaviorDrifted",
            severity=WARNING,
            # One alert for a behavior, in however many settings it differs.
            expr="max by (job, account, behavior) (cloudflare_zt_risk_behavior_drifted) == 1",
            for_duration=str(s.drift_for),
            summary="The behavior {{ $labels.behavior }} of {{ $labels.account }} differs from the baseline.",
            description="""
            The settings of {{ $labels.behavior }} in {{ $labels.account }} are not those that the baseline declares, or
            the behavior no longer exists. Cloudflare's audit log says who changed it: ask that person. If the change
            was intended, change the baseline. If not, zt-risk-exporter behaviors apply restores the declared settings.
            The command shows each difference.
            """,
            command=f"zt-risk-exporter behaviors diff {ACCOUNT}",
            dashboard=BEHAVIORS,
            fires_when=f"a behavior differs from `behaviors.baseline` for {s.drift_for}, or no longer exists",
        ),
        Alert(
            name="ZeroTrustBehaviorSilent",
            severity=WARNING,
            expr=f"""
            max_over_time({EVENTS}[{s.silent_window}]) == 0
              and sum_over_time({EVENTS}[{s.silent_usual}:{s.silent_step}] offset {s.silent_window})
                >= {s.silent_events}
              and count_over_time({EVENTS}[{s.silent_window}:{s.silent_step}])
                >= {s.silent_scraped_percent / 100 * s.silent_window / s.silent_step:g}
              and {ENABLED} == 1
            """,
            for_duration=str(s.silent_for),
            summary="{{ $labels.behavior }} of {{ $labels.account }} is enabled, but has no events.",
            description=f"""
            {{{{ $labels.behavior }}}} had no event in {{{{ $labels.account }}}} for {s.silent_window}, after
            {s.silent_events} or more in the {s.silent_usual} before. Check the source of its events: the device client,
            the DLP profile, the Gateway policy, or the integration with the endpoint protection.
            """,
            command=f"zt-risk-exporter users {ACCOUNT} {BEHAVIOR} --sort last-event",
            dashboard=BEHAVIORS,
            fires_when=f"""
            an enabled behavior has no event for {s.silent_window}, after {s.silent_events} or more in the
            {s.silent_usual} before
            """,
        ),
        Alert(
            name="ZeroTrustIntegrationInactive",
            severity=WARNING,
            # The integration is inactive, or was deleted. If the metric has no samples, either the integrations were
            # not read or there are none: the time of the last successful read tells which.
            expr=f"""
            {ACTIVE} == 0
            or
            (
              (max_over_time({ACTIVE}[{s.integration_memory}]) == 1 unless {ACTIVE})
                and on (job, account) cloudflare_zt_risk_last_success_timestamp_seconds{{resource="integrations"}}
            )
            """,
            for_duration=str(s.integration_for),
            summary="The {{ $labels.integration_type }} integration of {{ $labels.account }} is not active.",
            description="""
            Cloudflare does not send risk changes in {{ $labels.account }} to the {{ $labels.integration_type }}
            integration {{ $labels.integration }}, because it is inactive or was deleted. Systems that rely on it, such
            as a step-up sign-in, no longer know who is at risk. Activate it in Zero Trust, or delete it if it is not
            needed.
            """,
            command=f"zt-risk-exporter integrations list {ACCOUNT}",
            dashboard=dashboard("zt-risk-overview"),
            fires_when=f"""
            an integration is inactive, or was active within the last {s.integration_memory} and was deleted
            """,
        ),
    ]
