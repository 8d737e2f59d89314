//! Proxies of the environment. It belongs to the process, so each case runs this test program again.

use std::process::Command;

use zt_risk_exporter::cloudflare::{Kind, Options};

use crate::canned::{Canned, Step, answer, budget, client, good};

/// Set in the second process: what it is to ask.
const BASE: &str = "ZT_TEST_BASE_URL";

#[tokio::test]
async fn asked_from_a_process_with_proxies() {
    let Ok(base_url) = std::env::var(BASE) else { return };
    let options = Options {
        base_url,
        ..Options::default()
    };
    match client(options, &budget()).integrations().await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{error}"),
    }
}

async fn run(base_url: &str, variables: &[(&str, String)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "proxy::asked_from_a_process_with_proxies"])
        .env(BASE, base_url);
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command.envs(variables.iter().map(|(name, value)| (*name, value)));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn https_goes_by_the_proxy_unless_excepted_and_loopback_never_does() {
    let proxy = Canned::script([answer(502, &[], "")]).await;
    let at_proxy = format!("http://{}", proxy.address);
    let remote = "https://api.cloudflare.invalid/client/v4";
    run(remote, &[("HTTPS_PROXY", at_proxy.clone())]).await;
    let lines: Vec<String> = proxy.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines,
        vec!["CONNECT api.cloudflare.invalid:443"; 3],
        "a refused tunnel is asked for again"
    );

    run(
        remote,
        &[
            ("HTTPS_PROXY", at_proxy.clone()),
            ("NO_PROXY", "cloudflare.invalid".into()),
        ],
    )
    .await;
    assert_eq!(proxy.asked().len(), 3, "excepted");

    let api = Canned::script([good("[]"), Step::Close]).await;
    let base = format!("http://{}/client/v4", api.address);
    run(
        &base,
        &[("HTTP_PROXY", at_proxy.clone()), ("ALL_PROXY", at_proxy)],
    )
    .await;
    assert_eq!((proxy.asked().len(), api.asked().len()), (3, 1), "loopback");
}
