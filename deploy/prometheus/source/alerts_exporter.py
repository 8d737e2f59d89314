"""Alerts about the exporter."""

from __future__ import annotations

from model import ACCOUNT, CRITICAL, EXPORTER, EXPORTER_INSTANCE, EXPORTER_JOB, LOG, WARNING, Alert, FirstAccount
from promql import increase, indented, rose
from recordings import FAILING, SHARED
from settings import Duration, Settings

# Connections that the exporter closed although their clients may have wanted to use them.
CLOSED = (
    "zt_risk_exporter_web_connections_closed_total"
    '{reason=~"accept_failed|connection_limit|peer_limit|slow_reader|unsent_bytes"}'
)


FIRST_FAILING = FirstAccount(FAILING, ("job", "cause"))

# Only people read names and e-mail addresses, and ZeroTrustUnknownRiskLevel reports the levels of users.
QUIET_FIELDS = "email|max_risk_level|name"
UNEXPECTED_FIELDS = f'zt_risk_exporter_unexpected_fields_total{{field!~"{QUIET_FIELDS}"}}'


def stale(resources: str, s: Settings) -> str:
    """An expression for resources that were read too long ago, or not at all since the start."""
    read = f'cloudflare_zt_risk_last_success_timestamp_seconds{{resource=~"{resources}"}}'
    interval = f'zt_risk_exporter_poll_interval_seconds{{resource=~"{resources}"}}'
    return f"""
            (
              time() - {read} > {s.stale_minimum.seconds}
                unless on (job, instance, account, resource)
                  (time() - {read}) <= on (job, instance, account, resource) {s.stale_polls} * {interval}
            )
            or
            (
              {interval}
                unless on (job, instance, account, resource) {read}
                unless on (job, instance) time() - process_start_time_seconds < {s.stale_startup.seconds}
            )
            """


def reading_alerts(s: Settings) -> list[Alert]:
    def requests(outcome: str, window: Duration) -> str:
        # Cloudflare may refuse `token_verify` to a valid token. No data depends on it.
        return rose(f'zt_risk_exporter_requests_total{{{outcome},resource!="token_verify"}}', window)

    return [
        Alert(
            name="ZtRiskExporterDown",
            severity=CRITICAL,
            expr=f"""
            avg_over_time(up{{job="{s.job}"}}[{s.down_window}]) < {s.down_percent / 100:g}
            or
            absent(up{{job="{s.job}"}})
            """,
            for_duration=str(s.down_for),
            summary="The exporter {{ with $labels.instance }}{{ . }} {{ end }}is down or is not scraped.",
            description=f"""
            Prometheus gets no samples from the job {s.job}, so no other alert about user risk can fire. Check that the
            process runs, what the last lines of its log say, that Prometheus can reach its port, and that the job is
            still configured.
            """,
            command="zt-risk-exporter healthcheck",
            dashboard="/d/zt-risk-exporter",
            fires_when=f"more than half of the scrapes fail, or the job `{s.job}` has no target",
        ),
        Alert(
            name="ZtRiskExporterAllAccountsFailing",
            severity=CRITICAL,
            expr=f"max_over_time({SHARED}[{s.shared_hold}])",
            for_duration="0s",
            summary=f"""
            {{{{ printf "%.0f" $value }}}} accounts of {{{{ $labels.job }}}} cannot be read for the same cause:
            {{{{ $labels.cause }}}}{FIRST_FAILING.in_prometheus()}.
            """,
            description=f"""
            No list of users of the job {{{{ $labels.job }}}} was read for {s.shared_unread} or longer, and
            {{{{ printf "%.0f" $value }}}} of its accounts fail for the same cause:
            {{{{ $labels.cause }}}}{FIRST_FAILING.in_prometheus()}. This alert replaces those of the
            single accounts, and ends {s.shared_hold} after the first of them was read again. The runbook says for each
            cause what to do. If Cloudflare has an outage, wait until it ends. The command tries each account at once.
            """,
            command="zt-risk-exporter check",
            dashboard=EXPORTER_JOB,
            fires_when=f"""
            at least {s.shared_percent} % of the accounts of a job, and at least {s.shared_accounts}, fail for the same
            cause, and no list of users was read for {s.shared_unread} (for the rate limit: {s.shared_limited})
            """,
            first_account=FIRST_FAILING,
        ),
        Alert(
            name="ZtRiskExporterUserListStale",
            severity=CRITICAL,
            expr=stale("summary", s),
            for_duration=str(s.stale_for),
            summary="The list of users at risk of {{ $labels.account }} is out of date.",
            description=f"""
            The list of users of {{{{ $labels.account }}}} was not read completely for {s.stale_polls} polling
            intervals, so the metrics show old data. The exporter's log says why, for the resource summary. If
            Cloudflare has an outage, wait until it ends. The command tries to read it at once.
            """,
            command=f"zt-risk-exporter check {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"""
            the list of users was not read for {s.stale_polls} intervals and at least {s.stale_minimum}, or never
            """,
        ),
        Alert(
            name="ZtRiskExporterSettingsStale",
            severity=WARNING,
            expr=stale("behaviors|integrations", s),
            for_duration=str(s.stale_for),
            summary="The {{ $labels.resource }} of {{ $labels.account }} are out of date.",
            description=f"""
            The {{{{ $labels.resource }}}} of {{{{ $labels.account }}}} were not read for {s.stale_polls} polling
            intervals, so the exporter does not see changes of them. Its log says why. The command tries to read them at
            once.
            """,
            command=f"zt-risk-exporter check {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"""
            behaviors or integrations were not read for {s.stale_polls} intervals and at least {s.stale_minimum}, or
            never
            """,
        ),
        Alert(
            name="ZtRiskExporterTokenRefused",
            severity=CRITICAL,
            expr=f"""
            sum by (job, instance, account) (
              {indented(14, requests('outcome=~"credentials|refused"', s.refused_window))}
            )
              unless sum by (job, instance, account) (
                {indented(16, requests('outcome="ok"', s.refused_no_success))}
              )
            """,
            for_duration="0s",
            summary="Cloudflare refuses the credentials of {{ $labels.account }}.",
            description="""
            Cloudflare refuses the token of {{ $labels.account }}: it was deleted, rolled or disabled, or it has
            expired. Create a new one and write it into the token file. The exporter uses it at once. If the token is in
            the environment, restart the exporter with the new one.
            """,
            command=f"zt-risk-exporter check {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"""
            Cloudflare refused the credentials within the last {s.refused_window}, and no request succeeded for
            {s.refused_no_success}
            """,
        ),
        Alert(
            name="ZtRiskExporterTokenExpiring",
            severity=WARNING,
            expr=f"zt_risk_exporter_token_expiry_timestamp_seconds - time() < {s.expiry_notice.seconds}",
            for_duration="0s",
            summary="The API token of {{ $labels.account }} expires in {{ humanizeDuration $value }}.",
            description="""
            The API token of {{ $labels.account }} expires in {{ humanizeDuration $value }}. Create a new one with the
            same permissions and write it into the token file. The exporter uses it at once.
            """,
            command=f"zt-risk-exporter check {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"the API token expires within {s.expiry_notice}",
        ),
        Alert(
            name="ZtRiskExporterPermissionMissing",
            severity=WARNING,
            expr=f"""
            sum by (job, instance, account, resource) (
              {indented(14, requests('outcome=~"forbidden|not_entitled"', s.forbidden_window))}
            )
              unless sum by (job, instance, account, resource) (
                {indented(16, requests('outcome="ok"', s.forbidden_window))}
              )
            """,
            for_duration=str(s.forbidden_for),
            summary="The token of {{ $labels.account }} may not read {{ $labels.resource }}.",
            description="""
            Cloudflare does not let the token of {{ $labels.account }} read {{ $labels.resource }}. The command says
            which permission group the token needs, or that the account has no user risk scoring.
            """,
            command=f"zt-risk-exporter check {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"the token may not read a resource, and no read succeeded for {s.forbidden_window}",
        ),
        Alert(
            name="ZtRiskExporterRateLimited",
            severity=WARNING,
            expr=f"""
            sum by (job, instance, account) (
              {indented(14, rose('zt_risk_exporter_requests_total{outcome="limited"}', s.limited_window))}
            )
            or
            zt_risk_exporter_blocked_until_timestamp_seconds > time()
            """,
            for_duration=str(s.limited_for),
            summary="No request may be sent for {{ $labels.account }} again and again, or for a long time.",
            description="""
            Cloudflare blocks the requests of {{ $labels.account }}, or no request is left, there or in the exporter's
            own budget. The log says which. All tokens of the same Cloudflare user and the dashboard share Cloudflare's
            limit: find what else uses it, lower budget_share, or create the exporter's token with a separate
            Cloudflare user. If the exporter's own budget is used up, raise budget_share.
            """,
            command=f"zt-risk-exporter plan {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"""
            the exporter hits Cloudflare's rate limit again within {s.limited_window}, or no request may be sent for
            that long
            """,
        ),
        Alert(
            name="ZtRiskExporterUsersPending",
            severity=WARNING,
            expr=f"time() - cloudflare_zt_risk_oldest_pending_timestamp_seconds > {s.pending.seconds}",
            for_duration=str(s.pending_for),
            summary="Events of {{ $labels.account }} have been unread for {{ humanizeDuration $value }}.",
            description="""
            A user of {{ $labels.account }} has had unread events for {{ humanizeDuration $value }}, so counters lag
            behind. If many users are waiting, raise budget_share, or raise intervals.summary, which leaves more
            requests for users. If one user is waiting, the log says why the resource user fails.
            """,
            command=f"zt-risk-exporter plan {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"a user's new events have been unread for {s.pending}",
        ),
        Alert(
            name="ZtRiskExporterRowsRejected",
            severity=WARNING,
            expr=f"""
            max by (job, account, resource) (
              {indented(14, rose("zt_risk_exporter_rejected_rows_total", s.lost_window))}
            )
            """,
            for_duration="0s",
            summary="Parts of the {{ $labels.resource }} of {{ $labels.account }} cannot be read.",
            description="""
            Cloudflare's answers for the resource {{ $labels.resource }} of {{ $labels.account }} have rows or events
            that the exporter cannot read, so these are missing from the metrics. The exporter's log names the field.
            Look at these users or settings in Cloudflare, and update the exporter.
            """,
            command=f"zt-risk-exporter check {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"a row or an event within the last {s.lost_window} had a form that the exporter cannot read",
        ),
        Alert(
            name="ZtRiskExporterUnexpectedFields",
            severity=WARNING,
            expr=f"""
            max by (job, account, resource, field) (
              {indented(14, rose(UNEXPECTED_FIELDS, s.lost_window))}
            )
            """,
            for_duration="0s",
            summary=(
                "The field {{ $labels.field }} in the {{ $labels.resource }} of {{ $labels.account }} is unexpected."
            ),
            description="""
            Cloudflare's answers for the resource {{ $labels.resource }} of {{ $labels.account }} have the field
            {{ $labels.field }} in a form that is not documented. The exporter works without it. Its log and the live
            page say what the field contains. Compare with Cloudflare's dashboard, and update the exporter.
            """,
            command=f"zt-risk-exporter check {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"""
            a field within the last {s.lost_window} did not have its documented form; names, e-mail addresses and the
            levels of users are left out
            """,
        ),
        Alert(
            name="ZtRiskExporterEventsUnattributed",
            severity=WARNING,
            expr=f"""
            max by (job, account, reason) (
              {indented(14, rose("cloudflare_zt_risk_events_unattributed_total", s.lost_window))}
            )
            """,
            for_duration="0s",
            summary="Events of {{ $labels.account }} were not found: {{ $labels.reason }}.",
            description="""
            Cloudflare's counts for users of {{ $labels.account }} rose by events that the exporter did not find in the
            lists of events, for the reason {{ $labels.reason }}. So cloudflare_zt_risk_events_total is too low. The
            runbook explains the reasons.
            """,
            command=f"zt-risk-exporter plan {ACCOUNT}",
            dashboard=EXPORTER,
            fires_when=f"""
            events within the last {s.lost_window} appear in Cloudflare's counts, but were not found and so not counted
            """,
        ),
        Alert(
            name="ZtRiskExporterUsersSkipped",
            severity=WARNING,
            expr=f"""
            max by (job, account) (
              {indented(14, rose("cloudflare_zt_risk_departed_users_skipped_total", s.lost_window))}
            )
            """,
            for_duration="0s",
            summary="Too many users of {{ $labels.account }} left the risk list at once.",
            description="""
            So many users left the risk list of {{ $labels.account }} at once that the exporter does not read all of
            them once more. Resets and last events of the others are not counted. Find out why they left: a mass reset,
            users who were deleted, or a list that Cloudflare cut short.
            """,
            command=f"zt-risk-exporter users {ACCOUNT} --sort last-event",
            dashboard=EXPORTER,
            fires_when=f"""
            within the last {s.lost_window} so many users left the risk list that some were not read once more
            """,
        ),
    ]


def state_alerts(s: Settings) -> list[Alert]:
    return [
        Alert(
            name="ZtRiskExporterReloadFailed",
            severity=WARNING,
            expr="zt_risk_exporter_config_last_reload_successful == 0",
            for_duration=str(s.reload_for),
            summary="The exporter {{ $labels.instance }} could not read its new configuration or credentials.",
            description="""
            The exporter {{ $labels.instance }} still uses its old configuration and credentials, because it could not
            read or use the new ones. Do not delete an old token at Cloudflare before this alert has ended. The log and
            the live page name the file and the error. Correct the file. The exporter reads tokens and keys again by
            itself, and the configuration file after a reload.
            """,
            command="zt-risk-exporter check",
            dashboard=EXPORTER_INSTANCE,
            fires_when="the exporter could not use a changed configuration, token or key",
        ),
        Alert(
            name="ZtRiskExporterBaselineUnreadable",
            severity=WARNING,
            # Accounts usually share one file, so one alert says how many of them it concerns.
            expr="count by (job, instance) (zt_risk_exporter_baseline_readable == 0)",
            for_duration=str(s.baseline_for),
            summary="""
            The exporter {{ $labels.instance }} cannot use the baseline of {{ printf "%.0f" $value }} of its accounts.
            """,
            description="""
            When the exporter {{ $labels.instance }} last read its configuration, the baseline of
            {{ printf "%.0f" $value }} of its accounts could not be read or had mistakes. Their behaviors are compared
            with the baseline that was read before, or with none since the start, so the absence of an alert about a
            drift does not mean that nothing drifted. The log and the live page name the file and the first mistake; the
            command finds all of them. Correct the file and reload the configuration.
            """,
            command="zt-risk-exporter check --offline",
            dashboard=EXPORTER_INSTANCE,
            fires_when="the file in `behaviors.baseline` or `accounts[].behaviors_baseline` cannot be used",
        ),
        Alert(
            name="ZtRiskExporterTokenFiles",
            severity=WARNING,
            # Each shard looks at the same directory, but may have it mounted or not.
            expr="""
            max by (job) (
              sum by (job, instance) (zt_risk_exporter_token_files{result!="used"})
            ) > 0
            or
            min by (job) (zt_risk_exporter_token_files{result="used"}) == 0
            """,
            for_duration=str(s.reload_for),
            summary="Token files of {{ $labels.job }} cannot be used, or there are none.",
            description="""
            The directory accounts_from.tokens_dir of {{ $labels.job }} has files that are not used as they are, or no
            files. An account whose file cannot be used is not watched, or is watched with the token that was read last.
            The live page, the log and the command name each file with the reason. Correct the file, and reload the
            configuration.
            """,
            command="zt-risk-exporter check",
            dashboard=EXPORTER_JOB,
            fires_when="a file in `accounts_from.tokens_dir` is not used as it is, or the directory has no files",
        ),
        Alert(
            name="ZtRiskExporterDiscoveryFailing",
            severity=WARNING,
            expr=f"""
            sum by (job, instance, token_file) (
              {indented(14, rose('zt_risk_exporter_discovery_readings_total{outcome!="ok"}', s.discovery_window))}
            )
              unless sum by (job, instance, token_file) (
                {indented(16, rose('zt_risk_exporter_discovery_readings_total{outcome="ok"}', s.discovery_window))}
              )
            """,
            for_duration=str(s.discovery_for),
            summary="The accounts of {{ $labels.token_file }} cannot be found.",
            description="""
            The exporter {{ $labels.instance }} cannot list the accounts of the token {{ $labels.token_file }}. Accounts
            that were found before continue to be watched, and new ones are not found. The log, the live page and the
            command say why. Correct the token or its permissions at Cloudflare.
            """,
            command="zt-risk-exporter check",
            dashboard=EXPORTER_INSTANCE,
            fires_when=f"the accounts of a token could not be listed for {s.discovery_window}",
        ),
        Alert(
            name="ZtRiskExporterConnectionsClosed",
            severity=WARNING,
            expr=f"""
            (
              {indented(14, increase(CLOSED, s.closed_window))}
            ) >= {s.closed_connections}
            """,
            for_duration="0s",
            summary="The exporter {{ $labels.instance }} closes connections: {{ $labels.reason }}.",
            description=f"""
            Within {s.closed_window} the exporter {{{{ $labels.instance }}}} closed {{{{ printf "%.0f" $value }}}}
            connections, or could not accept them, for the reason {{{{ $labels.reason }}}}. Scrapes get through as long
            as there is an idle connection to close instead. The log has the address of a client that opened too many,
            and the runbook explains the reasons.
            """,
            command=LOG,
            dashboard=EXPORTER_INSTANCE,
            fires_when=f"""
            within the last {s.closed_window} at least {s.closed_connections} connections were closed to make room for
            others, were too slow, or could not be accepted
            """,
        ),
        Alert(
            name="ZtRiskExporterCertificateExpiring",
            severity=WARNING,
            expr=f"""
            zt_risk_exporter_web_certificate_not_after_timestamp_seconds - time() < {s.expiry_notice.seconds}
            """,
            for_duration="0s",
            summary="The certificate of {{ $labels.instance }} expires in {{ humanizeDuration $value }}.",
            description="""
            The certificate that the exporter {{ $labels.instance }} presents expires in {{ humanizeDuration $value }}.
            Write a new one with its key into the same files. The exporter presents it at the next connection.
            """,
            command="zt-risk-exporter check",
            dashboard=EXPORTER_INSTANCE,
            fires_when=f"the exporter's certificate expires within {s.expiry_notice}",
        ),
        Alert(
            name="ZtRiskExporterLogLinesDropped",
            severity=WARNING,
            expr=rose("zt_risk_exporter_log_lines_dropped_total", s.lost_window),
            for_duration="0s",
            summary="The log of {{ $labels.instance }} is incomplete.",
            description="""
            The exporter {{ $labels.instance }} dropped log lines, because nothing reads its standard error fast enough.
            Metrics are not affected. Check the program that collects the log, and the disk that it writes to.
            """,
            command=LOG,
            dashboard=EXPORTER_INSTANCE,
            fires_when=f"the exporter dropped log lines within the last {s.lost_window}",
        ),
        Alert(
            name="ZtRiskExporterFeedRecordsDropped",
            severity=WARNING,
            expr=rose("zt_risk_exporter_feed_records_dropped_total", s.lost_window),
            for_duration="0s",
            summary="The feed of {{ $labels.instance }} to {{ $labels.sink }} has a gap.",
            description="""
            The exporter {{ $labels.instance }} gave up records of its feed to {{ $labels.sink }}: {{ $labels.reason }}.
            A record of kind gap has their numbers. Counters and metrics are not affected. The log says why the records
            could not be written.
            """,
            command=LOG,
            dashboard=EXPORTER_INSTANCE,
            fires_when=f"the exporter gave up records of its feed within the last {s.lost_window}",
        ),
        Alert(
            name="ZtRiskExporterFeedDelayed",
            severity=WARNING,
            expr=f"""
            time() - zt_risk_exporter_feed_oldest_pending_timestamp_seconds > {s.feed_pending.seconds}
            """,
            for_duration=str(s.feed_for),
            summary="The feed of {{ $labels.instance }} to {{ $labels.sink }} is not written.",
            description="""
            A record of the exporter {{ $labels.instance }} has waited for {{ humanizeDuration $value }} to be written
            to {{ $labels.sink }}. Nothing is lost while the buffer has room. The log says why it cannot be written.
            """,
            command=LOG,
            dashboard=EXPORTER_INSTANCE,
            fires_when=f"a record of the feed has waited for {s.feed_pending} to be written",
        ),
        Alert(
            name="ZtRiskExporterStateNotDurable",
            severity=WARNING,
            expr="zt_risk_exporter_state_durable == 0",
            for_duration=str(s.state_for),
            summary="The counters of {{ $labels.instance }} do not survive a restart.",
            description="""
            The exporter {{ $labels.instance }} keeps its counters in memory only. After a restart they start at 0, and
            events during the restart are not counted. Give it a state file on a persistent volume. If you want counters
            in memory, silence this alert.
            """,
            command=LOG,
            dashboard=EXPORTER_INSTANCE,
            fires_when="the exporter keeps its counters in memory only",
        ),
        Alert(
            name="ZtRiskExporterStateCommitFailed",
            severity=WARNING,
            expr=rose('zt_risk_exporter_state_commits_total{result="failed"}', s.commit_window),
            for_duration="0s",
            summary="The exporter {{ $labels.instance }} could not write its state.",
            description="""
            The exporter {{ $labels.instance }} could not write its state to disk. Counters do not rise until a write
            succeeds. Check the free space, the permissions and the health of the disk. The log names the error.
            """,
            command=LOG,
            dashboard=EXPORTER_INSTANCE,
            fires_when=f"a write of the state failed within the last {s.commit_window}",
        ),
        Alert(
            name="ZtRiskExporterStateDamaged",
            severity=WARNING,
            # The exporter counts this before the first scrape, so `increase` never sees it. The value since the start
            # is used.
            expr=f"""
            zt_risk_exporter_state_recoveries_total{{result="damaged"}} > 0
              unless on (job, instance) time() - process_start_time_seconds > {s.damaged_window.seconds}
            """,
            for_duration="0s",
            summary="The state of {{ $labels.instance }} was damaged.",
            description="""
            When the exporter {{ $labels.instance }} started, its state was damaged, so it created a new one: counters
            start at 0, with a new cloudflare_zt_risk_counting_since_timestamp_seconds. Check the disk. Keep the damaged
            file if the log names it.
            """,
            command=LOG,
            dashboard=EXPORTER_INSTANCE,
            fires_when=f"the exporter started within the last {s.damaged_window} and its state was damaged",
        ),
    ]
