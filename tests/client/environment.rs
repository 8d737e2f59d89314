//! Proxies and trust anchors come from the environment, which belongs to the process: each case runs this test
//! program again.

use std::process::Command;

use secrecy::SecretString;
use zt_risk_exporter::cloudflare::{Client, Credentials, Options};

use crate::canned::{ACCOUNT, Canned, answer, budget, good};

/// Set in the second process: what it is to ask.
const BASE: &str = "ZT_TEST_BASE_URL";
/// Set in the second process: the file that takes what it has to say.
const SAID: &str = "ZT_TEST_SAID";

/// Runs in the second process: says what came of asking.
#[tokio::test]
async fn asked_from_another_environment() {
    let Ok(base_url) = std::env::var(BASE) else { return };
    let options = Options { base_url, ..Options::default() };
    let token = Credentials::Token(SecretString::from("t"));
    let said = match Client::new(ACCOUNT, token, budget(), options) {
        Err(error) => error.to_string(),
        Ok(client) => match client.integrations().await {
            Err(error) => error.to_string(),
            Ok(_) => "answered".to_owned(),
        },
    };
    std::fs::write(std::env::var(SAID).unwrap(), said).unwrap();
}

/// What a process with these variables, and none else that matters, makes of this base URL.
async fn said(base_url: &str, variables: &[(&str, &str)]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "environment::asked_from_another_environment"]);
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    command.envs(variables.iter().copied());
    command.env(BASE, base_url).env(SAID, file.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::read_to_string(file.path()).unwrap()
}

#[tokio::test]
async fn https_goes_by_the_proxy_unless_excepted_and_loopback_never_does() {
    let proxy = Canned::script([answer(502, &[], "")]).await;
    let at_proxy = format!("http://{}", proxy.address);
    let remote = "https://api.cloudflare.invalid/client/v4";
    let text = said(remote, &[("HTTPS_PROXY", &at_proxy)]).await;
    assert!(text.starts_with("no connection was made: "), "{text}");
    let lines: Vec<String> = proxy.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, vec!["CONNECT api.cloudflare.invalid:443"; 3], "a refused tunnel is asked for again");

    let excepted = [("HTTPS_PROXY", at_proxy.as_str()), ("NO_PROXY", "cloudflare.invalid")];
    let text = said(remote, &excepted).await;
    assert!(text.starts_with("no connection was made: "), "{text}");
    assert_eq!(proxy.asked().len(), 3, "excepted");

    let api = Canned::script([good("[]")]).await;
    let base = format!("http://{}/client/v4", api.address);
    assert_eq!(said(&base, &[("HTTP_PROXY", &at_proxy), ("ALL_PROXY", &at_proxy)]).await, "answered");
    assert_eq!((proxy.asked().len(), api.asked().len()), (3, 1), "loopback");
}

#[tokio::test]
async fn trust_anchors_that_someone_chose_must_be_there() {
    let remote = "https://api.cloudflare.invalid";
    let text = said(remote, &[("SSL_CERT_FILE", "/nowhere/roots.pem")]).await;
    let wanted = "the trust anchors cannot be read: SSL_CERT_FILE leads to no trust anchor: ";
    assert!(text.starts_with(wanted) && text.contains("/nowhere/roots.pem"), "{text}");
    // On loopback nobody has to be trusted.
    let api = Canned::script([good("[]")]).await;
    let base = format!("http://{}", api.address);
    assert_eq!(said(&base, &[("SSL_CERT_FILE", "/nowhere/roots.pem")]).await, "answered");
}
