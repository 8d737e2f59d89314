//! What asks for a reload: a signal, a request, and a file that has changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::world::{Listed, World};
use super::{FAST, start, up};
use crate::durability::process::{Exporter, Home, Scrape};
use crate::program::{program, signal};

const SUCCESSFUL: &str = "zt_risk_exporter_config_last_reload_successful";

pub(super) fn is_reloaded(value: f64) -> impl Fn(&Scrape) -> bool {
    move |scrape| scrape.get(SUCCESSFUL) == Some(value)
}

pub(super) fn hang_up(exporter: &Exporter) {
    signal(exporter.id(), "HUP");
}

#[test]
fn sighup_reloads_and_a_broken_file_changes_nothing() {
    let (world, home) = (World::start(), Home::empty());
    let [first, second] = [Listed::new(0, "first", "t0"), Listed::new(1, "second", "t1")];
    let mut exporter = start(&world, &home, &[first], FAST);
    exporter.until("counting", |scrape| up("first")(scrape) && is_reloaded(1.0)(scrape));

    home.configure(&world.config(
        &home,
        &[first, second],
        "intervals: { summary: 1s }\nlog: { level: debug }",
    ));
    hang_up(&exporter);
    exporter.until("the second is read", up("second"));
    exporter.until_logged("the configuration was reloaded by=\"SIGHUP\"");
    exporter.until_logged(" DEBUG ");

    home.configure(&world.config(&home, &[second], "intervals: { sumary: 1s }"));
    hang_up(&exporter);
    exporter.until("the failure is shown", is_reloaded(0.0));
    exporter.until_logged("cannot reload the configuration; the previous one stays in use");
    assert!(exporter.logged().contains("intervals.sumary is not a known key"), "{}", exporter.logged());
    world.events(0, 3);
    exporter.until("the first is polled on", |scrape| scrape.counted("first") == 3.0);

    home.configure(&world.config(&home, &[second], FAST));
    hang_up(&exporter);
    exporter
        .until("the first is gone", |scrape| is_reloaded(1.0)(scrape) && !scrape.has("up{account=\"first\""));
    assert!(exporter.terminate().success());
}

#[test]
fn a_reload_request_returns_the_changes_or_the_reason_of_the_failure() {
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    let mut exporter = start(&world, &home, &[first], FAST);
    assert_eq!(exporter.reload(), (200, "nothing changed".to_owned()));
    let broken: [(String, &str); 4] = [
        ("accounts: [".to_owned(), "not valid YAML"),
        (
            world.config(&home, &[first, Listed::new(0, "again", "t0")], FAST),
            "an account may be listed only once",
        ),
        (
            world.config(
                &home,
                &[Listed::new(1, "other", "t1")],
                "users: { identity: hash, hash_key_file: none }",
            ),
            "users.hash_key_file",
        ),
        (
            world.config(&home, &[first], "log: { format: json }\nshard: { index: 0, total: 2 }"),
            "a change of shard.index, shard.total, log.format needs a restart",
        ),
    ];
    for (text, wanted) in broken {
        home.configure(&text);
        let (status, reason) = exporter.reload();
        assert_eq!(status, 500, "{reason}");
        assert!(reason.contains(wanted), "{reason:?} does not say {wanted:?}");
    }
    exporter.until("the first is polled on", |scrape| up("first")(scrape) && is_reloaded(0.0)(scrape));
    fs::remove_file(home.config()).expect("it is there");
    let (status, reason) = exporter.reload();
    assert!(status == 500 && reason.contains("No such file"), "{status} {reason}");
    home.configure(&world.config(&home, &[first], FAST));
    assert_eq!(exporter.reload(), (200, "nothing changed".to_owned()));
    assert!(is_reloaded(1.0)(&exporter.scrape().expect("a scrape")));
}

#[test]
fn the_answer_lists_all_errors_and_the_log_has_them_in_one_line() {
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    let mut exporter = start(&world, &home, &[first], FAST);
    exporter.until("counting", up("first"));
    let broken = "\
        web: {enable_lifecycle: maybe}\n\
        users: {identity: hash, hash_key_file: none/key, limit: many}\n\
        config: {auto_reload: maybe, auto_reload_interval: 0s}\n\
        accounts:\n\
        - {id: acme, token_file: none/token}\n\
        - {id: 00000000000000000000000000000001, tokn: t0}\n";
    home.configure(broken);
    let (status, reason) = exporter.reload();
    let path = format!("{}/", home.path().display());
    let duration = "a duration from 1s to 1d, written like 30s, 5m or 1h30m";
    let wanted = [
        "the configuration has 8 errors:".to_owned(),
        "config.yaml:1: web.enable_lifecycle is \"maybe\", but must be true or false".to_owned(),
        "config.yaml:2: users.limit is \"many\", but must be a whole number from 0 to 100000".to_owned(),
        "config.yaml:2: users.hash_key_file cannot be used: cannot read none/key: No such file or directory (os error 2)"
            .to_owned(),
        format!("config.yaml:3: config.auto_reload_interval is \"0s\", but must be {duration}"),
        "config.yaml:3: config.auto_reload is \"maybe\", but must be true or false".to_owned(),
        "config.yaml:5: accounts[0].id must be 32 hexadecimal digits, as in the address of the dashboard".to_owned(),
        "config.yaml:5: accounts[0].token_file cannot be used: cannot read none/token: No such file or directory (os error 2)"
            .to_owned(),
        "config.yaml:6: accounts[1].tokn is not a known key; did you mean accounts[1].token?".to_owned(),
    ];
    assert_eq!((status, reason.replace(&path, "")), (500, wanted.join("\n")));
    exporter.until_logged(&format!("by=\"/-/reload\" reason={reason:?}"));
    exporter.until("the first is polled on", |scrape| up("first")(scrape) && is_reloaded(0.0)(scrape));
    home.configure(&world.config(&home, &[first], FAST));
    assert_eq!(exporter.reload(), (200, "nothing changed".to_owned()));
}

#[test]
fn requests_at_the_same_time_wait_each_for_a_reload_of_its_own() {
    /// More than may wait in the queue, and fewer than the connections of one peer.
    const REQUESTS: usize = 24;
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    let mut exporter = start(&world, &home, &[first], FAST);
    exporter.until("counting", up("first"));
    let client = exporter.client();
    let results: Vec<(u16, String)> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..REQUESTS).map(|_| scope.spawn(move || client.reload())).collect();
        asking.into_iter().map(|asking| asking.join().expect("no panic").expect("an answer")).collect()
    });
    assert!(results.iter().all(|result| *result == (200, "nothing changed".to_owned())), "{results:?}");
    // The log is written in the background, up to the end of the process.
    assert!(exporter.terminate().success());
    let reloads = exporter.logged().matches("the configuration was reloaded").count();
    assert_eq!(reloads, REQUESTS);
}

#[test]
fn reloads_do_not_delay_a_stop_and_are_answered() {
    let (world, home) = (World::start(), Home::empty());
    let first = Listed::new(0, "first", "t0");
    for _ in 0..3 {
        let mut exporter = start(&world, &home, &[first], FAST);
        exporter.until("counting", up("first"));
        let client = exporter.client();
        let (began, begins) = std::sync::mpsc::sync_channel(1024);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let began = began.clone();
                scope.spawn(move || {
                    // Until the exporter is stopping, or is gone.
                    while let Ok((status, text)) = client.reload() {
                        if status == 503 {
                            assert_eq!(text, "stopping");
                            return;
                        }
                        assert_eq!((status, text.as_str()), (200, "nothing changed"));
                        let _ = began.try_send(());
                    }
                });
            }
            for _ in 0..8 {
                begins.recv().expect("a reload");
            }
            assert!(exporter.terminate().success());
        });
        let log = exporter.logged();
        assert!(!log.contains("connections were still open at the end of the drain"), "{log}");
    }
}

#[test]
fn a_pipe_in_place_of_the_configuration_stops_neither_a_start_nor_the_next_reload() {
    let (world, home) = (World::start(), Home::empty());
    let mut exporter = start(&world, &home, &[Listed::new(0, "first", "t0")], FAST);
    exporter.until("counting", up("first"));
    let config = home.config();
    let good = fs::read_to_string(&config).expect("a configuration");
    fs::remove_file(&config).expect("it is there");
    assert!(Command::new("mkfifo").arg(&config).status().expect("mkfifo runs").success());
    let refused =
        format!("cannot read the configuration file {}: it is not a regular file", config.display());
    assert_eq!(exporter.reload(), (500, refused));
    let told = format!(
        "configuration {}, or a file that it names: the file cannot be read within 10 s",
        config.display()
    );
    let commands: [&[&str]; 4] = [&["serve"], &["check"], &["check", "--offline"], &["healthcheck"]];
    std::thread::scope(|scope| {
        for ended in commands.map(|arguments| {
            let mut command = program();
            command.args(arguments).arg("--config.file").arg(&config);
            scope.spawn(move || (arguments, command.output().expect("the program runs")))
        }) {
            let (arguments, output) = ended.join().expect("it has ended");
            let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {printed}");
            assert!(printed.contains(&told), "{arguments:?}: {printed}");
        }
    });
    home.configure(&good);
    assert_eq!(exporter.reload(), (200, "nothing changed".to_owned()));
}

/// Where a volume of Kubernetes has its files: `config.yaml` leads to `..data/config.yaml`, and `..data` to a directory that
/// is replaced with all its files.
struct Volume<'a>(&'a Home);

impl Volume<'_> {
    fn publish(&self, version: u32, text: &str) {
        let root = self.0.path().join("volume");
        let directory = root.join(format!("..{version}"));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("config.yaml"), text).expect("a file");
        let link = root.join("..new");
        symlink(format!("..{version}"), &link).expect("a link");
        fs::rename(&link, root.join("..data")).expect("the same directory");
        if !root.join("config.yaml").exists() {
            symlink("..data/config.yaml", root.join("config.yaml")).expect("a link");
        }
    }

    fn start(&self) -> Exporter {
        let mut command = program();
        command
            .args(["--config.auto-reload", "--config.auto-reload-interval=1s", "--config.file"])
            .arg(self.0.path().join("volume/config.yaml"));
        self.0.spawn(&mut command)
    }
}

#[test]
fn a_volume_whose_files_are_replaced_is_noticed_and_a_missing_token_is_tried_again() {
    let (world, home) = (World::start(), Home::empty());
    let [first, second] = [Listed::new(0, "first", "t0"), Listed::new(1, "second", "t1")];
    let volume = Volume(&home);
    volume.publish(1, &world.config(&home, &[first], FAST));
    let mut exporter = volume.start();
    exporter.until("counting", up("first"));
    // The same content is no change.
    volume.publish(2, &world.config(&home, &[first], FAST));
    volume.publish(3, &world.config(&home, &[first, second], FAST));
    exporter.until("the second is read", up("second"));
    assert_eq!(exporter.logged().matches("the configuration was reloaded").count(), 1);

    // The file of a token comes after the configuration that names it.
    let token = home.path().join("token");
    let text = world
        .config(&home, &[second], FAST)
        .replace("token: t1", &format!("token_file: {}", token.display()));
    volume.publish(4, &text);
    exporter.until("the token is missing", |scrape| is_reloaded(0.0)(scrape) && up("first")(scrape));
    fs::write(&token, "t1\n").expect("a file");
    exporter
        .until("the first is gone", |scrape| is_reloaded(1.0)(scrape) && !scrape.has("up{account=\"first\""));
    let warnings = exporter.logged().matches("cannot reload the configuration").count();
    assert_eq!(warnings, 1, "{}", exporter.logged());

    // A broken file that becomes again what it was.
    volume.publish(5, "accounts: none");
    exporter.until("the failure is shown", is_reloaded(0.0));
    volume.publish(6, &text);
    exporter.until("it is over", is_reloaded(1.0));
}
