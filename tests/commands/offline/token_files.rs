//! A directory with a token file for each account: its names are judged, and no token is read.

use std::fs;

use serde_json::Value;

use super::Place;

const ID: &str = "00000000000000000000000000000001";

/// Result, answer and remark of the checks of the directory.
fn of_token_files(document: &Value) -> Vec<(String, String, String)> {
    let checks = document["checks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = checks.filter(|check| check["check"] == "token_files");
    found.map(|check| (text(&check["result"]), text(&check["answer"]), text(&check["remark"]))).collect()
}

#[test]
fn names_are_judged_and_a_directory_that_is_elsewhere_is_left_out() {
    let place = Place::new("accounts_from: {tokens_dir: tokens}\n");
    let tokens = place.0.path().join("tokens");
    let shown = |text: &str| (text.to_owned(), String::new());
    let (code, document) = place.json(&[]);
    let directory = tokens.display().to_string().replace(&format!("{}/", place.0.path().display()), "");
    let (answer, remark) = shown(&format!("{directory} was not checked"));
    assert_eq!((code, of_token_files(&document)), (Some(0), vec![("skipped".to_owned(), answer, remark)]));

    fs::create_dir(&tokens).unwrap();
    let (code, document) = place.json(&[]);
    let (answer, remark) = shown("tokens has no files");
    assert_eq!((code, of_token_files(&document)), (Some(0), vec![("warning".to_owned(), answer, remark)]));

    // The first file is not read, so nobody sees that it has no token.
    fs::write(tokens.join(format!("{ID}.acme")), "").unwrap();
    fs::write(tokens.join("notes"), "").unwrap();
    let (code, document) = place.json(&[]);
    let problem = "token file \"notes\" is not used: its name must be an account id, which has 32 hexadecimal digits, or an id, \
                   a dot and an alias";
    let wanted = [("failed", "bad name", problem), ("passed", "1 used in tokens", "")];
    let wanted =
        wanted.map(|(result, answer, remark)| (result.to_owned(), answer.to_owned(), remark.to_owned()));
    assert_eq!((code, of_token_files(&document)), (Some(1), wanted.to_vec()));
    assert_eq!(document["totals"]["accounts"], 1, "the account whose token is in the first file");
}
