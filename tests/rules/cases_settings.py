"""Cases for the alerts about settings at Cloudflare."""

from history import DAY, HOUR, Case, History, climb, clock, gap, hold

EVENTS = "cloudflare_zt_risk_events_total behavior=imp_travel risk_level=high"
ENABLED = "cloudflare_zt_risk_behavior_enabled behavior=imp_travel"
OTHER_ENABLED = "cloudflare_zt_risk_behavior_enabled behavior=high_dlp"
LEVEL = "cloudflare_zt_risk_behavior_risk_level behavior=imp_travel"
DRIFTED = "cloudflare_zt_risk_behavior_drifted behavior=imp_travel setting=enabled"
LEVEL_DRIFTED = "cloudflare_zt_risk_behavior_drifted behavior=imp_travel setting=risk_level"
MISSING = "cloudflare_zt_risk_behavior_drifted behavior=imp_travel setting=missing"
ACTIVE = "cloudflare_zt_risk_integration_active integration=4cfe8442 integration_type=Okta"
INTEGRATIONS_READ = "cloudflare_zt_risk_last_success_timestamp_seconds resource=integrations"


def on_instance(name: str, series: str) -> str:
    return f"{series} instance={name}:10069"


def cases() -> list[Case]:
    def disabled(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZeroTrustBehaviorDisabled", sentence, series, firing, by="account behavior", step=5)

    def level(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZeroTrustBehaviorLevelChanged", sentence, series, firing, by="account behavior", step=5)

    def drifted(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZeroTrustBehaviorDrifted", sentence, series, firing, by="account behavior", step=5)

    def silent(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        # Small steps, because an engine whose windows are open at their start sees one sample less.
        return Case("ZeroTrustBehaviorSilent", sentence, series, firing, by="account behavior", step=20)

    def inactive(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case(
            "ZeroTrustIntegrationInactive", sentence, series, firing, by="account integration integration_type", step=5
        )

    travel = ["acme imp_travel"]
    okta = ["acme 4cfe8442 Okta"]
    on_off = hold(1, 2 * HOUR) + hold(0, 26 * HOUR)
    busy = climb(0, 30, 7 * DAY)
    on = {ENABLED: hold(1, 14 * DAY)}
    return [
        disabled(
            "a disabled behavior fires after ten minutes for a day",
            {ENABLED: on_off, OTHER_ENABLED: hold(1, 28 * HOUR)},
            {2 * HOUR + 5: [], 2 * HOUR + 10: travel, 25 * HOUR: travel, 26 * HOUR + 5: []},
        ),
        disabled("a behavior that was never enabled is quiet", {ENABLED: hold(0, 5 * HOUR)}, {30: [], 4 * HOUR: []}),
        disabled(
            "a behavior that is missing from the list fires",
            {ENABLED: hold(1, 2 * HOUR), OTHER_ENABLED: hold(1, 28 * HOUR)},
            {2 * HOUR + 5: [], 2 * HOUR + 15: travel, 27 * HOUR: []},
        ),
        disabled(
            "a disabled behavior that is missing from the list is quiet",
            {ENABLED: hold(0, 2 * HOUR), OTHER_ENABLED: hold(1, 5 * HOUR)},
            {3 * HOUR: []},
        ),
        disabled(
            "a missing list of behaviors is quiet",
            {ENABLED: hold(1, 2 * HOUR) + gap(HOUR), OTHER_ENABLED: hold(1, 2 * HOUR) + gap(HOUR)},
            {2 * HOUR + 15: [], 2 * HOUR + 50: []},
        ),
        disabled(
            "enabling the behavior again ends the alert",
            {ENABLED: hold(1, 2 * HOUR) + hold(0, HOUR) + hold(1, HOUR)},
            {2 * HOUR + 30: travel, 3 * HOUR + 5: []},
        ),
        disabled(
            "a behavior that is disabled for five minutes is quiet",
            {ENABLED: hold(1, 2 * HOUR) + hold(0, 5) + hold(1, HOUR)},
            {2 * HOUR + 15: []},
        ),
        disabled(
            "a restart is quiet",
            {ENABLED: hold(1, 2 * HOUR) + gap(10) + hold(1, HOUR)},
            {2 * HOUR + 5: [], 3 * HOUR: []},
        ),
        disabled(
            "two exporters fire one alert, when the first sees the change",
            {ENABLED: on_off, on_instance("b", ENABLED): hold(1, 28 * HOUR)},
            {2 * HOUR + 15: travel},
        ),
        drifted(
            "a difference fires once after ten minutes, in however many settings, until it is gone",
            {
                DRIFTED: hold(0, HOUR) + hold(1, HOUR) + hold(0, HOUR),
                LEVEL_DRIFTED: hold(0, HOUR) + hold(1, HOUR) + hold(0, HOUR),
            },
            {HOUR + 5: [], HOUR + 10: travel, 2 * HOUR - 5: travel, 2 * HOUR + 5: []},
        ),
        drifted(
            "a difference that another one replaces fires on",
            {DRIFTED: hold(1, HOUR) + hold(0, HOUR), LEVEL_DRIFTED: hold(0, HOUR) + hold(1, HOUR)},
            {30: travel, HOUR + 5: travel, 2 * HOUR - 5: travel},
        ),
        drifted(
            "a behavior that no longer exists fires, although its settings are not known",
            {
                DRIFTED: hold(0, HOUR),
                MISSING: hold(0, HOUR) + hold(1, HOUR),
            },
            {HOUR + 5: [], HOUR + 15: travel},
        ),
        drifted("no difference is quiet", {DRIFTED: hold(0, 5 * HOUR)}, {30: [], 4 * HOUR: []}),
        drifted(
            "a difference of five minutes is quiet",
            {DRIFTED: hold(0, HOUR) + hold(1, 5) + hold(0, HOUR)},
            {HOUR + 5: [], HOUR + 15: []},
        ),
        drifted(
            "two exporters fire one alert",
            {DRIFTED: hold(1, HOUR), on_instance("b", DRIFTED): hold(1, HOUR)},
            {30: travel},
        ),
        level(
            "a changed level fires after ten minutes for a day",
            {LEVEL: hold(2, 2 * HOUR) + hold(3, 26 * HOUR)},
            {2 * HOUR + 5: [], 2 * HOUR + 10: travel, 25 * HOUR: travel, 26 * HOUR + 5: []},
        ),
        level("an unchanged level is quiet", {LEVEL: hold(2, 5 * HOUR)}, {30: [], 4 * HOUR: []}),
        level(
            "a level that is unknown for a while is quiet",
            {LEVEL: hold(2, 2 * HOUR) + hold(0, 30) + hold(2, 2 * HOUR)},
            {2 * HOUR + 20: [], 3 * HOUR: []},
        ),
        level(
            "a restart with another instance name is quiet",
            {LEVEL: hold(2, 2 * HOUR), on_instance("b", LEVEL): gap(2 * HOUR + 10) + hold(2, 2 * HOUR)},
            {2 * HOUR + 20: [], 3 * HOUR: []},
        ),
        level(
            "a change during a restart fires after the restart",
            {LEVEL: hold(2, 2 * HOUR), on_instance("b", LEVEL): gap(2 * HOUR + 10) + hold(3, 2 * HOUR)},
            {2 * HOUR + 25: travel},
        ),
        level(
            "a change during a gap fires after the gap",
            {LEVEL: hold(2, 2 * HOUR) + gap(3 * HOUR) + hold(1, HOUR)},
            {4 * HOUR: [], 5 * HOUR + 15: travel},
        ),
        silent(
            "three days without an event fire after a busy week",
            {EVENTS: busy + hold(30, 5 * DAY), **on},
            {10 * DAY + 90: [], 10 * DAY + 120: travel},
        ),
        silent("two and a half days are quiet", {EVENTS: busy + hold(30, 5 * DAY), **on}, {9 * DAY + 12 * HOUR: []}),
        silent(
            "after a week with sixteen events it is quiet",
            {EVENTS: climb(0, 16, 7 * DAY) + hold(16, 5 * DAY), **on},
            {10 * DAY + 3 * HOUR: []},
        ),
        silent(
            "events only before the reference week are quiet",
            {EVENTS: climb(0, 40, 4 * DAY) + hold(40, 9 * DAY), **on},
            {12 * DAY + 12 * HOUR: []},
        ),
        silent(
            "events only in the first days of the reference week fire",
            {EVENTS: climb(0, 60, 2 * DAY) + hold(60, 8 * DAY), **on},
            {8 * DAY: travel},
        ),
        silent(
            "one event ends the alert",
            {EVENTS: busy + hold(30, 4 * DAY) + hold(31, 2 * DAY), **on},
            {10 * DAY + 3 * HOUR: travel, 11 * DAY + HOUR: []},
        ),
        silent(
            "a disabled behavior without events is quiet",
            {EVENTS: busy + hold(30, 5 * DAY), ENABLED: hold(0, 14 * DAY)},
            {10 * DAY + 3 * HOUR: []},
        ),
        silent(
            "a gap of half a day in the scrapes is quiet",
            {EVENTS: busy + hold(30, DAY) + gap(12 * HOUR) + hold(30, 3 * DAY), **on},
            {10 * DAY + 3 * HOUR: []},
        ),
        silent(
            "a gap of two hours in the scrapes fires",
            {EVENTS: busy + hold(30, DAY) + gap(2 * HOUR) + hold(30, 3 * DAY), **on},
            {10 * DAY + 3 * HOUR: travel},
        ),
        silent(
            "a restart without a state file does not change the result",
            {EVENTS: busy + hold(30, DAY) + gap(30) + hold(0, 3 * DAY), **on},
            {10 * DAY + 3 * HOUR: travel},
        ),
        silent(
            "a pod with another name does not change the result",
            {EVENTS: busy + hold(30, DAY), on_instance("b", EVENTS): gap(8 * DAY) + hold(30, 3 * DAY), **on},
            {10 * DAY + 3 * HOUR: travel},
        ),
        silent(
            "the first days of an installation are quiet",
            {EVENTS: hold(0, 5 * DAY), **on},
            {HOUR: [], 4 * DAY: []},
        ),
        inactive(
            "an inactive integration fires after a quarter of an hour",
            {ACTIVE: hold(1, HOUR) + hold(0, HOUR)},
            {30: [], HOUR + 10: [], HOUR + 15: okta},
        ),
        inactive("an integration that is inactive from the start fires", {ACTIVE: hold(0, HOUR)}, {10: [], 30: okta}),
        inactive(
            "a deleted integration fires for a day",
            {ACTIVE: hold(1, HOUR), INTEGRATIONS_READ: clock(0, 27 * HOUR)},
            {HOUR + 10: [], HOUR + 20: okta, 24 * HOUR: okta, 25 * HOUR + 5: []},
        ),
        inactive(
            "deleting an inactive integration ends the alert",
            {ACTIVE: hold(0, HOUR), INTEGRATIONS_READ: clock(0, 27 * HOUR)},
            {50: okta, HOUR + 30: []},
        ),
        inactive(
            "an exporter that is down is quiet",
            {ACTIVE: hold(1, HOUR) + gap(HOUR), INTEGRATIONS_READ: clock(0, HOUR) + gap(HOUR)},
            {HOUR + 20: [], HOUR + 50: []},
        ),
        inactive(
            "a restart is quiet until the integrations were read",
            {
                ACTIVE: hold(1, HOUR) + gap(30) + hold(1, HOUR),
                INTEGRATIONS_READ: clock(0, HOUR) + gap(30) + clock(90, HOUR),
            },
            {HOUR + 25: [], 2 * HOUR: []},
        ),
        inactive("an account without integrations is quiet", {INTEGRATIONS_READ: clock(0, 2 * HOUR)}, {HOUR: []}),
    ]
