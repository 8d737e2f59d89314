//! The architecture that `src/lib.rs` describes is the one that the code has.
//!
//! The list of rooms in its documentation is read as data: the rooms are the folders of `src/`, a room imports only
//! rooms below it, and inside a room no files import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module as it is written in a path after `crate::`, such as `["collector", "ledger"]`.
type Module = Vec<String>;

/// What each module imports, by module. `main.rs`, `lib.rs` and `internals.rs` belong to no room.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources
                    .insert(module_of(path.strip_prefix(&src).unwrap()), fs::read_to_string(&path).unwrap());
            }
        }
    }
    for root in ["internals", "lib", "main"] {
        sources.remove(&vec![root.to_owned()]).expect("the files beside the rooms");
    }
    let modules: BTreeSet<Module> = sources.keys().cloned().collect();
    sources
        .into_iter()
        .map(|(module, source)| (module.clone(), imported(&module, &source, &modules)))
        .collect()
}

fn module_of(path: &Path) -> Module {
    let path: PathBuf = path.with_extension("");
    path.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// The modules that `source` names by a path that begins with `crate::` or `super::`, ignoring comments.
fn imported(module: &Module, source: &str, modules: &BTreeSet<Module>) -> BTreeSet<Module> {
    let code: Vec<_> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        found.extend(targets(&[], &code[start + "crate::".len()..]));
    }
    for (start, _) in code.match_indices("super::") {
        // `super::super::` and the `super` of an inline module of tests name the module itself or one above it.
        let above = &module[..module.len() - 1];
        found.extend(targets(above, &code[start + "super::".len()..]));
    }
    let file_of = |path: Module| {
        (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|path| modules.contains(path))
    };
    found.into_iter().filter_map(file_of).filter(|imported| imported != module).collect()
}

/// The paths after `crate::` in a `use` or an expression; those in braces one by one.
fn targets(base: &[String], rest: &str) -> Vec<Module> {
    let mut path = base.to_vec();
    let mut rest = rest;
    loop {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            path.push(rest[..end].to_owned());
        }
        match rest[end..].strip_prefix("::") {
            Some(further) => rest = further,
            None if end == 0 && rest.starts_with('{') => {
                let list = &rest[1..rest.find('}').unwrap_or(rest.len())];
                assert!(!list.contains('{'), "braces inside braces hide imports from this test: {list}");
                return list.split(',').flat_map(|item| targets(&path, item.trim())).collect();
            }
            None => return vec![path],
        }
    }
}

/// The rooms that `lib.rs` lists, from the top down.
fn rooms() -> Vec<String> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let (_, rest) = lib.split_once("//! # The rooms, from the top down\n").expect("lib.rs lists the rooms");
    let section = rest.split_once("\n//! # ").expect("another section follows").0;
    section
        .lines()
        .filter_map(|line| Some(line.strip_prefix("//! - [`")?.split_once('`')?.0.to_owned()))
        .collect()
}

#[test]
fn the_rooms_that_lib_rs_lists_are_the_folders() {
    let found: BTreeSet<_> = imports().into_keys().map(|module| module[0].clone()).collect();
    assert_eq!(found, rooms().into_iter().collect());
}

#[test]
fn a_room_imports_only_rooms_below_it() {
    let rooms = rooms();
    let floor = |room: &String| rooms.iter().position(|listed| listed == room);
    let mut up = Vec::new();
    for (module, imported) in imports() {
        for other in imported.iter().filter(|other| floor(&other[0]) < floor(&module[0])) {
            up.push(format!("{} -> {}", module.join("::"), other.join("::")));
        }
    }
    assert!(up.is_empty(), "these imports point up:\n{}", up.join("\n"));
}

/// The client and the simulator share only what carries both, so that they do not share a mistake. The client needs no
/// database, and the database knows nothing of its rows.
#[test]
fn the_client_the_simulator_and_the_store_import_only_what_they_may() {
    for (room, allowed) in
        [("simulator", &["clock", "http"][..]), ("cloudflare", &["clock", "model"]), ("store", &["clock"])]
    {
        let of_room = imports().into_iter().filter(|(module, _)| module[0] == room);
        let others = of_room.flat_map(|(_, imported)| imported).map(|other| other[0].clone());
        let others: BTreeSet<_> = others.filter(|other| other != room).collect();
        assert_eq!(others, allowed.iter().map(|&name| name.to_owned()).collect(), "{room}");
    }
}

/// A module and those inside it count as one family: a parent may name its children and they may name it.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let graph: BTreeMap<Module, BTreeSet<Module>> = imports()
        .into_iter()
        .map(|(module, mut imported)| {
            imported.retain(|other| !other.starts_with(&module) && !module.starts_with(other));
            (module, imported)
        })
        .collect();
    // What imports nothing that is left cannot be part of a circle: taken away until only circles are left.
    let mut left = graph;
    loop {
        let leaves: BTreeSet<_> = left
            .iter()
            .filter(|(_, imported)| imported.is_empty())
            .map(|(module, _)| module.clone())
            .collect();
        if leaves.is_empty() {
            break;
        }
        left.retain(|module, _| !leaves.contains(module));
        for imported in left.values_mut() {
            imported.retain(|other| !leaves.contains(other));
        }
    }
    let circles: Vec<_> = left.keys().map(|module| module.join("::")).collect();
    assert!(circles.is_empty(), "these modules import each other in a circle, or lead into one: {circles:?}");
}
