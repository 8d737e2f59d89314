use super::*;

const LIMITS: Limits = Limits {
    connections: 4,
    connections_of_one_peer: 3,
    first_header_wait: Duration::from_secs(5),
    header_wait: Duration::from_secs(30),
    header_bytes: 8 * 1024,
    answer_wait: Duration::from_secs(20),
    unsent_bytes: 1_000,
    drain: Duration::from_secs(1),
};

/// A table whose connections have names.
struct Case {
    table: Table<&'static str>,
    ids: BTreeMap<&'static str, ConnectionId>,
    answers: BTreeMap<&'static str, AnswerId>,
}

/// What a connection does.
#[derive(Clone, Copy)]
enum Do {
    /// It is accepted from this address.
    Open(&'static str),
    /// It sends a request.
    Ask,
    /// Its request waits for the turn of its login, and the latest password of its peer was not wrong.
    Wait,
    /// The same, and it was wrong.
    Guess,
    /// The password of a login of its peer was compared.
    Judge(Standing),
    /// Its request waits no longer.
    Go,
    /// Its request is answered, with buffers of these names and sizes.
    Send(&'static [(usize, usize)]),
    /// Its answer is received.
    Receive,
    /// Its request ends without an answer.
    Abandon,
    /// It ends.
    End,
}
use Do::{Abandon, Ask, End, Go, Guess, Judge, Open, Receive, Send, Wait};

impl Case {
    fn new(limits: Limits) -> Self {
        Self { table: Table::new(limits), ids: BTreeMap::new(), answers: BTreeMap::new() }
    }

    /// The names of the connections that must be closed, with the reason.
    fn play(&mut self, millis: u64, name: &'static str, action: Do) -> Vec<(&'static str, CloseReason)> {
        let (now, table) = (at(millis), &mut self.table);
        let id = self.ids.get(name).copied();
        let id = || id.expect("the connection was opened");
        let closing = match action {
            Open(ip) => {
                let (id, closing) = table.admit(ip.parse().unwrap(), name, now);
                self.ids.insert(name, id);
                closing.into_iter().collect()
            }
            Ask => {
                table.request_began(id());
                Vec::new()
            }
            Wait => {
                table.wait_began(id(), Standing::NotWrong, now);
                Vec::new()
            }
            Guess => {
                table.wait_began(id(), Standing::Wrong, now);
                Vec::new()
            }
            Judge(standing) => {
                let peer = table.open[&id()].peer;
                table.judged(peer, standing);
                Vec::new()
            }
            Go => {
                table.wait_ended(id());
                Vec::new()
            }
            Send(buffers) => {
                let buffers =
                    buffers.iter().map(|(address, bytes)| Buffer { address: *address, bytes: *bytes });
                let (answer, closing) = table.answer_began(id(), buffers.collect(), now);
                self.answers.insert(name, answer);
                closing
            }
            Receive => {
                table.answer_ended(id(), self.answers[name], now);
                Vec::new()
            }
            Abandon => {
                table.request_ended(id(), now);
                Vec::new()
            }
            End => {
                table.remove(id());
                Vec::new()
            }
        };
        named(closing)
    }
}

fn at(millis: u64) -> Instant {
    Instant::after_start(Duration::from_millis(millis))
}

fn named(closing: Vec<Closing<&'static str>>) -> Vec<(&'static str, CloseReason)> {
    closing.into_iter().map(|closing| (closing.closer, closing.reason)).collect()
}

/// What happens in a case: when in milliseconds, to which connection, and what.
type Steps = &'static [(u64, &'static str, Do)];

/// Which connections are closed.
type Closed = &'static [(&'static str, CloseReason)];

const PAGE: Do = Send(&[(1, 100)]);

#[test]
fn the_connection_that_has_been_idle_or_slow_for_longest_makes_room() {
    use CloseReason::{ConnectionLimit, PeerLimit};
    let cases: [(&str, Steps, Closed); 23] = [
        ("there is room", &[(0, "a", Open("10.0.0.1"))], &[]),
        (
            "of one peer, the one that was opened first",
            &[(0, "a", Open("10.0.0.1")), (10, "b", Open("10.0.0.1")), (20, "c", Open("10.0.0.1"))],
            &[("a", PeerLimit)],
        ),
        (
            "a used connection is idle since its last answer",
            &[
                (0, "a", Open("10.0.0.1")),
                (0, "b", Open("10.0.0.1")),
                (0, "c", Open("10.0.0.1")),
                (5_000, "a", Ask),
                (5_001, "a", PAGE),
                (5_002, "a", Receive),
                (6_000, "b", Ask),
                (6_001, "b", PAGE),
                (6_002, "b", Receive),
            ],
            &[("c", PeerLimit)],
        ),
        (
            "another peer's longer wait does not matter to the limit of one peer",
            &[
                (0, "other", Open("10.0.0.2")),
                (10, "a", Open("10.0.0.1")),
                (20, "b", Open("10.0.0.1")),
                (30, "c", Open("10.0.0.1")),
            ],
            &[("a", PeerLimit)],
        ),
        (
            "of all, the one that was opened first",
            &[
                (0, "a", Open("10.0.0.2")),
                (10, "b", Open("10.0.0.3")),
                (20, "c", Open("10.0.0.4")),
                (30, "d", Open("10.0.0.5")),
            ],
            &[("a", ConnectionLimit)],
        ),
        (
            "in the middle of an answer that began before another one was idle",
            &[
                (9_000, "a", Open("10.0.0.1")),
                (9_200, "a", Ask),
                (9_300, "a", PAGE),
                (9_900, "b", Open("10.0.0.1")),
                (9_950, "c", Open("10.0.0.1")),
                (9_960, "c", Ask),
                (9_960, "c", PAGE),
            ],
            &[("a", PeerLimit)],
        ),
        (
            "a slow reader before one that is idle for less time",
            &[
                (0, "a", Open("10.0.0.1")),
                (0, "a", Ask),
                (1_000, "a", PAGE),
                (2_000, "b", Open("10.0.0.1")),
                (3_000, "c", Open("10.0.0.1")),
            ],
            &[("a", PeerLimit)],
        ),
        (
            "one that is idle for longer before a slow reader",
            &[
                (0, "b", Open("10.0.0.1")),
                (500, "a", Open("10.0.0.1")),
                (500, "a", Ask),
                (1_000, "a", PAGE),
                (2_000, "c", Open("10.0.0.1")),
            ],
            &[("b", PeerLimit)],
        ),
        (
            "a request that waits for its answer is not slow",
            &[
                (0, "a", Open("10.0.0.1")),
                (0, "a", Ask),
                (9_990, "b", Open("10.0.0.1")),
                (9_995, "c", Open("10.0.0.1")),
                (9_995, "c", Ask),
            ],
            &[("b", PeerLimit)],
        ),
        (
            "of several in the middle of an answer, the oldest",
            &[
                (9_500, "a", Open("10.0.0.1")),
                (9_500, "a", Ask),
                (9_900, "a", PAGE),
                (9_600, "b", Open("10.0.0.1")),
                (9_600, "b", Ask),
                (9_800, "b", PAGE),
                (9_700, "c", Open("10.0.0.1")),
                (9_700, "c", Ask),
                (9_950, "c", PAGE),
            ],
            &[("b", PeerLimit)],
        ),
        (
            "in a flood, one of the peer with the most connections",
            &[
                (9_100, "scraper", Open("10.0.0.2")),
                (9_200, "a", Open("10.0.0.3")),
                (9_300, "b", Open("10.0.0.3")),
                (9_400, "c", Open("10.0.0.4")),
            ],
            &[("a", ConnectionLimit)],
        ),
        (
            "while passwords are guessed, one of the peer with the most connections, and not one that just came",
            &[
                (9_100, "a", Open("10.0.0.3")),
                (9_100, "a", Ask),
                (9_100, "a", Guess),
                (9_200, "b", Open("10.0.0.3")),
                (9_200, "b", Ask),
                (9_200, "b", Guess),
                (9_300, "c", Open("10.0.0.4")),
                (9_300, "c", Ask),
                (9_300, "c", Guess),
                (9_990, "scraper", Open("10.0.0.2")),
            ],
            &[("a", ConnectionLimit)],
        ),
        (
            "while many read slowly, one of them, and not one that just came",
            &[
                (9_100, "a", Open("10.0.0.1")),
                (9_100, "a", Ask),
                (9_100, "a", PAGE),
                (9_200, "b", Open("10.0.0.1")),
                (9_200, "b", Ask),
                (9_200, "b", PAGE),
                (9_990, "scraper", Open("10.0.0.1")),
            ],
            &[("a", PeerLimit)],
        ),
        (
            "a login that waits for long is not stale",
            &[
                (0, "login", Open("10.0.0.2")),
                (0, "login", Ask),
                (0, "login", Wait),
                (9_200, "a", Open("10.0.0.3")),
                (9_300, "b", Open("10.0.0.3")),
                (9_400, "c", Open("10.0.0.4")),
            ],
            &[("a", ConnectionLimit)],
        ),
        (
            "of a peer that guesses, the login that came first",
            &[
                (9_100, "a", Open("10.0.0.1")),
                (9_100, "a", Ask),
                (9_100, "a", Guess),
                (9_200, "b", Open("10.0.0.1")),
                (9_300, "c", Open("10.0.0.1")),
            ],
            &[("a", PeerLimit)],
        ),
        (
            "before a login without a wrong password, connections that came later",
            &[
                (9_000, "login", Open("10.0.0.2")),
                (9_000, "login", Ask),
                (9_000, "login", Wait),
                (9_200, "a", Open("10.0.0.3")),
                (9_300, "b", Open("10.0.0.4")),
                (9_400, "c", Open("10.0.0.5")),
            ],
            &[("a", ConnectionLimit)],
        ),
        (
            "before a login without a wrong password, those of a peer that has guessed meanwhile",
            &[
                (9_000, "login", Open("10.0.0.2")),
                (9_000, "login", Ask),
                (9_000, "login", Wait),
                (9_200, "a", Open("10.0.0.3")),
                (9_200, "a", Ask),
                (9_200, "a", Wait),
                (9_300, "b", Open("10.0.0.4")),
                (9_300, "b", Ask),
                (9_300, "b", Wait),
                (9_400, "c", Open("10.0.0.5")),
                (9_400, "c", Ask),
                (9_400, "c", Wait),
                (9_500, "b", Judge(Standing::Wrong)),
            ],
            &[("b", ConnectionLimit)],
        ),
        (
            "of logins without a wrong password, the newest, and not one whose turn is near",
            &[
                (0, "c", Open("10.0.0.5")),
                (9_000, "a", Open("10.0.0.2")),
                (9_000, "a", Ask),
                (9_000, "a", Wait),
                (9_200, "b", Open("10.0.0.3")),
                (9_200, "b", Ask),
                (9_200, "b", Wait),
                (9_300, "d", Open("10.0.0.4")),
                (9_300, "d", Ask),
                (9_300, "d", Wait),
                (9_300, "d", Judge(Standing::Wrong)),
                (9_350, "d", Judge(Standing::NotWrong)),
                (9_400, "c", Ask),
                (9_400, "c", Wait),
            ],
            &[("c", ConnectionLimit)],
        ),
        (
            "a login that was right is being handled",
            &[
                (9_100, "a", Open("10.0.0.1")),
                (9_100, "a", Ask),
                (9_100, "a", Wait),
                (9_200, "b", Open("10.0.0.1")),
                (9_300, "c", Open("10.0.0.1")),
                (9_400, "a", Go),
            ],
            &[("b", PeerLimit)],
        ),
        (
            "a request that was given up leaves the connection idle",
            &[
                (0, "a", Open("10.0.0.1")),
                (0, "a", Ask),
                (1_000, "a", Abandon),
                (2_000, "b", Open("10.0.0.1")),
                (3_000, "c", Open("10.0.0.1")),
            ],
            &[("a", PeerLimit)],
        ),
        (
            "a /64 network is one peer",
            &[
                (0, "a", Open("2001:db8:0:1::1")),
                (10, "b", Open("2001:db8:0:1:ffff::2")),
                (20, "c", Open("2001:db8:0:1:abcd:1:2:3")),
                (30, "newest", Open("2001:db8:0:1::99")),
            ],
            &[("a", PeerLimit)],
        ),
        (
            "an IPv4 address is the same peer on an IPv6 socket",
            &[
                (0, "a", Open("::ffff:10.0.0.1")),
                (10, "b", Open("10.0.0.1")),
                (20, "c", Open("::ffff:10.0.0.1")),
            ],
            &[("a", PeerLimit)],
        ),
        (
            "a connection that ended does not count",
            &[
                (0, "a", Open("10.0.0.1")),
                (10, "b", Open("10.0.0.1")),
                (20, "c", Open("10.0.0.1")),
                (30, "a", End),
            ],
            &[],
        ),
    ];
    for (name, steps, wanted) in cases {
        let mut case = Case::new(LIMITS);
        let (last, before) = steps.split_last().unwrap();
        for (millis, connection, action) in before {
            assert_eq!(case.play(*millis, connection, *action), [], "{name}");
        }
        let mut closed = case.play(last.0, last.1, last.2);
        // The same address opens one more, unless the last step did.
        if closed.is_empty() {
            closed = case.play(10_000, "one more", Open("10.0.0.1"));
        }
        assert_eq!(closed, wanted, "{name}");
    }
}

#[test]
fn two_networks_of_ipv6_are_two_peers_and_the_newcomers_network_pays() {
    let mut case = Case::new(LIMITS);
    for (name, ip) in [
        ("a", "2001:db8:0:1::1"),
        ("b", "2001:db8:0:1::2"),
        ("c", "2001:db8:0:1::3"),
        ("d", "2001:db8:0:2::1"),
    ] {
        assert_eq!(case.play(0, name, Open(ip)), []);
    }
    assert_eq!(case.play(10, "e", Open("2001:db8:0:1:5::1")), [("a", CloseReason::PeerLimit)]);
    assert_eq!((case.table.open(), case.table.peers.len()), (4, 2));
    for name in ["b", "c", "d", "e"] {
        case.play(20, name, End);
    }
    assert_eq!((case.table.open(), case.table.peers.len()), (0, 0), "nothing is kept of peers that are gone");
}

#[test]
fn each_wait_has_its_end() {
    use CloseReason::{Idle, NoRequest, SlowReader};
    const OPEN: (u64, &str, Do) = (0, "a", Open("10.0.0.1"));
    let cases: [(&str, Steps, u64, Option<CloseReason>); 6] = [
        ("a first request", &[OPEN], 5_000, Some(NoRequest)),
        (
            "another request",
            &[OPEN, (1_000, "a", Ask), (1_000, "a", PAGE), (2_000, "a", Receive)],
            32_000,
            Some(Idle),
        ),
        ("an answer", &[OPEN, (1_000, "a", Ask), (2_000, "a", PAGE)], 22_000, Some(SlowReader)),
        (
            "the older of two answers",
            &[OPEN, (0, "a", Ask), (1_000, "a", PAGE), (9_000, "a", Ask), (9_000, "a", PAGE)],
            21_000,
            Some(SlowReader),
        ),
        (
            "a request that was given up",
            &[OPEN, (1_000, "a", Ask), (4_000, "a", Abandon)],
            34_000,
            Some(Idle),
        ),
        // The handler's time is limited elsewhere.
        ("a handler", &[OPEN, (1_000, "a", Ask)], 1_000_000, None),
    ];
    for (name, steps, end, reason) in cases {
        let mut case = Case::new(LIMITS);
        for (millis, connection, action) in steps {
            case.play(*millis, connection, *action);
        }
        assert_eq!(named(case.table.overdue(at(end - 1))), [], "{name}, just before");
        let wanted: Vec<_> = reason.map(|reason| ("a", reason)).into_iter().collect();
        assert_eq!(named(case.table.overdue(at(end))), wanted, "{name}");
        assert_eq!(
            (case.table.open(), case.table.unsent_bytes()),
            (usize::from(reason.is_none()), 0),
            "{name}"
        );
    }
}

#[test]
fn unsent_bytes_count_shared_buffers_once_and_the_oldest_answers_make_room() {
    let limits = Limits { connections: 10, connections_of_one_peer: 10, ..LIMITS };
    let mut case = Case::new(limits);
    let steps: [(&str, Do, &[&str], usize); 15] = [
        ("a", Send(&[(1, 300), (10, 5)]), &[], 305),
        ("b", Send(&[(1, 300), (11, 5)]), &[], 310),
        ("c", Send(&[(2, 300), (12, 5)]), &[], 615),
        ("d", Send(&[(3, 300), (13, 5)]), &[], 920),
        // A fourth exposition is too much. Closing "a" gives back only what it does not share with "b".
        ("e", Send(&[(4, 300), (14, 5)]), &["a", "b"], 915),
        ("a", Receive, &[], 915),
        ("c", Receive, &[], 610),
        ("c", Ask, &[], 610),
        ("c", Abandon, &[], 610),
        // An exposition larger than the limit is still served: three times its size is allowed.
        ("f", Send(&[(5, 2_000)]), &[], 2_610),
        ("g", Send(&[(6, 2_000)]), &[], 4_610),
        ("h", Send(&[(7, 2_000)]), &["d", "e"], 6_000),
        ("i", Send(&[(7, 2_000), (8, 1)]), &["f"], 4_001),
        ("g", End, &[], 2_001),
        ("h", Receive, &[], 2_001),
    ];
    for (millis, (name, action, wanted, unsent)) in (0..).zip(steps) {
        if let Send(_) = action {
            case.play(millis, name, Open("10.0.0.1"));
            case.play(millis, name, Ask);
        }
        let wanted: Vec<_> = wanted.iter().map(|name| (*name, CloseReason::UnsentBytes)).collect();
        assert_eq!(case.play(millis, name, action), wanted, "step {millis}: {name}");
        assert_eq!(case.table.unsent_bytes(), unsent, "step {millis}: {name}");
    }
    case.play(100, "i", Receive);
    assert_eq!((case.table.unsent_bytes(), case.table.buffers.len()), (0, 0));
}

#[test]
fn the_newest_answer_is_never_closed_for_its_own_size() {
    let mut case = Case::new(LIMITS);
    case.play(0, "a", Open("10.0.0.1"));
    case.play(0, "a", Ask);
    // Many small buffers, none of which raises the limit.
    static MANY: [(usize, usize); 20] = {
        let mut many = [(0, 100); 20];
        let mut index = 0;
        while index < 20 {
            many[index].0 = index;
            index += 1;
        }
        many
    };
    assert_eq!(case.play(0, "a", Send(&MANY)), []);
    assert_eq!(case.table.unsent_bytes(), 2_000);
}
