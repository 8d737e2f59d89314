//! The same commands at a terminal: the confirmation, the progress bar, the colors, the width.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::rig::{ANN, BOB, CEM, Rig, SCENARIO, program};
use crate::program::{is_installed, skip};

/// A terminal of this many columns, and the path at which programs open it.
fn terminal(columns: u16) -> (OwnedFd, String) {
    let terminal: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    (terminal, path)
}

fn open(path: &str) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Runs the program at a terminal of this many columns, and types the result of `answer` at the question. Returns what
/// the terminal showed, and the exit code.
fn at_terminal(
    rig: &Rig,
    columns: u16,
    colours: Option<&str>,
    answer: impl FnOnce() -> &'static str,
    arguments: &[&str],
) -> (String, i32) {
    let (terminal, path) = terminal(columns);
    let mut command = program(&rig.upstream(), "everything", arguments);
    command.stdin(open(&path)).stdout(open(&path)).stderr(open(&path)).env("TERM", "xterm-256color");
    if let Some(value) = colours {
        command.env("NO_COLOR", value);
    }
    watch(command, terminal, answer)
}

/// Runs a command about three accounts with these aliases at a terminal of 80 columns.
fn with_accounts(aliases: [&str; 3], arguments: &[&str]) -> (String, i32) {
    let user = |at: usize, name: &str| {
        let id = format!("{at:08}-1111-4111-8111-111111111111");
        let email = format!("{}@example.com", name.replace(' ', "."));
        format!(
            "  - {{ id: {id}, name: {name}, email: {email}, events: [{{ behavior: high_dlp, at: -90m }}] }}\n"
        )
    };
    let names = ["Wilhelmina Featherstonehaugh", "Ann Lee", "Maximiliana van der Lindenberg"];
    let (mut scenario, mut config) = ("accounts:\n".to_owned(), "accounts:\n".to_owned());
    for (at, (alias, name)) in aliases.iter().zip(names).enumerate() {
        scenario.push_str(&format!("- id: '{:032}'\n  users:\n{}", at + 1, user(at, name)));
        config.push_str(&format!("- {{ id: '{:032}', alias: {alias}, token: everything }}\n", at + 1));
    }
    scenario.push_str(
        "tokens:\n- { token: everything, permissions: [Zero Trust Read, Zero Trust Write, 'Zero Trust: PII Read'] }\n",
    );
    let rig = Rig::playing(&scenario);
    let config = rig.file("zt.yaml", &format!("{config}cloudflare: {{ base_url: '{}' }}\n", rig.upstream()));
    let arguments = [arguments, &["--config.file", config.to_str().unwrap()]].concat();
    let (terminal, path) = terminal(80);
    let mut command = crate::program::program();
    command.stdin(open(&path)).stdout(open(&path)).stderr(open(&path));
    command.env("TERM", "xterm-256color").env("NO_COLOR", "1").args(arguments);
    watch(command, terminal, || "y\n")
}

/// Runs the command at a terminal.
fn watch(mut command: Command, terminal: OwnedFd, answer: impl FnOnce() -> &'static str) -> (String, i32) {
    let mut child = command.spawn().unwrap();
    // The command keeps its own ends open: with them closed the terminal ends when the program does.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut terminal = File::from(terminal);
    let (mut seen, mut answer) = (Vec::new(), Some(answer));
    let mut part = [0; 4096];
    // Reading a closed terminal is an error.
    while let Ok(length @ 1..) = terminal.read(&mut part) {
        seen.extend_from_slice(&part[..length]);
        if String::from_utf8_lossy(&seen).contains("[y/N] ")
            && let Some(answer) = answer.take()
        {
            terminal.write_all(answer().as_bytes()).unwrap();
        }
    }
    let code = child.wait().unwrap().code().unwrap();
    (String::from_utf8(seen).unwrap().replace("\r\n", "\n"), code)
}

#[test]
fn the_question_shows_the_reset_and_the_answer_decides() {
    for (typed, code, resets) in
        [("y\n", 0, 2), ("yes\n", 0, 2), ("n\n", 5, 0), ("\n", 5, 0), ("\u{4}", 5, 0)]
    {
        let rig = Rig::new();
        let (seen, ended) = at_terminal(&rig, 200, None, || typed, &["reset", "ann", BOB]);
        let (shown, after) = seen.split_once("Reset the risk of 2 users? [y/N] ").unwrap();
        for word in ["Ann Lee", "bob@example.com", "high", "low", "EVENTS", "risk history"] {
            assert!(shown.contains(word), "{word} in {shown}");
        }
        assert_eq!((ended, rig.resets().len()), (code, resets), "{typed:?}: {after}");
        assert_eq!(after.contains("nothing was done"), code == 5, "{typed:?}: {after}");
        assert_eq!(after.contains("2 of 2"), code == 0, "the bar is full: {after}");
    }
}

#[test]
fn a_change_during_the_question_stops_the_reset() {
    let rig = Rig::new();
    let answer = || {
        rig.append_event(ANN, "malicious_file");
        "y\n"
    };
    let (seen, code) = at_terminal(&rig, 200, None, answer, &["reset", BOB, ANN]);
    assert_eq!((code, rig.resets().len()), (1, 0), "{seen}");
    assert!(
        seen.contains(&format!(
            "nothing was reset: the risk of {ANN} changed meanwhile; review it and try again"
        )),
        "{seen}"
    );
}

#[test]
fn a_budget_that_became_too_small_during_the_question_stops_the_reset() {
    let rig = Rig::playing(&format!("limit: {{ quota: 10 }}{SCENARIO}"));
    let (seen, code) = at_terminal(&rig, 200, None, || "y\n", &["reset", ANN, BOB, CEM]);
    // A quarter of the remaining requests, rounded up, is ours: of 9 before the question, of 8 after it.
    assert!(seen.contains("Reset the risk of 3 users? [y/N] "), "{seen}");
    let said = "3 users to reset, and the request budget has 2 requests left";
    assert!(seen.contains(said), "{seen}");
    assert_eq!((code, rig.resets().len()), (1, 0), "{seen}");
}

#[test]
fn every_other_change_asks_for_confirmation_too() {
    let rig = Rig::new();
    let file = rig.file("baseline.yaml", "imp_travel: { enabled: false, risk_level: high }\n");
    let integration = super::rig::INTEGRATION;
    for (arguments, question) in [
        (&["behaviors", "set", "imp_travel", "--disable"][..], "Change 1 behavior? [y/N] "),
        (&["behaviors", "apply", file.to_str().unwrap()], "Change 1 behavior? [y/N] "),
        (
            &["integrations", "create", "--tenant-url", "https://new.okta.com"],
            "to https://new.okta.com from now on? [y/N] ",
        ),
        (
            &["integrations", "update", integration, "--deactivate"],
            "active  true  false\nChange this integration? [y/N] ",
        ),
        (&["integrations", "delete", integration], "Delete this integration? [y/N] "),
    ] {
        let (seen, code) = at_terminal(&rig, 200, None, || "n\n", arguments);
        assert!(seen.contains(question), "{seen}");
        assert_eq!(code, 5, "{arguments:?}: {seen}");
    }
    for method in ["PUT", "POST", "DELETE"] {
        assert_eq!(rig.requests(method), 0, "{method}");
    }
}

#[test]
fn the_table_of_a_question_fits_the_terminal_even_if_standard_output_is_a_file() {
    if !is_installed("setsid") {
        return skip("a terminal beside standard output, since setsid is not installed");
    }
    let rig = Rig::new();
    let (terminal, path) = terminal(80);
    let reset = program(&rig.upstream(), "everything", &["reset", ANN]);
    // A terminal reports its width to its own session.
    let mut command = Command::new("setsid");
    command.env_clear().arg("--ctty").arg(reset.get_program()).args(reset.get_args());
    for (name, value) in reset.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.stdin(open(&path)).stdout(Stdio::null()).stderr(open(&path));
    let (seen, code) = watch(command, terminal, || "n\n");
    assert!(seen.contains("Ann Lee") && seen.lines().all(|line| line.chars().count() <= 80), "{seen}");
    assert_eq!(code, 5, "{seen}");
}

#[test]
fn a_table_has_one_line_a_row_that_fits_the_terminal() {
    let rig = Rig::new();
    for (columns, whole) in [(200, true), (80, true), (44, false)] {
        let (seen, code) = at_terminal(&rig, columns, Some("1"), || "", &["users"]);
        assert_eq!(code, 0, "{seen}");
        assert!(!seen.contains('\u{1b}'), "NO_COLOR is set: {seen:?}");
        assert!(seen.lines().all(|line| line.chars().count() <= usize::from(columns)), "{seen}");
        assert_eq!(seen.lines().count(), 6, "an account, titles and four users: {seen}");
        assert_eq!(seen.contains("ann@example.com"), whole, "{seen}");
        assert_eq!(seen.contains('…'), !whole, "{seen}");
    }
    let (seen, _) = at_terminal(&rig, 44, Some("1"), || "", &["users", "--output", "wide"]);
    assert!(seen.contains(ANN) && seen.contains("ann@example.com") && !seen.contains('…'), "{seen}");
    let (seen, _) = at_terminal(&rig, 200, Some(""), || "", &["users", "--level", "high"]);
    assert!(seen.contains('\u{1b}'), "an empty NO_COLOR is none: {seen:?}");
}

#[test]
fn no_log_line_stands_in_a_dialogue_unless_a_flag_asks_for_the_log() {
    for (flags, is_logged) in [(&[][..], false), (&["--log.level", "info"], true)] {
        let rig = Rig::new();
        let arguments = [&["reset", "ann"], flags].concat();
        let (seen, code) = at_terminal(&rig, 80, Some("1"), || "y\n", &arguments);
        assert_eq!((code, rig.resets().len()), (0, 1), "{seen}");
        assert_eq!(seen.contains("zt_risk_exporter::operator"), is_logged, "{seen}");
        assert!(
            seen.contains("OUTCOME  BEFORE  AFTER  EVENTS  NAME     EMAIL\ndone     high    none "),
            "{seen}"
        );
        let command = format!("`zt-risk-exporter user {ANN}`\n");
        assert!(seen.ends_with(&command), "the command is not broken over two lines: {seen}");
    }
}

#[test]
fn prose_is_wrapped_at_words_on_a_terminal_only() {
    let rig = Rig::new();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for (arguments, wanted) in [(&["user", "nobody"][..], 4), (&["users", "--since", "tomorrow"], 2)] {
        let (seen, code) = at_terminal(&rig, 40, Some("1"), || "", arguments);
        assert_eq!(code, wanted, "{seen}");
        assert!(seen.lines().count() > 1 && seen.lines().all(|line| line.chars().count() <= 40), "{seen}");
        let whole = rig.run(arguments).err;
        assert!(whole.lines().any(|line| line.len() > 40), "{whole}");
        assert_eq!(words(&seen), words(&whole));
    }
}

#[test]
fn a_table_with_accounts_fits_80_columns_and_shortens_the_account_last() {
    let long = "a-very-long-alias-of-an-account-that-leaves-no-room-for-the-rest";
    for (aliases, is_whole) in [(["acme", "branch", "corp"], true), (["acme", long, "corp"], false)] {
        for arguments in [&["users"][..], &["user", "e"], &["reset", "ann", "max", "wil"]] {
            let (seen, _) = with_accounts(aliases, arguments);
            // The bar is drawn over and wiped.
            let seen = seen.replace("\u{1b}[2K", "");
            let lines: Vec<&str> = seen.lines().filter_map(|line| line.rsplit('\r').next()).collect();
            assert!(lines.iter().all(|line| line.chars().count() <= 80), "{seen}");
            assert!(seen.contains("ACCOUNT") && seen.contains("acme"), "{arguments:?}: {seen}");
            assert_eq!(seen.contains(aliases[1]), is_whole, "{arguments:?}: {seen}");
            assert!(seen.contains(&aliases[1][..6]), "{arguments:?}: {seen}");
        }
    }
}

#[test]
fn a_search_over_accounts_shows_its_progress_on_a_terminal_only() {
    let (seen, code) = with_accounts(["acme", "branch", "corp"], &["users"]);
    assert!(seen.contains("reading account ") && seen.contains("3 of 3"), "{seen:?}");
    assert_eq!(code, 0, "{seen}");
    let (seen, _) = with_accounts(["acme", "branch", "corp"], &["users", "--account", "acme"]);
    assert!(!seen.contains("reading account "), "one account needs none: {seen:?}");
    let (seen, _) = with_accounts(["acme", "branch", "corp"], &["check"]);
    assert!(seen.contains("checking account ") && seen.contains("3 accounts are well"), "{seen:?}");
}
