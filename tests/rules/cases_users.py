"""Cases for the alerts about users."""

from history import DAY, HOUR, Case, History, climb, gap, hold

HIGH = "cloudflare_zt_risk_users max_risk_level=high"
OTHER_HIGH = "cloudflare_zt_risk_users account=other max_risk_level=high"
SECOND_HIGH = "cloudflare_zt_risk_users instance=b:10069 max_risk_level=high"
EVENTS = "cloudflare_zt_risk_events_total behavior=imp_travel risk_level=high"
EVENTS_LOW = "cloudflare_zt_risk_events_total behavior=imp_travel risk_level=low"
HIT = "cloudflare_zt_risk_behavior_users_total behavior=imp_travel"
OLDEST = "cloudflare_zt_risk_oldest_user_timestamp_seconds max_risk_level=high"
UNKNOWN = "cloudflare_zt_risk_users max_risk_level=unknown"
RESETS = "cloudflare_zt_risk_resets_total"


def on_instance(name: str, series: str) -> str:
    return f"{series} instance={name}:10069"


def cases() -> list[Case]:
    return [*rising(), *unusual(), *campaign(), *unattended(), *unknown(), *mass_reset()]


def rising() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]], step: float = 1) -> Case:
        return Case("ZeroTrustHighRiskUsersRising", sentence, series, firing, step=step)

    return [
        case(
            "ten more than an hour ago fire after five minutes for an hour, and only in their account",
            {HIGH: hold(20, 120) + hold(30, 120), OTHER_HIGH: hold(20, 240)},
            {124: [], 126: ["acme"], 178: ["acme"], 182: []},
        ),
        case("nine more users are quiet", {HIGH: hold(20, 120) + hold(29, 60)}, {130: [], 170: []}),
        case(
            "nine more in an hour and nine in the next are quiet",
            {HIGH: hold(20, 60) + climb(20, 38, 120)},
            {110: [], 170: []},
        ),
        case(
            "with a thousand users at high risk, ten more are quiet and a fifth more fires",
            {HIGH: hold(1000, 120) + hold(1150, 30) + hold(1210, 30)},
            {140: [], 170: ["acme"]},
        ),
        case(
            "a rise that lasts less than five minutes is quiet",
            {HIGH: hold(20, 120) + hold(40, 4) + hold(20, 60)},
            {126: []},
        ),
        case(
            "in the first hour of an installation the first list is quiet, and a rise after it fires",
            {HIGH: gap(10) + hold(20, 20) + hold(32, 20)},
            {20: [], 28: [], 40: ["acme"]},
        ),
        case("a restart is quiet", {HIGH: hold(20, 120) + gap(5) + hold(20, 60)}, {122: [], 130: [], 180: []}),
        case(
            "a rise during a gap of eleven hours fires after the gap",
            {HIGH: hold(20, 2 * HOUR) + gap(11 * HOUR) + hold(35, 60)},
            {5 * HOUR: [], 13 * HOUR + 15: ["acme"]},
            step=5,
        ),
        case(
            "a rise during a gap of fifteen hours is quiet",
            {HIGH: hold(20, 2 * HOUR) + gap(15 * HOUR) + hold(35, 60)},
            {17 * HOUR + 15: []},
            step=5,
        ),
        case(
            "a pod with another name continues the series",
            {HIGH: hold(20, 120), SECOND_HIGH: gap(120) + hold(20, 30) + hold(31, 30)},
            {140: [], 160: ["acme"]},
        ),
        case(
            "six users that two exporters both see are quiet",
            {HIGH: hold(20, 120) + hold(26, 60), SECOND_HIGH: hold(20, 120) + hold(26, 60)},
            {140: []},
        ),
        case(
            "users at other levels are quiet",
            {HIGH: hold(20, 180), "cloudflare_zt_risk_users max_risk_level=medium": hold(20, 120) + hold(99, 60)},
            {140: []},
        ),
        case(
            "two exporters of one account fire one alert",
            {HIGH: hold(20, 120) + hold(32, 60), SECOND_HIGH: hold(20, 121) + hold(32, 59)},
            {140: ["acme"]},
        ),
    ]


def unusual() -> list[Case]:
    def case(sentence: str, history: History, firing: dict[float, list[str]], step: float = 30) -> Case:
        return Case("ZeroTrustHighRiskUsersUnusual", sentence, {HIGH: history}, firing, step=step)

    week = hold(10, 7 * DAY)
    lunch = hold(10, 12 * HOUR) + hold(80, 90) + hold(10, 12 * HOUR - 90)  # from noon on, and one more sample
    blip = hold(10, 12 * HOUR) + hold(60, 30) + hold(10, 12 * HOUR - 30)
    return [
        case(
            "60 % more fires after a quarter of an hour",
            week + hold(16, HOUR),
            {7 * DAY + 10: [], 7 * DAY + 20: ["acme"]},
            step=10,
        ),
        case("40 % more is quiet", hold(20, 7 * DAY) + hold(28, HOUR), {7 * DAY + 30: []}),
        case("four more are quiet if two are usual", hold(2, 7 * DAY) + hold(6, HOUR), {7 * DAY + 30: []}),
        case("five more fire if two are usual", hold(2, 7 * DAY) + hold(7, HOUR), {7 * DAY + 30: ["acme"]}),
        case(
            "a rise at the same hour every day is quiet, and at another hour it fires",
            lunch * 7 + hold(10, 6 * HOUR) + hold(40, 60) + hold(10, 5 * HOUR) + hold(80, 90),
            {7 * DAY + 6 * HOUR + 30: ["acme"], 7 * DAY + 12 * HOUR + 30: []},
        ),
        case(
            "short daily peaks do not make a peak of an hour usual",
            blip * 7 + hold(10, 12 * HOUR) + hold(60, HOUR),
            {7 * DAY + 12 * HOUR + 20: ["acme"]},
            step=10,
        ),
        case(
            "one bad day does not change the median",
            hold(10, 6 * DAY) + hold(99, DAY) + hold(16, HOUR),
            {7 * DAY + 30: ["acme"]},
        ),
        case("two days of history are quiet", hold(10, 2 * DAY) + hold(99, 2 * HOUR), {2 * DAY + 90: []}),
        case("four days of history fire", hold(10, 4 * DAY) + hold(99, 2 * HOUR), {4 * DAY + 30: ["acme"]}),
        case("a restart is quiet", week + gap(30) + hold(10, HOUR), {7 * DAY: [], 7 * DAY + 60: []}),
        case(
            "a day without data leaves enough history",
            hold(10, 3 * DAY) + gap(DAY) + hold(10, 3 * DAY) + hold(16, HOUR),
            {3 * DAY + HOUR: [], 7 * DAY + 30: ["acme"]},
        ),
        case("the first hour is quiet", hold(10, 30) + hold(99, 30), {50: []}),
    ]


def campaign() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZeroTrustRiskCampaign", sentence, series, firing, by="account behavior", step=5)

    hit = ["acme imp_travel"]
    day = 25 * HOUR
    calm = climb(0, 50, day)
    return [
        case(
            "twelve new users and many times the usual events fire within the hour, and stop an hour later",
            {
                EVENTS: calm + climb(50, 62, 30) + hold(62, 2 * HOUR),
                HIT: hold(9, day) + climb(9, 21, 30) + hold(21, 2 * HOUR),
            },
            {day: [], day + 35: hit, day + 100: []},
        ),
        case(
            "events of all levels count",
            {
                EVENTS: climb(0, 6 * 25, day) + climb(150, 157, HOUR),
                EVENTS_LOW: hold(0, day) + climb(0, 16, HOUR),
                HIT: hold(9, day) + climb(9, 21, HOUR),
            },
            {day + 55: hit},
        ),
        case(
            "eight new users are quiet",
            {EVENTS: calm + climb(50, 80, HOUR), HIT: hold(9, day) + climb(9, 17, HOUR)},
            {day + 55: []},
        ),
        case(
            "twelve new users in two hours are quiet",
            {EVENTS: calm + climb(50, 80, 2 * HOUR), HIT: hold(9, day) + climb(9, 21, 2 * HOUR)},
            {day + 55: [], day + 115: []},
        ),
        case(
            "a usual hour of a large tenant is quiet, and four times as many events fire",
            {
                EVENTS: climb(0, 60 * 25, day) + climb(1500, 1740, HOUR),
                HIT: climb(0, 30 * 25, day) + climb(750, 850, HOUR),
            },
            {2 * HOUR: [], day: [], day + 55: hit},
        ),
        case(
            "two and a half times the usual events are quiet",
            {
                EVENTS: climb(0, 60 * 25, day) + climb(1500, 1650, HOUR),
                HIT: climb(0, 30 * 25, day) + climb(750, 850, HOUR),
            },
            {day + 55: []},
        ),
        case(
            "events of the day before yesterday do not count as usual",
            {
                EVENTS: climb(0, 100 * 24, 24 * HOUR)
                + climb(2400, 2448, 24 * HOUR)
                + hold(2448, 70)
                + climb(2448, 2488, HOUR),
                HIT: hold(9, 49 * HOUR + 10) + climb(9, 29, HOUR),
            },
            {50 * HOUR: hit},
        ),
        case(
            "events of the night count as usual for the day",
            {
                EVENTS: climb(0, 480, 12 * HOUR) + climb(480, 492, 12 * HOUR) + hold(492, 70) + climb(492, 532, HOUR),
                HIT: hold(9, 25 * HOUR + 10) + climb(9, 29, HOUR),
            },
            {26 * HOUR: []},
        ),
        case(
            "in the first hour of an installation forty users are quiet",
            {EVENTS: climb(0, 60, HOUR), HIT: climb(0, 40, HOUR)},
            {20: [], 55: []},
        ),
        case(
            "in the first hour of an installation sixty users fire",
            {EVENTS: climb(0, 90, HOUR), HIT: climb(0, 60, HOUR)},
            {55: hit},
        ),
        case(
            "a restart without a state file is quiet: users are new again but the events are as usual",
            {
                EVENTS: climb(0, 1500, day) + gap(10) + climb(0, 60, HOUR),
                HIT: climb(0, 100, day) + gap(10) + climb(0, 40, HOUR),
            },
            {day + 5: [], day + 40: [], day + 65: []},
        ),
        case(
            "a restart and a gap of half an hour do not hide a campaign",
            {
                EVENTS: calm + gap(30) + hold(70, 30),
                HIT: hold(9, day) + gap(30) + hold(24, 30),
            },
            {day + 40: hit},
        ),
        case(
            "a pod with another name and the same state is quiet",
            {
                EVENTS: calm,
                HIT: hold(500, day),
                on_instance("b", EVENTS): gap(day) + hold(50, HOUR),
                on_instance("b", HIT): gap(day) + hold(500, HOUR),
            },
            {day + 30: []},
        ),
        case(
            "a pod with another name and a small state is quiet, also when it counts its next event",
            {
                EVENTS: calm,
                HIT: hold(15, day),
                on_instance("b", EVENTS): gap(day) + hold(50, 5) + hold(58, HOUR),
                on_instance("b", HIT): gap(day) + hold(15, 5) + hold(18, HOUR),
            },
            {day + 5: [], day + 30: []},
        ),
        case(
            "two exporters that see the same six users are quiet",
            {
                EVENTS: calm + climb(50, 80, HOUR),
                HIT: hold(9, day) + climb(9, 15, HOUR),
                on_instance("b", EVENTS): calm + climb(50, 80, HOUR),
                on_instance("b", HIT): hold(9, day) + climb(9, 15, HOUR),
            },
            {day + 55: []},
        ),
    ]


def unattended() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]], step: float = 5) -> Case:
        return Case("ZeroTrustHighRiskUserUnattended", sentence, series, firing, step=step)

    return [
        case(
            "a day without a reset fires until the reset",
            {OLDEST: hold(0, 25 * HOUR) + hold(20 * 3600, HOUR)},
            {24 * HOUR: [], 24 * HOUR + 5: [], 24 * HOUR + 7: ["acme"], 25 * HOUR + 5: []},
            step=1,
        ),
        case("a user who reached high risk later is quiet", {OLDEST: hold(2 * 3600, 25 * HOUR)}, {25 * HOUR - 5: []}),
        case("no users at high risk are quiet", {HIGH: hold(0, 25 * HOUR)}, {25 * HOUR - 5: []}),
        case("the first hour is quiet", {OLDEST: hold(0, HOUR)}, {50: []}),
        case(
            "a gap ends the alert, and after the gap it fires again",
            {OLDEST: hold(0, 25 * HOUR) + gap(30) + hold(0, HOUR)},
            {25 * HOUR + 10: [], 25 * HOUR + 45: ["acme"]},
        ),
        case(
            "after a restart without a state file, the other exporter keeps the alert firing",
            {
                OLDEST: hold(0, 20 * HOUR) + gap(5) + hold(20 * 3600, 5 * HOUR),
                on_instance("b", OLDEST): hold(0, 25 * HOUR),
            },
            {24 * HOUR + 30: ["acme"]},
        ),
    ]


def unknown() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZeroTrustUnknownRiskLevel", sentence, series, firing)

    return [
        case(
            "one user at an unknown level fires after five minutes until the level is known",
            {UNKNOWN: hold(0, 60) + hold(1, 30) + hold(0, 30)},
            {59: [], 62: [], 64: [], 65: ["acme"], 89: ["acme"], 91: []},
        ),
        case("no user at an unknown level is quiet", {UNKNOWN: hold(0, 60), HIGH: hold(20, 60)}, {30: []}),
        case("an exporter without this level is quiet", {HIGH: hold(20, 60)}, {30: []}),
        case(
            "an answer that is odd for two minutes is quiet",
            {UNKNOWN: hold(0, 30) + hold(9, 2) + hold(0, 30)},
            {36: []},
        ),
        case(
            "an unknown level from the start of an installation fires",
            {UNKNOWN: hold(3, 30)},
            {4: [], 6: ["acme"]},
        ),
        case(
            "a restart and a gap end the alert, and it fires again",
            {UNKNOWN: hold(1, 30) + gap(10) + hold(1, 30)},
            {25: ["acme"], 35: [], 42: [], 46: ["acme"]},
        ),
        case(
            "two exporters of one account fire one alert",
            {UNKNOWN: hold(2, 60), on_instance("b", UNKNOWN): hold(2, 60)},
            {30: ["acme"]},
        ),
    ]


def mass_reset() -> list[Case]:
    def case(sentence: str, series: dict[str, History], firing: dict[float, list[str]]) -> Case:
        return Case("ZeroTrustMassReset", sentence, series, firing)

    few = {HIGH: hold(20, 300), "cloudflare_zt_risk_users max_risk_level=low": hold(30, 300)}
    many = {HIGH: hold(200, 300), "cloudflare_zt_risk_users max_risk_level=low": hold(800, 300)}
    return [
        case(
            "ten within an hour fire for an hour",
            {RESETS: hold(3, 90) + climb(3, 13, 30) + hold(13, 180), **few},
            {90: [], 125: ["acme"], 190: []},
        ),
        case("nine are quiet", {RESETS: hold(3, 90) + climb(3, 12, 30) + hold(12, 180), **few}, {125: [], 140: []}),
        case(
            "twelve in two hours are quiet",
            {RESETS: hold(3, 90) + climb(3, 15, 120) + hold(15, 90), **few},
            {150: [], 200: []},
        ),
        case(
            "with a thousand users on the list, thirty resets are quiet and sixty fire",
            {RESETS: hold(3, 90) + climb(3, 33, 20) + hold(33, 20) + climb(33, 63, 10) + hold(63, 100), **many},
            {115: [], 142: ["acme"]},
        ),
        case(
            "a missing list does not suppress the alert",
            {RESETS: hold(3, 90) + climb(3, 13, 30) + hold(13, 180)},
            {125: ["acme"]},
        ),
        case(
            "a restart without a state file is quiet",
            {RESETS: hold(300, 90) + gap(3) + hold(0, 60), **few},
            {100: [], 150: []},
        ),
        case(
            "a restart with a state file is quiet",
            {RESETS: hold(300, 90), on_instance("b", RESETS): gap(91) + hold(300, 60), **few},
            {100: [], 150: []},
        ),
        case(
            "a restart with a small state file is quiet, also when the next user is reset",
            {RESETS: hold(15, 90), on_instance("b", RESETS): gap(91) + hold(15, 2) + hold(17, 60), **few},
            {95: [], 150: []},
        ),
        case(
            "ten resets in the first hour of an installation fire",
            {RESETS: hold(0, 10) + climb(0, 12, 10) + hold(12, 30), **few},
            {9: [], 25: ["acme"]},
        ),
        case(
            "resets during a gap fire after the gap",
            {RESETS: hold(3, 90) + gap(20) + hold(15, 60), **few},
            {100: [], 115: ["acme"]},
        ),
        case(
            "two exporters that see the same six are quiet",
            {
                RESETS: hold(3, 90) + climb(3, 9, 30) + hold(9, 60),
                on_instance("b", RESETS): hold(3, 90) + climb(3, 9, 30) + hold(9, 60),
                **few,
            },
            {125: []},
        ),
    ]
