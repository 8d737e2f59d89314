"""The alerts about users at risk, and about settings at Cloudflare."""

from __future__ import annotations

from model import CRITICAL, WARNING, Alert
from recordings import (
    ACTIVE,
    ENABLED,
    EVENTS,
    HIGH,
    HIGH_BEFORE,
    HIGH_USUALLY,
    HIT_USERS,
    LEVEL,
    RESETS,
)
from settings import Settings


def risk_alerts(s: Settings) -> list[Alert]:
    events_usually = f"avg_over_time({EVENTS}[{s.campaign_usual}] offset {s.campaign_window})"
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
            Within {s.rise_window} {{{{ $value }}}} users of {{{{ $labels.account }}}} reached high risk. Look at the
            newest of them and at the behavior they share, in the dashboard Users. If accounts are taken over: revoke
            their sessions, then reset their risk in Cloudflare.
            """,
            fires=f"""
            `cloudflare_zt_risk_users` at level `high` is {s.rise_users} and {s.rise_percent} % above what it was
            {s.rise_window} ago
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
            {{ $labels.account }} has {{ $value }} users at high risk: far more than at this hour of most of the last
            seven days. Find out whether something began, or whether nobody resets users who were looked at; the
            dashboard Users shows since when each has been at high risk.
            """,
            fires=f"""
            users at high risk are {s.usual_percent} % and {s.usual_users} above the median of the same hour of the last
            seven days, of which {s.usual_days_needed} must be known
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
                and {EVENTS} >= {s.campaign_factor} * {events_usually}
            )
            or
            (
              {HIT_USERS} >= {s.campaign_users_unknown}
                unless {events_usually}
            )
            """,
            wait="0s",
            summary=f"""
            {{{{ $labels.behavior }}}} hit {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} within
            {s.campaign_window}.
            """,
            description=f"""
            Within {s.campaign_window} about {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} had their
            first event of {{{{ $labels.behavior }}}}. Look at what those events have in common (sender, site,
            application, device), stop that, and warn the users. If a change of yours made the events, correct it, or
            lower the behavior's level.
            """,
            fires=f"""
            a behavior is new to {s.campaign_users} users within {s.campaign_window}, with {s.campaign_factor} times the
            usual events; where nothing is known as usual, to {s.campaign_users_unknown} users
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
            Nobody has reset a user of {{ $labels.account }} who has been at high risk for {{ humanizeDuration $value
            }}. The dashboard Users lists the longest-standing ones. Look into each; reset the risk in Cloudflare when
            it is dealt with.
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
            Within {s.reset_window} about {{{{ printf "%.0f" $value }}}} users of {{{{ $labels.account }}}} had their
            risk reset. See in Cloudflare's audit log who did it, and ask. If nobody meant it: take the administrator's
            access away, and look into the users who were reset, whose risk is now hidden.
            """,
            fires=f"""
            {s.reset_users} users, and {s.reset_percent} % of those on the risk list, are reset within {s.reset_window}
            """,
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
            Cloudflare no longer looks for {{ $labels.behavior }} in {{ $labels.account }}. See in Cloudflare's audit
            log who disabled it, and ask. Enable it again in Zero Trust under risk behaviors, unless it was meant.
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
            Somebody changed the risk level that {{ $labels.behavior }} gives a user of {{ $labels.account }}. Users
            move between levels by it, without doing anything. See in Cloudflare's audit log who did it, and whether it
            was meant.
            """,
            fires=f"the level of a behavior changed within the last {s.change_window}",
        ),
        Alert(
            name="ZeroTrustBehaviorSilent",
            severity=WARNING,
            expr=f"""
            max_over_time({EVENTS}[{s.silent_window}]) == 0
              and sum_over_time({EVENTS}[{s.silent_usual}:{s.silent_step}] offset {s.silent_window})
                >= {s.silent_events}
              and count_over_time({EVENTS}[{s.silent_window}:{s.silent_step}])
                >= {s.silent_listened_percent / 100 * s.silent_window / s.silent_step:g}
              and {ENABLED} == 1
            """,
            wait=str(s.silent_for),
            summary="{{ $labels.behavior }} of {{ $labels.account }} is enabled, but silent.",
            description=f"""
            In {s.silent_window} there was no event of {{{{ $labels.behavior }}}} in {{{{ $labels.account }}}}; in the
            {s.silent_usual} before there were {s.silent_events} or more. Check what it gets its events from: the device
            client, the DLP profile, the Gateway policy, or the integration with the endpoint protection.
            """,
            fires=f"""
            an enabled behavior has no event in {s.silent_window}, after {s.silent_events} or more in the
            {s.silent_usual} before
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
            Changes of risk in {{ $labels.account }} are not sent to the {{ $labels.integration_type }} integration {{
            $labels.integration }}: it is inactive, or was deleted. What relies on it, such as a step-up sign-in, no
            longer knows who is at risk. Activate it in Zero Trust, or delete it if nobody needs it.
            """,
            fires=f"an integration is inactive, or was active within the last {s.integration_memory} and is gone",
        ),
    ]
