"""Cases for the alerts about the exporter."""

from history import DAY, HOUR, Case, History, climb, clock, gap, hold, stairs

UP = "up account="
SUMMARY_READ = "cloudflare_zt_risk_last_success_timestamp_seconds resource=summary"
SUMMARY_INTERVAL = "zt_risk_exporter_poll_interval_seconds resource=summary"
BEHAVIORS_READ = "cloudflare_zt_risk_last_success_timestamp_seconds resource=behaviors"
BEHAVIORS_INTERVAL = "zt_risk_exporter_poll_interval_seconds resource=behaviors"
STARTED = "process_start_time_seconds account="
PENDING = "cloudflare_zt_risk_oldest_pending_timestamp_seconds"
EXPIRY = "zt_risk_exporter_token_expiry_timestamp_seconds"
BLOCKED = "zt_risk_exporter_blocked_until_timestamp_seconds"
DURABLE = "zt_risk_exporter_state_durable account="
FAILED = "zt_risk_exporter_state_commits_total account= result=failed"
COMMITTED = "zt_risk_exporter_state_commits_total account= result=ok"
DAMAGED = "zt_risk_exporter_state_recoveries_total account= result=damaged"
RELOADED = "zt_risk_exporter_config_last_reload_successful account="
BASELINE = "zt_risk_exporter_baseline_readable"
DROPPED = "zt_risk_exporter_log_lines_dropped_total account="
CLOSED = "zt_risk_exporter_web_connections_closed_total account= reason="
CERTIFICATE = "zt_risk_exporter_web_certificate_not_after_timestamp_seconds account="
RESTORED = "zt_risk_exporter_state_recoveries_total account= result=restored"


def requests(resource: str, outcome: str) -> str:
    return f"zt_risk_exporter_requests_total resource={resource} outcome={outcome}"


def cases() -> list[Case]:
    return [
        *down(),
        *stale(),
        *credentials(),
        *limits(),
        *lost(),
        *connections_closed(),
        *certificate(),
        *feed_delayed(),
        *reload_failed(),
        *baseline(),
        *token_files(),
        *discovery(),
        *state(),
    ]


def down() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterDown", sentence, series, firing, by="instance")

    other = "up account= instance=b:10069"
    return [
        case(
            "an exporter that is down fires, another one that is up does not",
            {UP: hold(1, 60) + hold(0, 60), other: hold(1, 120)},
            {64: [], 70: ["a:10069"], 110: ["a:10069"]},
        ),
        case("an exporter that is up does not fire", {UP: hold(1, 60)}, {2: [], 50: []}),
        case("a job without targets fires", {"up job=other": hold(1, 60)}, {4: [], 6: ["-"]}),
        case("a target that disappears fires", {UP: hold(1, 60) + gap(60)}, {62: [], 75: ["-"]}),
        case(
            "an exporter that answers every third scrape fires", {UP: (hold(1, 1) + hold(0, 2)) * 20}, {30: ["a:10069"]}
        ),
        case(
            "an exporter that misses every third scrape does not fire", {UP: (hold(1, 2) + hold(0, 1)) * 20}, {30: []}
        ),
        case(
            "a restart of two minutes is quiet", {UP: hold(1, 60) + hold(0, 2) + hold(1, 60)}, {61: [], 66: [], 70: []}
        ),
        case(
            "a slow update of six minutes is quiet",
            {UP: hold(1, 60) + hold(0, 6) + hold(1, 60)},
            {66: [], 70: []},
        ),
        case("a first scrape that fails is quiet", {UP: hold(0, 1) + hold(1, 60)}, {0: [], 5: [], 8: []}),
        case(
            "a gap of three minutes in Prometheus itself is quiet",
            {UP: hold(1, 60) + gap(3) + hold(1, 60)},
            {62: [], 64: [], 70: []},
        ),
    ]


def stale() -> list[Case]:
    def users(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterUserListStale", sentence, series, firing)

    def settings(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterSettingsStale", sentence, series, firing, by="account resource")

    stops = clock(0, 60) + hold(59 * 60, 60)
    half = {SUMMARY_INTERVAL: hold(30, 120), STARTED: hold(0, 120)}
    behaviors = {BEHAVIORS_INTERVAL: hold(300, 120), STARTED: hold(0, 120)}
    return [
        users("a list that is read every minute is quiet", {SUMMARY_READ: clock(0, 120), **half}, {5: [], 100: []}),
        users(
            "five minutes without a read fire two minutes later",
            {SUMMARY_READ: stops, **half},
            {66: [], 67: ["acme"], 110: ["acme"]},
        ),
        users(
            "a successful read ends the alert", {SUMMARY_READ: stops + clock(120, 20), **half}, {115: ["acme"], 121: []}
        ),
        users(
            "a list that is read every 200 s may be ten minutes old",
            {SUMMARY_READ: stops, SUMMARY_INTERVAL: hold(200, 120), STARTED: hold(0, 120)},
            {68: [], 70: [], 72: ["acme"]},
        ),
        users(
            "a missing interval does not suppress the alert",
            {SUMMARY_READ: stops, STARTED: hold(0, 120)},
            {66: [], 68: ["acme"]},
        ),
        users(
            "a block of six minutes is quiet",
            {SUMMARY_READ: clock(0, 60) + hold(59 * 60, 6) + clock(66, 20), **half},
            {65: [], 66: [], 67: []},
        ),
        users("a list that was never read fires ten minutes after the start", half, {9: [], 11: [], 13: ["acme"]}),
        users(
            "a missing start time does not suppress the alert", {SUMMARY_INTERVAL: hold(30, 120)}, {1: [], 3: ["acme"]}
        ),
        users(
            "a restart is quiet until ten minutes after it",
            {
                SUMMARY_READ: clock(0, 60) + gap(8) + clock(68, 30),
                SUMMARY_INTERVAL: hold(30, 60) + gap(1) + hold(30, 60),
                STARTED: hold(0, 60) + gap(1) + hold(3600, 60),
            },
            {63: [], 67: [], 72: []},
        ),
        users(
            "an exporter that is not scraped does not fire, because another alert covers it",
            {
                SUMMARY_READ: clock(0, 60) + gap(60),
                SUMMARY_INTERVAL: hold(30, 60) + gap(60),
                STARTED: hold(0, 60) + gap(60),
            },
            {70: [], 110: []},
        ),
        users("behaviors do not fire this alert", {BEHAVIORS_READ: stops, **behaviors}, {100: []}),
        settings(
            "behaviors may be fifteen minutes old",
            {BEHAVIORS_READ: stops, **behaviors},
            {50: [], 74: [], 76: [], 77: ["acme behaviors"]},
        ),
        settings(
            "with polls every minute, five minutes without a read fire",
            {BEHAVIORS_READ: stops, BEHAVIORS_INTERVAL: hold(60, 120), STARTED: hold(0, 120)},
            {66: [], 67: ["acme behaviors"]},
        ),
        settings(
            "behaviors that were never read fire ten minutes after the start",
            behaviors,
            {9: [], 11: [], 13: ["acme behaviors"]},
        ),
        settings("the list of users does not fire this alert", {SUMMARY_READ: stops, **half}, {100: []}),
        settings(
            "a restart is quiet",
            {
                BEHAVIORS_READ: clock(0, 60) + gap(8) + clock(68, 30),
                BEHAVIORS_INTERVAL: hold(300, 60) + gap(1) + hold(300, 60),
                STARTED: hold(0, 60) + gap(1) + hold(3600, 60),
            },
            {63: [], 67: [], 72: []},
        ),
    ]


def credentials() -> list[Case]:
    def refused(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterTokenRefused", sentence, series, firing)

    def expiring(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterTokenExpiring", sentence, series, firing)

    def missing(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterPermissionMissing", sentence, series, firing, by="account resource")

    ok, bad = requests("summary", "ok"), requests("summary", "refused")
    works = climb(0, 60, 60)
    read, closed = requests("behaviors", "ok"), requests("behaviors", "forbidden")
    answers = stairs(5, 60)
    forbidden = ["acme behaviors"]
    return [
        refused(
            "a refused token fires with the second refusal",
            {ok: works + hold(60, 60), bad: hold(0, 60) + stairs(5, 60)},
            {64: [], 70: ["acme"], 110: ["acme"]},
        ),
        refused(
            "a malformed token fires too",
            {ok: works + hold(60, 60), requests("summary", "credentials"): hold(0, 60) + stairs(5, 60)},
            {64: [], 70: ["acme"]},
        ),
        refused(
            "one refusal is quiet",
            {ok: works + hold(60, 5) + climb(60, 120, 60), bad: hold(0, 60) + hold(1, 65)},
            {64: [], 66: [], 70: []},
        ),
        refused(
            "one refusal and then no request is quiet in the end",
            {ok: works + hold(60, 60), bad: hold(0, 60) + hold(1, 60)},
            {80: []},
        ),
        refused(
            "a refusal in each hour is quiet",
            {ok: works + hold(60, 1) + climb(60, 120, 60), bad: stairs(60, 120)},
            {62: [], 66: []},
        ),
        refused(
            "a new token ends the alert",
            {ok: works + hold(60, 30) + climb(60, 90, 30), bad: hold(0, 60) + stairs(5, 30) + hold(6, 30)},
            {85: ["acme"], 93: []},
        ),
        refused(
            "a refusal in every second round fires all the time",
            {ok: works + hold(60, 60), bad: hold(0, 60) + stairs(10, 60)},
            {75: ["acme"], 79: ["acme"], 89: ["acme"]},
        ),
        refused(
            "an outage with a token that may not be verified is quiet",
            {ok: works + hold(60, 60), requests("token_verify", "refused"): stairs(5, 120)},
            {75: []},
        ),
        refused(
            "a token that may not be verified is quiet",
            {ok: climb(0, 120, 120), requests("token_verify", "refused"): stairs(5, 120)},
            {30: [], 110: []},
        ),
        refused(
            "a successful verification does not hide a refusal",
            {requests("token_verify", "ok"): climb(0, 120, 120), bad: stairs(5, 120)},
            {30: ["acme"]},
        ),
        refused(
            "in the first minutes of an installation the second refusal fires",
            {ok: hold(0, 60), bad: stairs(5, 60)},
            {3: [], 8: ["acme"]},
        ),
        refused("missing successes do not suppress the alert", {bad: stairs(5, 60)}, {3: [], 8: ["acme"]}),
        refused(
            "a restart is quiet",
            {ok: works + gap(2) + climb(0, 30, 30), bad: hold(7, 60) + gap(2) + hold(0, 30)},
            {61: [], 63: [], 70: []},
        ),
        expiring(
            "a token fires fourteen days before it expires",
            {EXPIRY: hold(14 * 86400 + 3600, 120)},
            {58: [], 62: ["acme"]},
        ),
        expiring("a token that never expires is quiet", {requests("token_verify", "ok"): hold(1, 60)}, {30: []}),
        expiring(
            "a new token ends the alert after a restart",
            {EXPIRY: hold(86400, 60) + gap(2) + hold(90 * 86400, 60)},
            {1: ["acme"], 50: ["acme"], 61: [], 70: []},
        ),
        missing(
            "a resource that the token may not read fires after 15 minutes and five more",
            {read: answers + hold(12, 60), closed: hold(0, 60) + stairs(5, 60)},
            {69: [], 73: [], 76: forbidden, 110: forbidden},
        ),
        missing(
            "an account without user risk scoring fires too",
            {requests("behaviors", "not_entitled"): stairs(5, 60), read: hold(0, 60)},
            {8: [], 12: forbidden},
        ),
        missing(
            "one refusal between successful answers is quiet",
            {read: answers + hold(12, 5) + stairs(5, 60, start=12), closed: hold(0, 60) + hold(1, 65)},
            {62: [], 75: [], 82: []},
        ),
        missing(
            "three refusals in a row are quiet",
            {read: answers + hold(12, 15) + stairs(5, 45, start=12), closed: hold(0, 60) + stairs(5, 15) + hold(3, 45)},
            {70: [], 76: [], 82: []},
        ),
        missing("a user who was deleted is quiet", {requests("user", "not_found"): stairs(5, 60)}, {30: []}),
        missing(
            "a token that may not be verified is quiet",
            {requests("token_verify", "forbidden"): stairs(5, 60)},
            {30: []},
        ),
        missing(
            "a missing permission fires in the first minutes of an installation too",
            {closed: stairs(5, 60), read: hold(0, 60)},
            {8: [], 12: forbidden},
        ),
        missing(
            "an added permission ends the alert after a restart",
            {closed: stairs(5, 60) + gap(2) + hold(0, 30), read: hold(0, 60) + gap(2) + hold(0, 5) + stairs(5, 25)},
            {55: forbidden, 70: []},
        ),
    ]


def limits() -> list[Case]:
    def limited(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterRateLimited", sentence, series, firing)

    def pending(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterUsersPending", sentence, series, firing)

    hits = requests("summary", "limited")
    return [
        limited(
            "a second block within a quarter of an hour fires",
            {hits: hold(0, 60) + hold(1, 10) + hold(2, 60)},
            {70: [], 75: [], 77: ["acme"], 100: []},
        ),
        limited("one block is quiet", {hits: hold(0, 60) + hold(1, 60)}, {62: [], 74: [], 80: []}),
        limited(
            "blocks twenty minutes apart are quiet",
            {hits: hold(0, 60) + hold(1, 20) + hold(2, 20) + hold(3, 20)},
            {75: [], 95: [], 110: []},
        ),
        limited("a block of an hour fires", {hits: hold(1, 60), BLOCKED: hold(3600, 60)}, {15: [], 17: ["acme"]}),
        limited("a block that is over is quiet", {BLOCKED: hold(300, 60)}, {10: [], 30: []}),
        limited("a restart is quiet", {hits: hold(5, 60) + gap(2) + hold(0, 60)}, {63: [], 80: []}),
        limited("a counter that is always 0 is quiet in the first hour", {hits: hold(0, 60)}, {30: []}),
        limited(
            "a gap between two blocks does not hide them",
            {hits: hold(0, 60) + hold(1, 4) + gap(3) + hold(2, 8) + hold(3, 30)},
            {80: ["acme"]},
        ),
        pending(
            "an hour and five minutes fire until the events are read",
            {PENDING: hold(0, 75) + gap(30)},
            {60: [], 64: [], 67: ["acme"], 80: []},
        ),
        pending("users who follow one another in the queue are quiet", {PENDING: clock(0, 120)}, {100: []}),
        pending("no pending users are quiet", {"cloudflare_zt_risk_pending_users": hold(0, 120)}, {100: []}),
        pending(
            "a restart resets the pending time", {PENDING: hold(0, 50) + gap(5) + hold(55 * 60, 50)}, {80: [], 100: []}
        ),
        pending(
            "a gap in the scrapes ends the alert, and after the gap it fires again",
            {PENDING: hold(0, 75) + gap(10) + hold(0, 60)},
            {80: [], 95: ["acme"]},
        ),
    ]


def lost() -> list[Case]:
    """The alerts that fire for an hour after their counter rose."""
    kinds = [
        (
            "ZtRiskExporterRowsRejected",
            "zt_risk_exporter_rejected_rows_total resource=summary",
            "account resource",
            "acme summary",
        ),
        (
            "ZtRiskExporterUnexpectedFields",
            "zt_risk_exporter_unexpected_fields_total resource=summary field=last_event",
            "account resource field",
            "acme summary last_event",
        ),
        (
            "ZtRiskExporterEventsUnattributed",
            "cloudflare_zt_risk_events_unattributed_total reason=late",
            "account reason",
            "acme late",
        ),
        ("ZtRiskExporterUsersSkipped", "cloudflare_zt_risk_departed_users_skipped_total", "account", "acme"),
        ("ZtRiskExporterLogLinesDropped", DROPPED, "instance", "a:10069"),
        (
            "ZtRiskExporterFeedRecordsDropped",
            "zt_risk_exporter_feed_records_dropped_total sink=file reason=buffer_full",
            "instance sink reason",
            "a:10069 file buffer_full",
        ),
    ]
    fields = "zt_risk_exporter_unexpected_fields_total resource=summary field"
    quiet = Case(
        "ZtRiskExporterUnexpectedFields",
        "names, e-mail addresses and the levels of users are quiet",
        {f"{fields}={field}": hold(0, 60) + hold(1, 60) for field in ("name", "email", "max_risk_level")},
        {61: [], 100: []},
        by="account resource field",
    )
    return [*(case for kind in kinds for case in lost_of(*kind)), quiet]


def lost_of(alert: str, series: str, by: str, firing_labels: str) -> list[Case]:
    who = [firing_labels]

    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case(alert, sentence, series, firing, by=by)

    found = [
        case("one fires for an hour", {series: hold(0, 60) + hold(1, 120)}, {59: [], 61: who, 115: who, 122: []}),
        case("none is quiet", {series: hold(0, 120)}, {30: [], 100: []}),
        case("old ones are quiet in the first hour of an installation", {series: hold(5, 60)}, {1: [], 30: []}),
        case(
            "a restart at 0 is quiet, and the next one fires",
            {series: hold(5, 90) + gap(2) + hold(0, 30) + hold(1, 30)},
            {95: [], 115: [], 125: who},
        ),
        case(
            "a restart that continues the counter is quiet",
            {series: hold(5, 90) + gap(2) + hold(5, 60)},
            {95: [], 140: []},
        ),
        case(
            "a pod with another name that continues the counter is quiet",
            {series: hold(5, 90), f"{series} instance=b:10069": gap(91) + hold(5, 60)},
            {95: [], 140: []},
        ),
        case("one during a gap fires after the gap", {series: hold(3, 30) + gap(20) + hold(4, 30)}, {40: [], 52: who}),
    ]
    if "instance" not in by:
        second = f"{series} instance=b:10069"
        both = hold(0, 60) + hold(1, 60)
        found.append(case("two exporters of one account fire one alert", {series: both, second: both}, {90: who}))
    return found


def certificate() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterCertificateExpiring", sentence, series, firing, by="instance")

    return [
        case(
            "a certificate fires fourteen days before it ends",
            {CERTIFICATE: hold(14 * 86400 + 3600, 120)},
            {58: [], 62: ["a:10069"]},
        ),
        case("a certificate that has ended fires", {CERTIFICATE: hold(-86400, 60)}, {1: ["a:10069"], 50: ["a:10069"]}),
        case("a certificate that ends in fifteen days is quiet", {CERTIFICATE: hold(15 * 86400, 60)}, {1: [], 50: []}),
        case(
            "a new certificate ends the alert",
            {CERTIFICATE: hold(86400, 60) + hold(90 * 86400, 60)},
            {50: ["a:10069"], 61: [], 100: []},
        ),
    ]


def feed_delayed() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterFeedDelayed", sentence, series, firing, by="sink")

    oldest = "zt_risk_exporter_feed_oldest_pending_timestamp_seconds sink=file"
    return [
        case(
            "twelve minutes fire until the record is written",
            {oldest: hold(0, 30) + gap(30)},
            {9: [], 11: [], 13: ["file"], 25: ["file"], 40: []},
        ),
        case("records that follow one another are quiet", {oldest: clock(0, 120)}, {100: []}),
        case(
            "no pending records are quiet", {"zt_risk_exporter_feed_pending_records sink=file": hold(0, 60)}, {50: []}
        ),
    ]


def connections_closed() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterConnectionsClosed", sentence, series, firing, by="instance reason")

    limit = f"{CLOSED}peer_limit"
    who = ["a:10069 peer_limit"]
    fires = [
        case(
            f"ten for {reason} fire for a quarter of an hour",
            {f"{CLOSED}{reason}": hold(0, 60) + hold(10, 60)},
            {59: [], 61: [f"a:10069 {reason}"], 73: [f"a:10069 {reason}"], 77: []},
        )
        for reason in ("accept_failed", "connection_limit", "peer_limit", "slow_reader", "unsent_bytes")
    ]
    quiet = [
        case(
            f"any number for {reason} is quiet",
            {f"{CLOSED}{reason}": hold(0, 60) + hold(1000, 60)},
            {61: [], 70: []},
        )
        for reason in ("idle", "no_request")
    ]
    return [
        *fires,
        *quiet,
        case("nine are quiet", {limit: hold(0, 60) + hold(9, 60)}, {61: [], 70: []}),
        case("one in a minute fires", {limit: stairs(1, 60)}, {30: who}),
        case("one in two minutes is quiet", {limit: stairs(2, 60)}, {30: [], 50: []}),
        case("a restart is quiet", {limit: hold(50, 60) + gap(2) + hold(0, 60)}, {63: [], 70: []}),
    ]


def baseline() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterBaselineUnreadable", sentence, series, firing, by="instance")

    who = ["a:10069"]
    broken = hold(1, 30) + hold(0, 30) + hold(1, 30)
    return [
        case(
            "a baseline of two accounts that cannot be used fires one alert after five minutes until it is corrected",
            {f"{BASELINE} account=acme": broken, f"{BASELINE} account=branch": broken},
            {29: [], 34: [], 35: who, 59: who, 61: []},
        ),
        case(
            "the baseline of one account fires too",
            {f"{BASELINE} account=acme": hold(1, 60), f"{BASELINE} account=branch": hold(0, 60)},
            {10: who},
        ),
        case("baselines that can be used are quiet", {f"{BASELINE} account=acme": hold(1, 60)}, {1: [], 50: []}),
        case(
            "an error that is corrected within four minutes is quiet",
            {BASELINE: hold(1, 30) + hold(0, 4) + hold(1, 30)},
            {36: []},
        ),
    ]


def reload_failed() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterReloadFailed", sentence, series, firing, by="instance")

    who = ["a:10069"]
    return [
        case(
            "a failed reload fires after five minutes until the next one succeeds",
            {RELOADED: hold(1, 60) + hold(0, 60) + hold(1, 30)},
            {59: [], 64: [], 65: who, 119: who, 121: []},
        ),
        case("a configuration that is in use is quiet", {RELOADED: hold(1, 120)}, {1: [], 100: []}),
        case(
            "an error that is corrected within four minutes is quiet",
            {RELOADED: hold(1, 60) + hold(0, 4) + hold(1, 30)},
            {66: []},
        ),
        case(
            "a restart with the corrected file ends the alert",
            {RELOADED: hold(0, 30) + gap(2) + hold(1, 30)},
            {25: who, 31: [], 40: []},
        ),
        case(
            "a gap ends the alert, and after the gap it fires again",
            {RELOADED: hold(0, 30) + gap(10) + hold(0, 30)},
            {35: [], 43: [], 46: who},
        ),
        case(
            "only the exporter that failed fires",
            {RELOADED: hold(0, 60), f"{RELOADED} instance=b:10069": hold(1, 60)},
            {30: who},
        ),
    ]


def token_files() -> list[Case]:
    def files(result: str, instance: str = "a:10069") -> str:
        return f"zt_risk_exporter_token_files account= instance={instance} result={result}"

    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterTokenFiles", sentence, series, firing, by="job")

    who = ["zt-risk-exporter"]
    return [
        case(
            "a file that cannot be used fires after five minutes until it can",
            {files("used"): hold(40, 120), files("unusable"): hold(0, 30) + hold(1, 60) + hold(0, 30)},
            {29: [], 34: [], 36: who, 89: who, 91: []},
        ),
        case(
            "files with other problems fire too, once for all shards",
            {
                files("used"): hold(40, 60),
                files("bad_name"): hold(1, 60),
                files("used", "b:10069"): hold(40, 60),
                files("bad_name", "b:10069"): hold(1, 60),
            },
            {30: who},
        ),
        case("a directory without files fires", {files("used"): hold(0, 60)}, {30: who}),
        case(
            "one shard of two without files fires",
            {files("used"): hold(40, 60), files("used", "b:10069"): hold(0, 60)},
            {30: who},
        ),
        case("files that are used are quiet", {files("used"): hold(40, 60), files("unusable"): hold(0, 60)}, {30: []}),
    ]


def discovery() -> list[Case]:
    def readings(outcome: str, token_file: str = "token") -> str:
        return f"zt_risk_exporter_discovery_readings_total account= token_file={token_file} outcome={outcome}"

    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterDiscoveryFailing", sentence, series, firing, by="token_file")

    return [
        case(
            "lists that fail fire after twenty minutes until one is read",
            {
                readings("ok"): stairs(10, 60) + hold(6, 60) + stairs(10, 60, 6),
                readings("empty"): hold(0, 60) + stairs(1, 60) + hold(60, 60),
            },
            {59: [], 64: [], 85: ["token"], 119: ["token"], 125: []},
        ),
        case(
            "a list that fails now and then is quiet",
            {readings("ok"): stairs(10, 120), readings("unavailable"): stairs(20, 120)},
            {60: [], 100: []},
        ),
        case(
            "only the token that fails fires",
            {
                readings("ok"): stairs(10, 60),
                readings("ok", "other"): hold(0, 60),
                readings("refused", "other"): stairs(1, 60),
            },
            {50: ["other"]},
        ),
    ]


def state() -> list[Case]:
    def durable(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterStateNotDurable", sentence, series, firing, by="instance")

    def failed(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZtRiskExporterStateCommitFailed", sentence, series, firing, by="instance")

    def damaged(sentence: str, series: dict[str, History], firing: dict[float, list[str]], step: float = 1) -> Case:
        return Case("ZtRiskExporterStateDamaged", sentence, series, firing, by="instance", step=step)

    who = ["a:10069"]
    return [
        durable(
            "counters in memory fire after a quarter of an hour", {DURABLE: hold(0, 60)}, {14: [], 15: who, 50: who}
        ),
        durable("counters on disk are quiet", {DURABLE: hold(1, 60)}, {30: []}),
        durable(
            "a restart with a state file ends the alert",
            {DURABLE: hold(0, 30) + gap(1) + hold(1, 30)},
            {25: who, 32: []},
        ),
        durable("an exporter that no longer exists is quiet", {DURABLE: hold(0, 30) + gap(30)}, {25: who, 40: []}),
        failed(
            "one failure fires for an hour",
            {FAILED: hold(0, 60) + hold(1, 120), COMMITTED: climb(0, 180, 180)},
            {59: [], 61: who, 115: who, 122: []},
        ),
        failed("successful commits are quiet", {FAILED: hold(0, 60), COMMITTED: climb(0, 60, 60)}, {30: []}),
        failed(
            "old failures are quiet, also after a restart",
            {FAILED: hold(5, 60) + gap(2) + hold(0, 60), COMMITTED: climb(0, 60, 122)},
            {50: [], 63: [], 100: []},
        ),
        failed("a failure in the first minutes fires", {FAILED: hold(0, 3) + hold(1, 30)}, {2: [], 5: who}),
        failed(
            "a failure during a gap fires after the gap",
            {FAILED: hold(0, 30) + gap(20) + hold(1, 30)},
            {40: [], 52: who},
        ),
        damaged(
            "a damaged state fires from the first scrape for a day",
            {DAMAGED: hold(1, 26 * HOUR), STARTED: hold(0, 26 * HOUR)},
            {0: who, 23 * HOUR: who, DAY + 10: []},
            step=5,
        ),
        damaged(
            "a restored state is quiet",
            {DAMAGED: hold(0, 60), RESTORED: hold(1, 60), STARTED: hold(0, 60)},
            {0: [], 50: []},
        ),
        damaged(
            "the next restart ends the alert",
            {DAMAGED: hold(1, 30) + gap(2) + hold(0, 30), STARTED: hold(0, 30) + gap(2) + hold(1920, 30)},
            {20: who, 31: [], 40: []},
        ),
        damaged("a missing start time does not suppress the alert", {DAMAGED: hold(1, 60)}, {0: who, 50: who}),
    ]
