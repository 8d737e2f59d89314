use super::*;
use crate::http::Caller;

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const C: &str = "10.0.0.3";

/// A login: its address, the number of its connection there, and its password.
type Sent = (&'static str, usize, u8);

/// A queue of logins, and the connections that they come on.
struct Rig {
    queue: Queue<Sent>,
    connections: BTreeMap<(&'static str, usize), Caller>,
}

impl Rig {
    fn new() -> Self {
        Self { queue: Queue::default(), connections: BTreeMap::new() }
    }

    fn with(logins: &[Sent]) -> Self {
        let mut rig = Self::new();
        logins.iter().for_each(|login| assert!(rig.enter(*login).is_ok(), "{login:?}"));
        rig
    }

    fn caller(&mut self, address: &'static str, connection: usize) -> &Caller {
        // Of a hundred, so that each number is another connection.
        let of_address = || Caller::from_addresses([address; 100]).into_iter().nth(connection).unwrap();
        self.connections.entry((address, connection)).or_insert_with(of_address)
    }

    fn enter(&mut self, login: Sent) -> Result<u64, Full> {
        let caller = self.caller(login.0, login.1);
        let (peer, connection) = (caller.peer(), caller.connection());
        self.queue.enter(peer, connection, [login.2; 32], login)
    }

    fn next(&mut self) -> Option<(IpAddr, Sent)> {
        self.queue.next()
    }

    /// The order of the turns. The passwords of the addresses `wrong` are wrong, the others are right.
    fn order(&mut self, wrong: &[&str]) -> Vec<Sent> {
        std::iter::from_fn(|| {
            let (peer, login) = self.next()?;
            match wrong.contains(&login.0) {
                true => self.queue.wrong(peer),
                false => self.queue.right(peer),
            }
            Some(login)
        })
        .collect()
    }
}

#[test]
fn peers_and_their_connections_take_turns() {
    let cases: [(&str, &[Sent], &[Sent]); 5] = [
        ("one", &[(A, 1, 1)], &[(A, 1, 1)]),
        (
            "the peer that came last waits for one of each other",
            &[(A, 1, 1), (A, 2, 1), (A, 3, 1), (B, 1, 1), (B, 2, 1), (C, 1, 1)],
            &[(A, 1, 1), (B, 1, 1), (C, 1, 1), (A, 2, 1), (B, 2, 1), (A, 3, 1)],
        ),
        (
            "of one peer, a connection with many requests counts as one",
            &[(A, 1, 1), (A, 1, 2), (A, 1, 3), (A, 1, 4), (A, 2, 1)],
            &[(A, 1, 1), (A, 2, 1), (A, 1, 2), (A, 1, 3), (A, 1, 4)],
        ),
        (
            "a network of IPv6 is one peer",
            &[("2001:db8::1", 1, 1), ("2001:db8::2", 2, 1), ("2001:db8::3", 3, 1), (B, 1, 1)],
            &[("2001:db8::1", 1, 1), (B, 1, 1), ("2001:db8::2", 2, 1), ("2001:db8::3", 3, 1)],
        ),
        (
            "an address of IPv4 is itself, even if it is written as IPv6",
            &[(A, 1, 1), ("::ffff:10.0.0.1", 2, 1), (B, 1, 1)],
            &[(A, 1, 1), (B, 1, 1), ("::ffff:10.0.0.1", 2, 1)],
        ),
    ];
    for (name, logins, wanted) in cases {
        assert_eq!(Rig::with(logins).order(&[]), wanted, "{name}");
    }
}

#[test]
fn a_peer_that_sent_no_wrong_password_waits_for_one_that_did() {
    const GUESSING: [&str; 3] = ["10.1.0.1", "10.1.0.2", "10.1.0.3"];
    let mut rig = Rig::new();
    // Each address has sent a wrong password, and guesses on.
    for address in GUESSING {
        rig.enter((address, 0, 0)).unwrap();
    }
    rig.order(&GUESSING);
    for round in 1..=3 {
        GUESSING.iter().for_each(|address| assert!(rig.enter((address, round, 1)).is_ok()));
    }
    // These come last.
    for address in [A, B, C] {
        rig.enter((address, 1, 1)).unwrap();
    }
    let order: Vec<_> = rig.order(&GUESSING).iter().map(|(address, ..)| *address).collect();
    let [one, two, three] = GUESSING;
    assert_eq!(order, [one, A, two, B, three, C, one, two, three, one, two, three]);
}

#[test]
fn newcomers_do_not_keep_a_peer_with_a_wrong_password_from_its_turn() {
    let mut rig = Rig::with(&[(A, 1, 1)]);
    rig.order(&[A]);
    rig.enter((A, 1, 2)).unwrap();
    // An attacker with many addresses, of which each guesses once.
    let mut turns = Vec::new();
    for address in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
        rig.enter((address, 1, 1)).unwrap();
        let (peer, (next, ..)) = rig.next().unwrap();
        rig.queue.wrong(peer);
        turns.push(next);
    }
    assert!(turns[..2].contains(&A), "{turns:?}");
}

#[test]
fn a_right_password_makes_up_for_a_wrong_one() {
    for (wrong, wanted) in [(&[A] as &[&str], [B, A]), (&[], [A, B])] {
        let mut rig = Rig::with(&[(A, 1, 1)]);
        rig.order(&[A]);
        rig.enter((A, 1, 2)).unwrap();
        rig.order(wrong);
        rig.queue.latest = Standing::Wrong;
        rig.enter((A, 1, 3)).unwrap();
        rig.enter((B, 1, 1)).unwrap();
        let order: Vec<_> = rig.order(&[]).iter().map(|(address, ..)| *address).collect();
        assert_eq!(order, wanted, "{wrong:?}");
    }
}

#[test]
fn a_connection_has_one_login_too_many_when_its_peer_has_many_different_ones() {
    let mut rig = Rig::with(&[0, 1, 2, 3, 4, 5, 6, 7].map(|password| (A, 1, password)));
    for (login, wanted, why) in [
        ((A, 1, 8), false, "a ninth one"),
        ((A, 1, 7), true, "one of the eight again"),
        ((A, 2, 8), true, "the first one of another connection"),
        ((A, 2, 9), false, "and its second one"),
        ((A, 2, 0), true, "one of the eight on another connection"),
        ((B, 1, 9), true, "another address"),
    ] {
        assert_eq!(rig.enter(login).is_ok(), wanted, "{why}");
    }
    // One that has its turn makes room.
    let mut rig = Rig::with(&[0, 1, 2, 3, 4, 5, 6, 7].map(|password| (A, 1, password)));
    rig.next();
    assert_eq!([rig.enter((A, 1, 8)).is_ok(), rig.enter((A, 1, 9)).is_ok()], [true, false]);
}

#[test]
fn a_login_that_leaves_gets_no_turn_and_keeps_none_waiting() {
    let logins = [(A, 1, 1), (A, 1, 2), (A, 2, 1), (B, 1, 1), (C, 1, 1)];
    for gone in 0..logins.len() {
        let mut rig = Rig::new();
        let numbers: Vec<_> = logins.iter().map(|login| rig.enter(*login).unwrap()).collect();
        let peer = rig.caller(logins[gone].0, logins[gone].1).peer();
        rig.queue.leave(peer, numbers[gone]);
        let mut wanted: Vec<_> = logins.into_iter().filter(|login| *login != logins[gone]).collect();
        let mut order = rig.order(&[]);
        assert_eq!(order.len(), wanted.len(), "{gone}");
        order.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(order, wanted, "{gone}");
        // One that had its turn may leave too.
        rig.queue.leave(peer, numbers[gone]);
        assert!(rig.queue.peers.is_empty(), "nothing is kept of those that sent no wrong password");
    }
}

#[test]
fn the_peers_that_are_remembered_are_bounded_and_those_with_a_login_are_not_forgotten() {
    let mut rig = Rig::with(&[(A, 1, 1), (A, 1, 2)]);
    let (peer, _) = rig.next().unwrap();
    rig.queue.wrong(peer);
    for number in 0..3_000_u32 {
        rig.queue.wrong(IpAddr::from(number.to_be_bytes()));
    }
    assert_eq!(rig.queue.peers.len(), REMEMBERED + 1);
    let newest = IpAddr::from(2_999_u32.to_be_bytes());
    let oldest = IpAddr::from(0_u32.to_be_bytes());
    assert!(rig.queue.peers.contains_key(&newest) && !rig.queue.peers.contains_key(&oldest));
    assert_eq!(rig.next().map(|(peer, _)| peer), Some(peer));
}
