//! `state show`, `state check` and `state forget`, and the content of a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use uuid::Uuid;
use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::internals::collector::persist::Saved;
use zt_risk_exporter::internals::collector::user_label::UserLabel;
use zt_risk_exporter::internals::store::{Settings, State};

use super::process::{ACCOUNTS, Exporter, Home, Scrape, SimulatedApi};

/// A user with events who was reset.
const KNOWN: Uuid = Uuid::from_u128(7);

/// Two accounts with 30 events and a reset each, all counted.
fn counted(api: &SimulatedApi, home: &Home) -> (Exporter, Scrape) {
    let mut exporter = home.start();
    exporter.until("counting begins", Scrape::counts);
    for (account, ..) in ACCOUNTS {
        for number in 0..30 {
            api.event(account, Uuid::from_u128(number % 10 + 1), "imp_travel");
        }
        api.simulator.reset(account, KNOWN).expect("the user is there");
    }
    exporter.until("the resets are counted", |scrape| api.agrees(scrape));
    for (account, ..) in ACCOUNTS {
        api.event(account, KNOWN, "high_dlp");
    }
    let scrape = exporter.until("all is counted", |scrape| api.agrees(scrape));
    (exporter, scrape)
}

fn outcome(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

#[test]
fn show_and_check_describe_the_file_and_do_not_change_it() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let (mut exporter, scrape) = counted(&api, &home);
    for action in [["show"], ["check"]] {
        let (code, text) = outcome(&home.inspect(&action));
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("in use by another process"), "{text}");
    }
    exporter.kill();
    let whole = home.bytes();
    let (code, text) = outcome(&home.inspect(&["show"]));
    assert_eq!(code, Some(0), "{text}");
    for (id, alias, _) in ACCOUNTS {
        assert!(text.contains(&format!("account {id}")), "{text}");
        assert!(
            text.contains(&format!("events           {} counted, 0 not found", scrape.counted(alias))),
            "{text}"
        );
    }
    assert!(text.contains("resets           1\n") && text.contains("events of imp_travel: 30\n"), "{text}");
    let (code, text) = outcome(&home.inspect(&["check"]));
    assert_eq!((code, text), (Some(0), format!("{} is intact: 2 accounts\n", home.state().display())));
    assert!(home.bytes() == whole, "looking changes nothing");

    let table: [(&str, Option<Vec<u8>>, &str); 4] = [
        ("half of it", Some(whole[..whole.len() / 2].to_vec()), "is damaged: "),
        ("empty", Some(Vec::new()), "is damaged: it is empty"),
        ("something else", Some(b"accounts: []\n".to_vec()), "is not a state file"),
        ("missing", None, "there is no state file"),
    ];
    for (what, bytes, wanted) in table {
        match &bytes {
            Some(bytes) => fs::write(home.state(), bytes).expect("it can be written"),
            None => fs::remove_file(home.state()).expect("it is there"),
        }
        for action in [vec!["show"], vec!["check"], vec!["forget", "00000000-0000-0000-0000-000000000007"]] {
            let (code, text) = outcome(&home.inspect(&action));
            assert_eq!(code, Some(1), "{what}, {action:?}: {text}");
            assert!(text.contains(wanted) && !text.contains("panicked"), "{what}, {action:?}: {text}");
            assert!(fs::read(home.state()).ok() == bytes, "{what}, {action:?}: looking changes nothing");
        }
    }
    let others = fs::read_dir(home.state().parent().expect("a folder")).expect("a folder").count();
    assert_eq!(others, 0, "commands set nothing aside");
}

/// The ids of all users in the rows of the file.
fn ids(home: &Home) -> Vec<Uuid> {
    let clock = Clock::system();
    let settings = Settings { path: home.state(), cache_bytes: 1 << 20 };
    let accounts = ACCOUNTS.map(|(id, ..)| id.to_owned()).to_vec();
    let (state, saved) = State::open(&settings, accounts, &clock, Saved::add).expect("it is whole");
    state.close();
    saved
        .into_values()
        .flat_map(|saved| {
            let users = saved.users.into_iter().map(|user| user.id);
            let records = saved.records.into_keys();
            let pending = saved.pending.into_iter().map(|(id, _)| id);
            let series = saved.series.into_iter().map(|(chosen, _)| chosen.id);
            users.chain(records).chain(pending).chain(series).chain(saved.collector.audited)
        })
        .collect()
}

#[test]
fn show_prints_everything_about_a_user_and_only_a_hash_after_forget() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let (mut exporter, _) = counted(&api, &home);
    exporter.kill();
    let whole = home.bytes();
    let show = |id: Uuid| outcome(&home.inspect(&["show", "--user", &id.to_string()]));
    let (code, text) = show(KNOWN);
    assert_eq!(code, Some(0), "{text}");
    for (id, ..) in ACCOUNTS {
        let heading = format!("account {id}: user {KNOWN}\n");
        let (_, of_account) = text.split_once(&heading).unwrap_or_else(|| panic!("{heading}: {text}"));
        let of_account = of_account.split("account ").next().expect("the first part");
        let lines = |name: &str| of_account.matches(&format!("  {name:<16} ")).count();
        let names =
            ["level", "listed", "read up to", "own series", "last reset", "behavior", "counted event"];
        // Three events before the reset, and one after it.
        assert_eq!(names.map(lines), [1, 1, 1, 1, 1, 1, 4], "{text}");
        assert!(
            of_account.contains("behavior         high_dlp\n") && !of_account.contains("forgotten"),
            "{text}"
        );
    }
    let stranger = Uuid::from_u128(99_999);
    let (code, text) = show(stranger);
    assert_eq!(code, Some(4), "the code of a user who is not there: {text}");
    assert!(text.contains(&format!("holds nothing about the user {stranger}")), "{text}");
    assert!(home.bytes() == whole, "showing changes nothing");

    assert_eq!(outcome(&home.inspect(&["forget", &KNOWN.to_string()])).0, Some(0));
    let (code, text) = show(KNOWN);
    assert_eq!((code, text.lines().count()), (Some(0), 4), "{text}");
    for (id, ..) in ACCOUNTS {
        let wanted = format!("account {id}: user {KNOWN}\n  forgotten        a keyed hash, with the date ");
        assert!(text.contains(&wanted), "{text}");
    }
}

#[test]
fn forget_leaves_nothing_of_a_user_and_counts_nothing_of_it_again() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let (mut exporter, before) = counted(&api, &home);
    let forget = |id: Uuid| outcome(&home.inspect(&["forget", &id.to_string()]));
    assert_eq!(forget(KNOWN).0, Some(1), "it is in use");
    exporter.kill();
    let whole = home.bytes();
    let stranger = Uuid::from_u128(99_999);
    let (code, text) = forget(stranger);
    assert_eq!(code, Some(4), "the code of a user who is not there: {text}");
    assert!(text.contains(&format!("holds nothing about the user {stranger}")), "{text}");
    assert!(home.bytes() == whole, "stranger is forgotten without a trace of it");

    assert!(ids(&home).contains(&KNOWN));
    let (code, text) = forget(KNOWN);
    assert_eq!(code, Some(0), "{text}");
    for (id, ..) in ACCOUNTS {
        assert!(text.contains(&format!("account {id}: forgot user {KNOWN} and 4 event keys\n")), "{text}");
    }
    let sentence = format!(
        "done: {} holds only a keyed hash of the user now; counters stay as they are\n",
        home.state().display()
    );
    assert!(text.ends_with(&sentence), "{text}");
    let known = ids(&home);
    assert!(!known.contains(&KNOWN) && known.contains(&Uuid::from_u128(6)), "{known:?}");

    // Cloudflare lists the user still, with all events and the reset.
    let mut exporter = home.start();
    let is_listed_again = |scrape: &Scrape| {
        let series = |alias| format!("user_max_risk_level{{account=\"{alias}\",user=\"{KNOWN}\"}}");
        ACCOUNTS.into_iter().all(|(_, alias, _)| scrape.get(&series(alias)).is_some())
            && scrape.sum("pending_users") == 0.0
            && scrape.sum("zt_risk_exporter_requests_total") >= 8.0
    };
    let scrape = exporter.until("the user is is_listed_again again, and read", is_listed_again);
    scrape.assert_not_behind(&before, "after the user was forgotten");
    assert!(api.agrees(&scrape), "an old event or reset was counted again\n{scrape}");
    api.event(ACCOUNTS[0].0, KNOWN, "imp_travel");
    exporter.until("a new event is counted", |scrape| {
        api.agrees(scrape) && scrape.sum("events_total") > before.sum("events_total")
    });
}

#[test]
fn a_user_is_named_as_for_the_command_user() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let (mut exporter, _) = counted(&api, &home);
    exporter.kill();
    let key = [7; 16];
    fs::write(home.path().join("key"), key).expect("it can be written");
    let config = fs::read_to_string(home.config()).expect("it is there");
    home.configure(&format!("{config}users: {{ identity: hash, hash_key_file: key }}\n"));
    let hash = UserLabel::hash(&key).label(KNOWN).expect("a hash");
    let known = KNOWN.to_string();

    let file = home.config();
    let file = file.to_str().expect("text");
    let inspect =
        |arguments: &[&str]| outcome(&home.inspect(&[arguments, &["--config.file", file]].concat()));
    let requests = || api.simulator.ground_truth().requests.len();
    let before = requests();
    for (named, is_looked_up) in
        [(&*known, false), (&*hash, false), ("person.7@example.com", true), ("Somebody 7", true)]
    {
        let (code, text) = inspect(&["show", "--user", named]);
        assert_eq!(code, Some(0), "{named}: {text}");
        for (id, ..) in ACCOUNTS {
            assert!(text.contains(&format!("account {id}: user {KNOWN}\n")), "{named}: {text}");
        }
        assert_eq!(requests() > before, is_looked_up, "{named}");
    }
    let whole = home.bytes();
    for (named, code, said) in [
        (
            "nobody",
            4,
            "no user on the risk lists of 2 accounts matches \"nobody\"; a user who is no longer listed is named by id",
        ),
        (
            "Somebody",
            4,
            "\"Somebody\" matches 120 users of 2 accounts; name one by id, or choose the account with --account; \
             `zt-risk-exporter users TEXT --output wide` shows the ids",
        ),
    ] {
        let (ended, text) = inspect(&["forget", named]);
        assert_eq!(ended, Some(code), "{text}");
        assert!(text.contains(said), "{text}");
    }
    let (code, text) = outcome(&home.inspect(&["forget", "person.7@example.com"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("only an id names a user without a configured account"), "{text}");
    assert!(home.bytes() == whole);

    let (code, text) = inspect(&["forget", "PERSON.7@example.com", "--account", "first"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("forgot user {KNOWN}")) && !text.contains("person.7"), "{text}");
    assert!(!ids(&home).contains(&KNOWN));
}

#[test]
fn a_state_file_is_for_its_owner_alone_and_says_nothing_of_people_or_events() {
    let api = SimulatedApi::start();
    let home = Home::new(&api, 1.0);
    let config = fs::read_to_string(home.config()).expect("it is there");
    fs::write(home.config(), config + "users: { identity: email }\n").expect("it can be written");
    let (mut exporter, scrape) = counted(&api, &home);
    assert!(scrape.sum("user_info") > 0.0, "the exporter knows names and addresses\n{scrape}");
    let mode = fs::metadata(home.state()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    exporter.kill();
    let bytes = home.bytes();
    let holds = |text: &[u8]| memchr::memmem::find(&bytes, text).is_some();
    assert!(holds(KNOWN.as_bytes()) && holds(b"imp_travel"), "what is looked for is found where it is");
    for secret in ["example.com", "person.", "Somebody", "Impossible Travel,", "Bearer"] {
        assert!(!holds(secret.as_bytes()), "{secret} stands in the file");
    }
    let events = api.simulator.ground_truth().events;
    assert!(events.len() > 60);
    for event in events {
        assert!(!holds(event.id.as_bytes()), "the event {} stands in the file", event.id);
        let id = Uuid::try_parse(&event.id).expect("ids are UUIDs here");
        assert!(!holds(id.as_bytes()), "the event {} stands in the file, in short", event.id);
    }
}
