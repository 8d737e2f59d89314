//! A directory with a token file for each account: files that come, go, change, and cannot be used.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::world::{Listed, World, id};
use super::{FAST, up};
use crate::durability::process::{Exporter, Home, Scrape};
use crate::program::program;

/// A home whose accounts are in the directory `tokens`.
struct Place {
    world: World,
    home: Home,
}

impl Place {
    fn new() -> Self {
        let place = Self { world: World::start(), home: Home::empty() };
        fs::create_dir(place.tokens()).expect("a directory");
        place.configure(&[]);
        place
    }

    fn tokens(&self) -> PathBuf {
        self.home.path().join("tokens")
    }

    /// Configures the directory, beside these accounts.
    fn configure(&self, listed: &[Listed<'_>]) {
        let rest = format!("{FAST}\naccounts_from: {{ tokens_dir: tokens }}");
        self.home.configure(&self.world.config(&self.home, listed, &rest));
    }

    /// Writes a token file as tools do: it is always whole.
    fn write(&self, file: &str, content: &str) {
        let new = self.tokens().join(".new");
        fs::write(&new, content).expect("a file");
        fs::rename(new, self.tokens().join(file)).expect("the same directory");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.tokens().join(file)).expect("it is there");
    }
}

/// The name of an account's file.
fn file(account: usize, alias: &str) -> String {
    format!("{}.{alias}", id(account))
}

fn files(scrape: &Scrape, result: &str) -> Option<f64> {
    scrape.get(&format!("zt_risk_exporter_token_files{{result=\"{result}\"}}"))
}

/// Reloads, and returns what changed.
fn reload(exporter: &mut Exporter) -> String {
    let (status, text) = exporter.reload();
    assert_eq!(status, 200, "{text}");
    text
}

#[test]
fn files_come_go_and_change_and_one_that_cannot_be_used_concerns_its_account_alone() {
    let place = Place::new();
    let (first, second) = (Listed::new(0, "first", "t0"), Listed::new(1, "second", "t1"));
    place.write(&file(0, "first"), "t0\n");
    let mut exporter = place.home.start();
    exporter.until("the first is read", |scrape| up("first")(scrape) && files(scrape, "used") == Some(1.0));
    place.world.events(0, 3);

    place.write(&file(1, "second"), "t1");
    assert_eq!(reload(&mut exporter), "account \"second\" was added");
    exporter.until("the second is read", |scrape| up("second")(scrape) && scrape.counted("first") == 3.0);
    place.world.events(1, 2);
    exporter.until("both are counted", |scrape| place.world.agrees(scrape, &[first, second]));

    // Another token. The poller may find it before the reload does.
    place.write(&file(1, "second"), "t2");
    let changes = reload(&mut exporter);
    assert!(
        ["nothing changed", "the credential of account \"second\" changed"].contains(&&*changes),
        "{changes}"
    );
    exporter.until("it is used", |_| place.world.spent("t2", "t2") > 0);

    // The second has no token any more, and a third never had one.
    place.write(&file(1, "second"), "");
    place.write(&file(2, "third"), "two words");
    place.write("notes.txt", "do not touch");
    let changes = reload(&mut exporter);
    let parts: Vec<&str> = changes.split("; ").collect();
    assert_eq!(parts.len(), 3, "{changes}");
    for (part, wanted) in parts.iter().zip([file(1, "second"), file(2, "third"), "notes.txt".to_owned()]) {
        assert!(part.starts_with(&format!("token file \"{wanted}\" is not used: ")), "{part}");
    }
    exporter.until_logged("a problem with accounts_from.tokens_dir");
    place.world.events(0, 1);
    place.world.events(1, 1);
    let scrape = exporter.until("both are counted on", |scrape| {
        scrape.counted("first") == 4.0 && scrape.counted("second") == 3.0
    });
    assert!(up("second")(&scrape) && !scrape.has("up{account=\"third\""), "{scrape}");
    let results = ["used", "bad_name", "unusable", "duplicate_account", "duplicate_alias"];
    assert_eq!(results.map(|result| files(&scrape, result)), [1.0, 1.0, 2.0, 0.0, 0.0].map(Some));
    let status = exporter.client().get("/api/v1/status?view=overview").expect("an answer");
    for part in
        ["\"token_files\":{\"used\":1,\"problems\":[", "\"file\":\"notes.txt\",\"result\":\"bad_name\""]
    {
        assert!(status.contains(part), "{part} in {status}");
    }

    // All are in order again.
    place.write(&file(1, "second"), "t1");
    place.write(&file(2, "third"), "t3");
    place.remove("notes.txt");
    let changes = reload(&mut exporter);
    for part in [
        "account \"third\" was added".to_owned(),
        format!("the problem of token file {:?} is over", file(1, "second")),
        "the problem of token file \"notes.txt\" is over".to_owned(),
    ] {
        assert!(changes.split("; ").any(|change| change == part), "{part} in {changes}");
    }
    exporter.until("the third is read", |scrape| up("third")(scrape) && files(scrape, "used") == Some(3.0));

    place.remove(&file(0, "first"));
    assert_eq!(reload(&mut exporter), "account \"first\" was removed");
    let gone = exporter.until("its series are gone", |scrape| !scrape.has("users{account=\"first\""));
    assert_eq!(files(&gone, "used"), Some(2.0));
    // Its counters continue when it comes back, under another alias.
    place.write(&file(0, "uno"), "t0");
    assert_eq!(reload(&mut exporter), "account \"uno\" was added");
    exporter.until("it counts on", |scrape| scrape.counted("uno") == 4.0);
}

#[test]
fn a_directory_that_cannot_be_listed_or_has_become_empty_removes_no_account() {
    let place = Place::new();
    let away = place.home.path().join("away");
    let mut exporter = place.home.start();
    exporter.until("nothing is there yet", |scrape| files(scrape, "used") == Some(0.0));
    exporter.until_logged("accounts_from.tokens_dir has no token files");
    place.write(&file(0, "first"), "t0");
    assert_eq!(reload(&mut exporter), "account \"first\" was added");
    exporter.until("it is read", up("first"));

    fs::rename(place.tokens(), &away).expect("the same directory");
    let (status, text) = exporter.reload();
    assert!(
        status == 500 && text.contains("accounts_from.tokens_dir cannot be used: cannot list "),
        "{text}"
    );
    // As if its volume were not mounted.
    fs::create_dir(place.tokens()).expect("a directory");
    let (status, text) = exporter.reload();
    assert!(
        status == 500 && text.contains("is empty now, and all of its accounts would be removed"),
        "{text}"
    );
    place.world.events(0, 2);
    exporter.until("it is read on", |scrape| up("first")(scrape) && scrape.counted("first") == 2.0);
    fs::remove_dir(place.tokens()).expect("it is empty");
    fs::rename(&away, place.tokens()).expect("the same directory");
    assert_eq!(reload(&mut exporter), "nothing changed");

    // Without the setting, the last account can be removed.
    let listed = Listed::new(1, "second", "t1");
    place.configure(&[listed]);
    assert_eq!(reload(&mut exporter), "account \"second\" was added");
    place.home.configure(&place.world.config(&place.home, &[listed], FAST));
    let changes = reload(&mut exporter);
    assert!(
        changes.starts_with("account \"first\" was removed; accounts_from.tokens_dir is not set, was "),
        "{changes}"
    );
    exporter.until("the metric is gone", |scrape| files(scrape, "used").is_none());
}

/// Publishes tokens as Kubernetes does for a Secret: the visible names are links into a directory that is replaced.
fn publish(place: &Place, version: u32, tokens: &[(&str, &str)]) {
    let root = place.tokens();
    let directory = root.join(format!("..{version}"));
    fs::create_dir(&directory).expect("a directory");
    for (name, token) in tokens {
        fs::write(directory.join(name), token).expect("a file");
    }
    symlink(format!("..{version}"), root.join("..new")).expect("a link");
    fs::rename(root.join("..new"), root.join("..data")).expect("the same directory");
    for (name, _) in tokens {
        if root.join(name).symlink_metadata().is_err() {
            symlink(format!("..data/{name}"), root.join(name)).expect("a link");
        }
    }
    for entry in fs::read_dir(&root).expect("it can be listed") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        if !name.starts_with('.') && tokens.iter().all(|(known, _)| *known != name) {
            fs::remove_file(entry.path()).expect("a link");
        }
    }
}

#[test]
fn a_mounted_secret_is_followed_without_a_request() {
    let place = Place::new();
    let [first, second, third] = [file(0, "first"), file(1, "second"), file(2, "third")];
    publish(&place, 1, &[(&first, "t0"), (&second, "")]);
    let mut command = program();
    command.args(["--config.auto-reload", "--config.auto-reload-interval=1s", "--config.file"]);
    let mut exporter = place.home.spawn(command.arg(place.home.config()));
    let is = |scrape: &Scrape, result, count| files(scrape, result) == Some(count);
    exporter.until("the first is read", |scrape| up("first")(scrape) && is(scrape, "unusable", 1.0));
    // A file that could not be used, and a new one.
    publish(&place, 2, &[(&first, "t0"), (&second, "t1"), (&third, "t2")]);
    exporter.until("all are read", |scrape| {
        up("second")(scrape) && up("third")(scrape) && is(scrape, "used", 3.0) && is(scrape, "unusable", 0.0)
    });
    publish(&place, 3, &[(&first, "t0"), (&third, "t2")]);
    let scrape = exporter.until("the second is gone", |scrape| !scrape.has("up{account=\"second\""));
    assert!(up("first")(&scrape) && up("third")(&scrape), "{scrape}");
}
