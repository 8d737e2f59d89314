#!/usr/bin/env python3
"""Breaks the rules one at a time. The cases must detect each of these mutants."""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import recordings as recorded
import rules
from cases import all_cases
from engines import Rule, name, needed, promtool
from history import Case
from settings import Duration, Settings

# Settings that are not thresholds or windows, or whose effect is not visible in steps of a minute.
UNCHANGED_SETTINGS = {"job", "evaluation", "silent_step"}

# Edits of a rule: name, old text, new text.
EDITS = [
    (recorded.HIGH, "max by (job, account)", "sum by (job, account)"),
    (recorded.HIGH, "max by (job, account)", "max by (job, instance, account)"),
    (recorded.HIGH, '{max_risk_level="high"}', ""),
    (recorded.HIGH_BEFORE, "min_over_time", "max_over_time"),
    (recorded.HIGH_USUAL, "quantile by (job, account) (0.5,", "quantile by (job, account) (1,"),
    (recorded.EVENTS, "sum by (job, instance, account, behavior)", "max by (job, instance, account, behavior)"),
    (recorded.NEW_USERS, "max by", "sum by"),
    (recorded.RESETS, "max by", "sum by"),
    (recorded.ENABLED, "min by", "max by"),
    (recorded.LEVEL, " > 0", ""),
    (recorded.LEVEL, "max by (job, account, behavior)", "max by (job, instance, account, behavior)"),
    ("ZeroTrustRiskCampaign", "\nor\n", "\nunless\n"),
    ("ZeroTrustHighRiskUserUnattended", "min by", "max by"),
    ("ZeroTrustMassReset", "unless", "and"),
    ("ZeroTrustBehaviorDisabled", f"max_over_time({recorded.ENABLED}[1d]) == 1\n  and ", ""),
    ("ZeroTrustBehaviorDisabled", f" or max_over_time({recorded.ENABLED}[1d]) unless {recorded.ENABLED}", ""),
    ("ZeroTrustBehaviorDisabled", f"and on (job, account) {recorded.ENABLED}", ""),
    ("ZeroTrustBehaviorDisabled", f"{recorded.ENABLED} == 0 or ", ""),
    ("ZeroTrustBehaviorSilent", f"and {recorded.ENABLED} == 1", ""),
    ("ZeroTrustIntegrationInactive", "and on (job, account)", "or on (job, account)"),
    ("ZeroTrustIntegrationInactive", " == 1 unless", " >= 0 unless"),
    ("ZeroTrustIntegrationInactive", f"{recorded.ACTIVE} == 0\nor\n", ""),
    ("ZtRiskExporterDown", '\nor\nabsent(up{job="zt-risk-exporter"})', ""),
    (recorded.FAILING, "credentials|refused", "refused"),
    (recorded.FAILING, "credentials|refused", "credentials"),
    (recorded.FAILING, "forbidden|not_entitled", "forbidden"),
    (recorded.FAILING, "timeout|unavailable", "unavailable"),
    (recorded.FAILING, "invalid|not_found|shape", "shape"),
    (recorded.FAILING, "blocked_until_timestamp_seconds > time()", "blocked_until_timestamp_seconds > 0"),
    (recorded.FAILING, "or on (job, account)", "or"),
    (
        recorded.FAILING,
        "max by (job, account) (cloudflare_zt_risk_up)",
        "min by (job, account) (cloudflare_zt_risk_up)",
    ),
    (recorded.FAILING, "cloudflare_zt_risk_up) == 0", "cloudflare_zt_risk_up) >= 0"),
    (recorded.FAILING, "sum by (job, account)", "sum by (job, instance, account)"),
    (recorded.FAILING_ACCOUNTS, "max by (job, account) (cloudflare_zt_risk_up)", "cloudflare_zt_risk_up"),
    (recorded.UNREAD, "max by (job) (cloudflare", "min by (job) (cloudflare"),
    (recorded.UNREAD, "or max by (job) (process_start_time_seconds and on (job) zt_risk_exporter_build_info)", ""),
    (recorded.SHARED, "\nor\n", "\nand\n"),
    ("ZtRiskExporterUserListStale", '=~"summary"', '=~"summary|behaviors"'),
    ("ZtRiskExporterUserListStale", ") <= on", ") > on"),
    ("ZtRiskExporterUserListStale", "\nor\n", "\nand\n"),
    ("ZtRiskExporterUserListStale", "unless on (job, instance) time()", "and on (job, instance) time()"),
    ("ZtRiskExporterSettingsStale", "behaviors|integrations", "behaviors|summary"),
    ("ZtRiskExporterTokenRefused", "credentials|refused", "refused"),
    ("ZtRiskExporterTokenRefused", 'refused",resource!="token_verify"', 'refused"'),
    ("ZtRiskExporterTokenRefused", 'ok",resource!="token_verify"', 'ok"'),
    ("ZtRiskExporterTokenRefused", "unless", "and"),
    ("ZtRiskExporterPermissionMissing", "forbidden|not_entitled", "forbidden"),
    ("ZtRiskExporterPermissionMissing", "forbidden|not_entitled", "forbidden|not_entitled|not_found"),
    ("ZtRiskExporterPermissionMissing", 'not_entitled",resource!="token_verify"', 'not_entitled"'),
    ("ZtRiskExporterPermissionMissing", "unless", "and"),
    ("ZtRiskExporterRateLimited", "\nor\nzt_risk_exporter_blocked_until_timestamp_seconds > time()", ""),
    ("ZtRiskExporterRateLimited", "blocked_until_timestamp_seconds > time()", "blocked_until_timestamp_seconds > 0"),
    ("ZeroTrustUnknownRiskLevel", "max by (job, account)", "max by (job, instance, account)"),
    ("ZeroTrustUnknownRiskLevel", '{max_risk_level="unknown"}', ""),
    ("ZeroTrustUnknownRiskLevel", "> 0", ">= 0"),
    ("ZtRiskExporterRowsRejected", "> 0", ">= 0"),
    ("ZtRiskExporterRowsRejected", "max by (job, account, resource)", "max by (job, instance, account, resource)"),
    ("ZtRiskExporterUnexpectedFields", "> 0", ">= 0"),
    ("ZtRiskExporterUnexpectedFields", "account, resource, field)", "instance, account, resource, field)"),
    ("ZtRiskExporterUnexpectedFields", '{field!~"email|max_risk_level|name"}', ""),
    ("ZtRiskExporterEventsUnattributed", "max by (job, account, reason)", "max by (job, instance, account, reason)"),
    ("ZtRiskExporterUsersSkipped", "max by (job, account)", "max by (job, instance, account)"),
    ("ZtRiskExporterLogLinesDropped", "> 0", ">= 0"),
    ("ZtRiskExporterFeedRecordsDropped", "> 0", ">= 0"),
    ("ZtRiskExporterFeedDelayed", "> 600", "> 6000"),
    ("ZtRiskExporterConnectionsClosed", "accept_failed|", ""),
    ("ZtRiskExporterConnectionsClosed", "connection_limit|", ""),
    ("ZtRiskExporterConnectionsClosed", "peer_limit|", ""),
    ("ZtRiskExporterConnectionsClosed", "slow_reader|", ""),
    ("ZtRiskExporterConnectionsClosed", "|unsent_bytes", ""),
    ("ZtRiskExporterConnectionsClosed", "|unsent_bytes", "|unsent_bytes|idle"),
    ("ZtRiskExporterConnectionsClosed", "|unsent_bytes", "|unsent_bytes|no_request"),
    ("ZtRiskExporterReloadFailed", "== 0", ">= 0"),
    ("ZtRiskExporterBaselineUnreadable", "== 0", ">= 0"),
    (
        "ZtRiskExporterBaselineUnreadable",
        "count by (job, instance) (zt_risk_exporter_baseline_readable == 0)",
        "zt_risk_exporter_baseline_readable == 0",
    ),
    ("ZeroTrustBehaviorDrifted", "== 1", ">= 0"),
    (
        "ZeroTrustBehaviorDrifted",
        "max by (job, account, behavior) (cloudflare_zt_risk_behavior_drifted)",
        "cloudflare_zt_risk_behavior_drifted",
    ),
    ("ZeroTrustBehaviorDrifted", "max by", "min by"),
    ("ZtRiskExporterTokenFiles", '{result!="used"}', ""),
    ("ZtRiskExporterDiscoveryFailing", "unless", "and"),
    ("ZtRiskExporterTokenFiles", "== 0", "> 0"),
    (recorded.EVENTS, "increase(cloudflare_zt_risk_events_total[1h]) < ", "0 * "),
    (recorded.NEW_USERS, "increase(cloudflare_zt_risk_behavior_users_total[1h]) < ", "0 * "),
    (recorded.RESETS, "increase(cloudflare_zt_risk_resets_total[1h]) < ", "0 * "),
    ("ZtRiskExporterStateNotDurable", "== 0", ">= 0"),
    ("ZtRiskExporterStateNotDurable", "== 0", "> 0"),
    ("ZtRiskExporterStateCommitFailed", '{result="failed"}', ""),
    ("ZtRiskExporterStateCommitFailed", "> 0", ">= 0"),
    ("ZtRiskExporterStateDamaged", '{result="damaged"}', ""),
    ("ZtRiskExporterStateDamaged", "unless", "and"),
]


@dataclass(frozen=True)
class Mutant:
    """Rules with one deliberate error."""

    description: str
    rules: list[Rule]


def current() -> list[Rule]:
    return rules_from(Settings())


def rules_from(settings: Settings) -> list[Rule]:
    first = [{"record": rule.name, "expr": rule.expr} for rule in rules.recordings(settings)]
    return first + [
        {"alert": rule.name, "expr": rule.expr, "for": rule.for_duration} for rule in rules.alerts(settings)
    ]


def changed(number: str, value: int) -> Settings:
    numbers: dict[str, Any] = {number: value}
    return replace(Settings(), **numbers)


def mutants() -> list[Mutant]:
    found = []
    settings = Settings()
    for number in fields(settings):
        if number.name in UNCHANGED_SETTINGS:
            continue
        value = getattr(settings, number.name)
        for factor in (0.5, 2):
            other = value.times(factor) if isinstance(value, Duration) else max(round(value * factor), 1)
            found.append(Mutant(f"{number.name} times {factor}", rules_from(changed(number.name, other))))
    for edited, old, new in EDITS:
        (rule,) = [rule for rule in current() if name(rule) == edited]
        assert old in rule["expr"], f"{edited} does not contain {old}"
        broken = {**rule, "expr": rule["expr"].replace(old, new)}
        found.append(Mutant(f"{edited}: {old!r} -> {new!r}", [broken if name(r) == edited else r for r in current()]))
    return found


def survivors(cases: dict[str, list[Case]]) -> tuple[int, list[str]]:
    """The number of mutants, and the mutants that no case detects."""
    baseline = current()
    # A case that detects one mutant often detects the next mutant of the same alert, so it moves to the front.
    ordered = {alert: list(found) for alert, found in cases.items()}

    def detected(mutant: Mutant) -> bool:
        with tempfile.TemporaryDirectory() as directory:
            for alert in cases:
                if needed(alert, baseline) == needed(alert, mutant.rules):
                    continue
                for case in ordered[alert]:
                    output = promtool().failures(alert, [case], mutant.rules, Path(directory))
                    if output:
                        # Any case would fail with invalid rules, so make sure that the values differ.
                        assert "got:" in output, f"{mutant.description}: {output}"
                        ordered[alert] = [case, *(other for other in ordered[alert] if other is not case)]
                        return True
        return False

    all_mutants = mutants()
    # Only two at a time, because promtool itself uses more than one core.
    with ThreadPoolExecutor(2) as pool:
        verdicts = pool.map(detected, all_mutants)
    return len(all_mutants), [
        mutant.description for mutant, seen in zip(all_mutants, verdicts, strict=True) if not seen
    ]


def main() -> None:
    count, undetected = survivors(all_cases())
    for description in undetected:
        print(f"FAILED: not detected: {description}", file=sys.stderr)
    print(f"rules: {count - len(undetected)} mutants detected, {len(undetected)} not detected")
    sys.exit(1 if undetected else 0)


if __name__ == "__main__":
    main()
