"""Breaks the rules one at a time: the cases have to notice each."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import recordings as recorded
import rules
from history import Case
from promtool import Rule, failures, name, needed
from settings import Duration, Settings

# Not numbers of a rule, or of no effect that could be seen in steps of a minute.
LEFT_ALONE = {"job", "evaluation", "silent_step"}

# What is cut out of a rule, or put into it.
CUTS = [
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
    ("ZtRiskExporterUserListStale", '=~"summary"', '=~"summary|behaviors"'),
    ("ZtRiskExporterUserListStale", ") <= on", ") > on"),
    ("ZtRiskExporterUserListStale", "\nor\n", "\nand\n"),
    ("ZtRiskExporterUserListStale", "unless on (job, instance) time()", "and on (job, instance) time()"),
    ("ZtRiskExporterSettingsStale", "behaviors|integrations", "behaviors|summary"),
    ("ZtRiskExporterTokenRefused", "credentials|refused", "refused"),
    ("ZtRiskExporterTokenRefused", 'refused",endpoint!="token_verify"', 'refused"'),
    ("ZtRiskExporterTokenRefused", 'ok",endpoint!="token_verify"', 'ok"'),
    ("ZtRiskExporterTokenRefused", "unless", "and"),
    ("ZtRiskExporterPermissionMissing", "forbidden|not_entitled", "forbidden"),
    ("ZtRiskExporterPermissionMissing", "forbidden|not_entitled", "forbidden|not_entitled|not_found"),
    ("ZtRiskExporterPermissionMissing", 'not_entitled",endpoint!="token_verify"', 'not_entitled"'),
    ("ZtRiskExporterPermissionMissing", "unless", "and"),
    ("ZtRiskExporterRateLimited", "\nor\nzt_risk_exporter_blocked_until_timestamp_seconds > time()", ""),
    ("ZtRiskExporterRateLimited", "blocked_until_timestamp_seconds > time()", "blocked_until_timestamp_seconds > 0"),
    ("ZtRiskExporterStateNotDurable", "== 0", ">= 0"),
    ("ZtRiskExporterStateNotDurable", "== 0", "> 0"),
    ("ZtRiskExporterStateCommitFailed", '{result="failed"}', ""),
    ("ZtRiskExporterStateCommitFailed", "> 0", ">= 0"),
    ("ZtRiskExporterStateDamaged", '{result="damaged"}', ""),
    ("ZtRiskExporterStateDamaged", "unless", "and"),
]


@dataclass(frozen=True)
class Mutant:
    """Rules with something wrong."""

    says: str
    rules: list[Rule]


def current() -> list[Rule]:
    return rules_from(Settings())


def rules_from(settings: Settings) -> list[Rule]:
    first = [{"record": rule.name, "expr": rule.expr} for rule in rules.recordings(settings)]
    return first + [{"alert": rule.name, "expr": rule.expr, "for": rule.for_duration} for rule in rules.alerts(settings)]


def changed(number: str, value: int) -> Settings:
    numbers: dict[str, Any] = {number: value}
    return replace(Settings(), **numbers)


def mutants() -> list[Mutant]:
    found = []
    settings = Settings()
    for number in fields(settings):
        if number.name in LEFT_ALONE:
            continue
        value = getattr(settings, number.name)
        for factor in (0.5, 2):
            other = value.times(factor) if isinstance(value, Duration) else max(round(value * factor), 1)
            found.append(Mutant(f"{number.name} times {factor}", rules_from(changed(number.name, other))))
    for of, old, new in CUTS:
        (rule,) = [rule for rule in current() if name(rule) == of]
        assert old in rule["expr"], f"nothing to cut from {of}: {old}"
        cut = {**rule, "expr": rule["expr"].replace(old, new)}
        found.append(Mutant(f"{of}: {old!r} -> {new!r}", [cut if name(r) == of else r for r in current()]))
    return found


def survivors(cases: dict[str, list[Case]]) -> tuple[int, list[str]]:
    """How many mutants there were, and those that no case noticed."""
    baseline = current()
    # What noticed a mutant notices the next one of the same alert as well, often.
    handy = {alert: list(found) for alert, found in cases.items()}

    def noticed(mutant: Mutant) -> bool:
        with tempfile.TemporaryDirectory() as directory:
            for alert in cases:
                if needed(alert, baseline) == needed(alert, mutant.rules):
                    continue
                for case in handy[alert]:
                    said = failures(alert, [case], mutant.rules, Path(directory))
                    if said:
                        # Rules that cannot be read would be noticed by any case.
                        assert "got:" in said, f"{mutant.says}: {said}"
                        handy[alert] = [case, *(other for other in handy[alert] if other is not case)]
                        return True
        return False

    everything = mutants()
    # Two, because promtool works on more than one core itself.
    with ThreadPoolExecutor(2) as pool:
        verdicts = pool.map(noticed, everything)
    return len(everything), [mutant.says for mutant, seen in zip(everything, verdicts, strict=True) if not seen]
