"""Cases for the alert about a cause that the accounts of a job share, and for what it and others inhibit."""

from __future__ import annotations

from collections.abc import Sequence

from cases_exporter import BEHAVIORS_INTERVAL, BEHAVIORS_READ, BLOCKED, PENDING, STARTED, SUMMARY_INTERVAL, SUMMARY_READ
from cases_exporter import requests as of_acme
from cases_users import HIGH
from history import DAY, HOUR, Case, History, clock, gap, hold, stairs

UP = "cloudflare_zt_risk_up"
BUILD = "zt_risk_exporter_build_info account="


def requests(account: str, outcome: str) -> str:
    return f"zt_risk_exporter_requests_total account={account} resource=summary outcome={outcome}"


def works(account: str, minutes: float = 120) -> dict[str, History]:
    return {f"{UP} account={account}": hold(1, minutes), f"{SUMMARY_READ} account={account}": clock(0, minutes)}


def waits(account: str) -> dict[str, History]:
    """An account with a long interval, whose next read is after the case."""
    return {f"{UP} account={account}": hold(1, 120), f"{SUMMARY_READ} account={account}": hold(59 * 60, 120)}


def fails(account: str, outcome: str = "unavailable", every: float = 1, until: float = 120) -> dict[str, History]:
    """Reads succeed for an hour, and then fail."""
    failures = stairs(every, until - 60)
    after = clock(until, 200 - until)
    return {
        f"{UP} account={account}": hold(1, 60) + hold(0, until - 60) + hold(1, 200 - until),
        f"{SUMMARY_READ} account={account}": clock(0, 60) + hold(59 * 60, until - 60) + after,
        requests(account, outcome): hold(0, 60) + failures + hold(len(failures), 200 - until),
    }


def several(names: Sequence[str], outcome: str = "unavailable", every: float = 1) -> dict[str, History]:
    return {series: history for name in names for series, history in fails(name, outcome, every).items()}


def cases() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterAllAccountsFailing", sentence, series, firing, by="cause")

    def without(series: dict[str, History], name: str) -> dict[str, History]:
        return {one: history for one, history in series.items() if not one.startswith(name)}

    ten = [f"a{number}" for number in range(10)]
    unavailable = ["unavailable"]
    both_blocked = {
        f"{BLOCKED} account={name}": gap(60) + hold((60 + minutes) * 60, 60) for name, minutes in (("a", 20), ("b", 20))
    }
    partial = {requests(name, "unavailable"): hold(0, 60) + hold(1, 60) for name in ("a", "b")}
    restarted = {
        **{f"{UP} account={name}": hold(0, 60) for name in ("a", "b")},
        **{requests(name, "unavailable"): hold(0, 2) + stairs(1, 58) for name in ("a", "b")},
        STARTED: hold(0, 60),
        BUILD: hold(1, 60),
    }
    return [
        case(
            "two accounts that fail are one alert, before a list is stale",
            {**fails("a"), **fails("b")},
            {59: [], 63: [], 64: unavailable, 110: unavailable},
        ),
        case(
            "it ends five minutes after the first account is read again",
            {**fails("a", until=80), **fails("b")},
            {79: unavailable, 83: unavailable, 86: [], 110: []},
        ),
        case("one account has nothing to share", fails("a"), {64: [], 110: []}),
        case("an account that is read at each interval ends it", {**several(ten[:9]), **works("b")}, {64: [], 110: []}),
        case("nine of ten accounts are enough", {**several(ten[:9]), **waits("b")}, {64: unavailable}),
        case(
            "eight of ten accounts are not enough",
            {**several(ten[:8]), **waits("b"), **waits("c")},
            {64: [], 110: []},
        ),
        case(
            "half of the accounts are not enough",
            {**fails("a"), **fails("b"), **waits("c"), **waits("d")},
            {64: [], 110: []},
        ),
        case("different causes are not shared", {**fails("a"), **fails("b", "refused", every=5)}, {64: [], 110: []}),
        case(
            "accounts of another job do not matter",
            {**fails("a"), **fails("b"), f"{UP} account=c job=other": hold(1, 120)},
            {64: unavailable},
        ),
        case(
            "an account that a second exporter reads does not fail",
            {
                **fails("a"),
                **fails("b"),
                # With a long interval, so the newest list is old.
                f"{UP} account=b instance=b:10069": hold(1, 120),
                f"{SUMMARY_READ} account=b instance=b:10069": hold(59 * 60, 120),
            },
            {64: [], 110: []},
        ),
        case(
            "two exporters that fail for two accounts count each account once",
            {
                **fails("a"),
                **{f"{one} instance=b:10069": history for one, history in fails("a").items()},
            },
            {64: [], 110: []},
        ),
        case(
            "two exporters that fail for the same two accounts fire one alert",
            {
                series + other: history
                for series, history in several(["a", "b"]).items()
                for other in ("", " instance=b:10069")
            },
            {63: [], 64: unavailable},
        ),
        case(
            "a failure before a list that was read is over",
            {**waits("a"), **waits("b"), **{requests(name, "timeout"): hold(0, 59) + hold(1, 61) for name in "ab"}},
            {64: []},
        ),
        case(
            "refused credentials of all accounts are one alert, although they are tried every five minutes",
            several(["a", "b"], "refused", every=5),
            {63: [], 64: ["credentials"], 65: ["credentials"], 110: ["credentials"]},
        ),
        case(
            "malformed and refused credentials are the same cause",
            {**fails("a", "credentials"), **fails("b", "refused")},
            {64: ["credentials"]},
        ),
        case(
            "refused credentials explain an answer that is missing too",
            {
                **fails("a", "refused"),
                **fails("b", "refused"),
                **{requests(name, "timeout"): hold(0, 60) + stairs(1, 60) for name in ("a", "b")},
            },
            {64: ["credentials"]},
        ),
        case(
            "a missing permission of all accounts is one alert",
            {**fails("a", "forbidden"), **fails("b", "not_entitled")},
            {64: ["permission"]},
        ),
        case(
            "no answer in time is the same cause as an error of the server",
            {**fails("a", "timeout"), **fails("b")},
            {64: unavailable},
        ),
        case(
            "answers that cannot be read are one alert",
            {**fails("a", "shape"), **fails("b", "invalid"), **fails("c", "not_found")},
            {64: ["answer"]},
        ),
        case("one block by the rate limit is quiet", several(["a", "b"], "limited"), {64: [], 65: []}),
        case("a block of more than six minutes fires", several(["a", "b"], "limited"), {65: [], 66: ["rate_limit"]}),
        case(
            "accounts that are blocked send no request, and share the cause",
            {**without(several(["a", "b"]), "zt_risk"), **both_blocked},
            {65: [], 66: ["rate_limit"], 79: ["rate_limit"], 86: []},
        ),
        case(
            "failures of long ago are no cause",
            {**without(several(["a", "b"]), "zt_risk"), **partial},
            {64: unavailable, 73: []},
        ),
        case(
            "lists that are incomplete have no cause here",
            without(several(["a", "b"]), "zt_risk"),
            {64: [], 110: []},
        ),
        case("after a start without any list it fires after four minutes", restarted, {4: [], 5: unavailable}),
        case(
            "an exporter that is not scraped does not fire",
            {one: history[:1] + gap(140) for one, history in several(["a", "b"]).items()},
            {64: [], 110: []},
        ),
    ]


def inhibited_cases() -> list[tuple[str, Case]]:
    """For each alert that another one inhibits: the other's name, and a case in which it is quiet in Grafana."""
    shared = "ZtRiskExporterAllAccountsFailing"

    def outage(outcome: str, every: float = 1) -> dict[str, History]:
        return several(["acme", "b"], outcome, every)

    def quiet(source: str, alert: str, series: dict[str, History]) -> tuple[str, Case]:
        return source, Case(alert, f"quiet while {source} fires", series, {90: [], 110: []})

    stale = hold(59 * 60, 120)
    summary = {SUMMARY_READ: clock(0, 60) + stale, SUMMARY_INTERVAL: hold(30, 120), STARTED: hold(0, 120)}
    behaviors = {BEHAVIORS_READ: clock(0, 60) + stale, BEHAVIORS_INTERVAL: hold(300, 120), STARTED: hold(0, 120)}
    pending = {PENDING: hold(0, 120)}
    refused = {of_acme("summary", "refused"): hold(0, 59) + stairs(2, 60), of_acme("summary", "ok"): hold(60, 120)}
    forbidden = {of_acme("behaviors", "forbidden"): hold(0, 60) + stairs(5, 60)}
    limited = {of_acme("summary", "limited"): hold(0, 59) + stairs(5, 60)}
    fields = "zt_risk_exporter_unexpected_fields_total resource=user field=date"
    rejected = {"zt_risk_exporter_rejected_rows_total resource=user": hold(0, 60) + stairs(5, 60)}
    unusual = Case(
        "ZeroTrustHighRiskUsersUnusual",
        "quiet while ZeroTrustHighRiskUsersRising fires",
        {HIGH: hold(20, 4 * DAY) + hold(40, 2 * HOUR)},
        {4 * DAY + 30: [], 4 * DAY + 50: []},
        step=5,
    )
    return [
        quiet(shared, "ZtRiskExporterUserListStale", {**summary, **outage("unavailable")}),
        quiet(shared, "ZtRiskExporterSettingsStale", {**behaviors, **outage("unavailable")}),
        quiet(shared, "ZtRiskExporterTokenRefused", outage("refused", 2)),
        quiet(shared, "ZtRiskExporterPermissionMissing", outage("forbidden")),
        quiet(shared, "ZtRiskExporterRateLimited", outage("limited")),
        quiet(shared, "ZtRiskExporterUsersPending", {**pending, **outage("unavailable")}),
        quiet("ZtRiskExporterTokenRefused", "ZtRiskExporterUserListStale", {**summary, **refused}),
        quiet("ZtRiskExporterTokenRefused", "ZtRiskExporterSettingsStale", {**behaviors, **refused}),
        quiet("ZtRiskExporterTokenRefused", "ZtRiskExporterUsersPending", {**pending, **refused}),
        quiet("ZtRiskExporterPermissionMissing", "ZtRiskExporterSettingsStale", {**behaviors, **forbidden}),
        quiet("ZtRiskExporterRateLimited", "ZtRiskExporterSettingsStale", {**behaviors, **limited}),
        quiet("ZtRiskExporterRateLimited", "ZtRiskExporterUsersPending", {**pending, **limited}),
        quiet("ZtRiskExporterRowsRejected", "ZtRiskExporterUnexpectedFields", {fields: stairs(5, 120), **rejected}),
        ("ZeroTrustHighRiskUsersRising", unusual),
    ]
