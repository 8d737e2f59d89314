//! What is judged beside the configuration: the web configuration, and the environment of the connections.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use super::{GOOD, Place};
use crate::program::program;

#[test]
fn the_mistakes_of_the_web_configuration_are_named_with_those_of_the_configuration() {
    // Online, the secrets have to be there.
    const ACCOUNT: &str = "accounts: [{id: 00000000000000000000000000000001, token: s3cr3t}]\n";
    let place = Place::new(&format!("{ACCOUNT}web: {{config_file: web.yaml, telemetry_path: metrics}}\n"));
    let web =
        "tls_server_config: {cert_file: none.crt}\nbasic_auth_users:\n  anna: s3cr3t\nrate_limits: {}\n";
    fs::write(place.0.path().join("web.yaml"), web).unwrap();
    let of_web = "web.yaml:1: tls_server_config lacks key or key_file, which TLS needs\n\
                  web.yaml:3: basic_auth_users.anna is not a bcrypt hash; `htpasswd -nBC 12 \"\"` makes one\n\
                  web.yaml:4: rate_limits is not a known key; did you mean rate_limit?\n";
    let of_configuration = "zt.yaml:2: web.telemetry_path is \"metrics\", but must ";
    for arguments in [&["check", "--offline"][..], &["check"]] {
        let (code, output, errors) = place.outcome(&mut place.program(arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {output}");
        let (first, rest) = output.split_at(of_web.len());
        assert_eq!(first, of_web, "{arguments:?}");
        assert!(rest.starts_with(of_configuration), "{arguments:?}: {rest}");
        assert_eq!(rest.lines().last(), Some("1 check: 1 failed with 4 errors"), "{arguments:?}");
        assert_eq!(errors, "zt-risk-exporter: the configuration has 4 errors\n", "{arguments:?}");
    }
    // Without mistakes of its own, the configuration names those of the other.
    fs::write(place.file(), format!("{ACCOUNT}web: {{config_file: web.yaml}}\n")).unwrap();
    let (code, output, errors) = place.check(&[]);
    assert_eq!((code, output), (Some(2), format!("{of_web}1 check: 1 failed with 3 errors\n")));
    assert_eq!(errors, "zt-risk-exporter: the configuration has 3 errors\n");
    fs::write(
        place.0.path().join("web.yaml"),
        "tls_server_config: {cert_file: none.crt, key_file: none.key}\n",
    )
    .unwrap();
    let (code, output, _) = place.check(&[]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("none.crt was not checked"), "{output}");
}

#[test]
fn what_is_beside_a_configuration_from_a_pipe_is_judged_too() {
    let place = Place::new("");
    let web = place.0.path().join("web.yaml");
    fs::write(&web, "rate_limits: {}\n").unwrap();
    for rest in ["", "log: {level: loud}\n"] {
        let mut command = program();
        command.args(["check", "--offline", "--config.file", "/dev/stdin"]);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        // A pipe can be read only once.
        let text = format!("{GOOD}web: {{config_file: {}}}\n{rest}", web.display());
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(printed.contains("web.yaml:1: rate_limits is not a known key"), "{printed}");
        assert_eq!(printed.contains("log.level is \"loud\""), !rest.is_empty(), "{printed}");
    }
}

#[test]
fn the_proxy_and_the_trust_anchors_of_the_environment_are_judged() {
    let place = Place::new(GOOD);
    let junk = place.0.path().join("junk.pem");
    fs::write(&junk, "junk").unwrap();
    let [junk, none] = [junk, place.0.path().join("none.pem")].map(|path| path.display().to_string());
    let local = ("ZT_RISK_EXPORTER__CLOUDFLARE__BASE_URL", "http://127.0.0.1:1");
    let unusable = "environment variable SSL_CERT_FILE: the trust anchors cannot be read: SSL_CERT_FILE contains no trust anchor";
    let no_proxy = "environment variable HTTPS_PROXY: HTTPS_PROXY is not the URL of a proxy: it must start with http:// or https://";
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let table: [(Variables<'_>, i32, &[&str]); 6] = [
        (&[("HTTPS_PROXY", "http://user:s3cr3t@proxy:3128")], 0, &["proxy:3128, from HTTPS_PROXY"]),
        (&[("HTTPS_PROXY", "socks5://s3cr3t@proxy")], 2, &[no_proxy]),
        (&[("HTTPS_PROXY", "socks5://s3cr3t@proxy"), local], 0, &[]),
        (&[("SSL_CERT_FILE", &junk)], 2, &[unusable]),
        (&[("SSL_CERT_FILE", &junk), ("HTTPS_PROXY", "socks5://proxy")], 2, &[no_proxy, unusable]),
        (&[("SSL_CERT_FILE", &none)], 0, &["none.pem was not checked"]),
    ];
    for (variables, wanted, texts) in table {
        let mut program = place.program(&["check", "--offline"]);
        let (code, output, _) = place.outcome(program.envs(variables.iter().copied()));
        assert_eq!(code, Some(wanted), "{variables:?}: {output}");
        for text in texts {
            assert!(output.contains(text), "{variables:?}: {text} in {output}");
        }
        assert!(!output.contains("s3cr3t"), "{output}");
        assert_eq!(output.contains("proxy"), texts.iter().any(|text| text.contains("proxy")), "{output}");
    }
}
