//! The program with a web configuration: its flags, its log, `check`, `healthcheck`, and sockets of systemd.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, Command, Stdio};

use zt_risk_exporter::clock::Clock;
use zt_risk_exporter::simulator::{GENERATED_ACCOUNT, GENERATED_TOKEN, Scenario, Simulator};

use super::certificates::Authority;
use super::rig::{Client, Place, TLS, basic, get, hash};
use crate::program::program;

/// The program, killed at the end of its test.
pub(super) struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub(super) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// The lines of the log up to the first one with `part`.
    pub(super) fn lines_until(&mut self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.contains(part)) {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "no line with {part} in {lines:?}");
            lines.push(line);
        }
        lines
    }

    /// The address in the next line with `part`.
    pub(super) fn address(&mut self, part: &str) -> SocketAddr {
        let line = self.lines_until(part).pop().unwrap();
        let (_, rest) = line.split_once("address=").unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program has stopped without a failure, and returns the rest of its log.
    pub(super) fn stopped(mut self) -> String {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        rest
    }

    /// Ends the program, and returns the rest of its log.
    pub(super) fn end(mut self) -> String {
        self.child.kill().unwrap();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// `command` with an account of the simulator.
pub(super) fn with_account<'a>(command: &'a mut Command, simulator: &Simulator) -> &'a mut Command {
    command
        .env("CLOUDFLARE_BASE_URL", simulator.base_url())
        .env("CLOUDFLARE_ACCOUNT_ID", GENERATED_ACCOUNT)
        .env("CLOUDFLARE_API_TOKEN", GENERATED_TOKEN)
}

pub(super) async fn simulator() -> Simulator {
    Simulator::start(Scenario::generated(20, 1), Clock::system()).await.unwrap()
}

/// The exit code, and what was printed. Must not run on a thread that the answers need.
async fn told(mut command: Command) -> (Option<i32>, String, String) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn healthcheck(arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("healthcheck").args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flags_protect_the_port_and_open_a_health_port() {
    let simulator = simulator().await;
    let place = Place::new(&format!("{TLS}basic_auth_users: {{anna: {}}}\n", hash()));
    let config = place.path().display().to_string();
    let flags =
        ["--web.listen-address=127.0.0.1:0", "--web.listen-address=127.0.0.1:0", "--web.telemetry-path=/m"];
    let mut command = program();
    command.args(flags).args(["--web.health-address=127.0.0.1:0", "--web.config.file", &config]);
    let mut running = Running::start(with_account(&mut command, &simulator));
    let [first, second] = [running.address("serving /m"), running.address("serving /m")];
    let health = running.address("serving /-/healthy and /-/ready");
    for address in [first, second] {
        let client = Client::default();
        assert_eq!(client.get(address, "/m", "").await.unwrap().status(), "401");
        let answer = client.get(address, "/m", &basic("anna", "secret")).await.unwrap();
        assert!(answer.body.contains("zt_risk_exporter_build_info{"), "{}", answer.head);
        let answer = client.get(address, "/metrics", &basic("anna", "secret")).await.unwrap();
        assert_eq!((answer.status(), answer.body.as_str()), ("404", "not found; the metrics are at /m\n"));
        let page = client.get(address, "/", &basic("anna", "secret")).await.unwrap();
        assert!(page.body.contains("href=\"m\"") && !page.body.contains("href=\"metrics\""), "{}", page.body);
    }
    assert_eq!(get(health, "/-/healthy", "").await.unwrap().body, "healthy\n");

    let url = format!("https://{first}/-/healthy");
    let main = format!("--web.listen-address={first}");
    let ca = place.path().with_file_name("ca.crt").display().to_string();
    place.write("ca.crt", &place.authority.cert());
    let refused = format!("{url} answers 401 Unauthorized, so the exporter runs\n");
    for (arguments, code, output) in [
        (
            vec!["--web.health-address", &health.to_string()],
            0,
            format!("http://{health}/-/healthy answers 200\n"),
        ),
        // It need not know the other addresses.
        (
            vec![&format!("--web.listen-address={health}"), "--web.health-address", &health.to_string()],
            0,
            format!("http://{health}/-/healthy answers 200\n"),
        ),
        (vec![&main, "--web.config.file", &config], 0, refused.clone()),
        (vec!["--url", &url, "--ca-file", &ca], 0, refused.clone()),
        (vec!["--url", &url, "--insecure"], 0, refused.clone()),
        (vec!["--url", &url], 1, String::new()),
        (vec![&main], 1, String::new()),
        (vec!["--url", &url, "--ca-file", "/none/such"], 2, String::new()),
    ] {
        let (found, printed, errors) = told(healthcheck(&arguments)).await;
        assert_eq!((found, printed), (Some(code), output), "{arguments:?}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_requires_a_client_certificate_is_healthy_and_another_one_is_not() {
    let policy = format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n");
    let place = Place::new(&policy);
    place.write("ca.crt", &Authority::new("client CA").cert());
    for version in ["TLS12", "TLS13"] {
        place.write("web.yaml", &format!("{policy}  max_version: {version}\n"));
        let exporter = place.serve().await;
        let address = format!("--web.listen-address={}", exporter.address());
        let config = place.path().display().to_string();
        let (code, output, errors) = told(healthcheck(&[&address, "--web.config.file", &config])).await;
        assert!(
            output.contains("requires a client certificate, so the exporter runs"),
            "{version}: {errors}"
        );
        assert_eq!(code, Some(0));
        // Something else at that address.
        let other = Place::new(TLS).serve().await;
        let address = format!("--web.listen-address={}", other.address());
        assert_eq!(
            told(healthcheck(&[&address, "--web.config.file", &config])).await.0,
            Some(1),
            "{version}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sockets_of_systemd_are_used_and_needed() {
    let simulator = simulator().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // systemd passes the socket as file descriptor 3, and names the process that it is for.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --web.systemd-socket";
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", script, env!("CARGO_BIN_EXE_zt-risk-exporter")]);
    command.stdin(Stdio::from(OwnedFd::from(socket)));
    let mut running = Running::start(with_account(&mut command, &simulator));
    assert_eq!(running.address("serving /metrics"), address);
    assert_eq!(get(address, "/-/healthy", "").await.unwrap().status(), "200");

    let mut without = program();
    without.arg("--web.systemd-socket");
    with_account(&mut without, &simulator);
    let (code, _, errors) = told(without).await;
    assert_eq!(code, Some(1));
    assert!(errors.contains("systemd passed no socket"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unprotected_port_is_warned_about() {
    const WARNING: &str = "neither TLS nor a password protects the port";
    let simulator = simulator().await;
    let users = format!("basic_auth_users: {{anna: {}}}\n", hash());
    for (address, config, identity, wanted) in [
        ("0.0.0.0:0", "", "id", true),
        ("0.0.0.0:0", "", "email", true),
        ("0.0.0.0:0", "", "none", false),
        ("127.0.0.1:0", "", "id", false),
        ("127.0.0.1:0,0.0.0.0:0", "", "id", true),
        ("0.0.0.0:0", &users, "id", false),
        ("0.0.0.0:0", TLS, "id", false),
    ] {
        let place = Place::new(config);
        let mut command = program();
        command
            .env("ZT_RISK_EXPORTER__WEB__LISTEN_ADDRESS", address)
            .env("ZT_RISK_EXPORTER__USERS__IDENTITY", identity)
            .env("ZT_RISK_EXPORTER__WEB__CONFIG_FILE", place.path());
        let mut running = Running::start(with_account(&mut command, &simulator));
        running.lines_until("serving /metrics");
        if wanted {
            running.lines_until(WARNING);
            continue;
        }
        // The warning would come before anything is asked of the API.
        let signal = running.child.id();
        crate::program::signal(signal, "TERM");
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut running.log, &mut rest).unwrap();
        assert!(!rest.contains(WARNING), "{address} {config} {identity}: {rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_describes_a_web_configuration_and_an_invalid_one_exits_with_2() {
    let simulator = simulator().await;
    let place = Place::new(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  min_version: TLS11\n\
         basic_auth_users: {{anna: {}}}\nrate_limit: {{interval: 1s, burst: 5}}\n\
         http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n",
        hash()
    ));
    place.write("ca.crt", &Authority::new("client CA").cert());
    let check = || {
        let mut command = program();
        command.arg("check").env("ZT_RISK_EXPORTER__WEB__CONFIG_FILE", place.path());
        with_account(&mut command, &simulator);
        command
    };
    let (code, output, errors) = told(check()).await;
    assert_eq!(code, Some(0), "{errors}");
    let (_, found) = output.split_once("\nweb configuration ").unwrap();
    let lines: Vec<_> = found.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "TLS: 1.2 to 1.3, HTTP/2 and HTTP/1.1",
            "certificate: ends 4096-01-01T00:00:00Z, for localhost, 127.0.0.1",
            "client certificates: required and verified",
            "passwords: one user",
            "rate limit: one request in 1 s, 5 at once",
            "headers: x-frame-options",
            "",
            "10 checks of 1 account: 6 passed, 4 warnings",
        ]
    );
    for warning in [
        "web_configuration: min_version is TLS11, but the exporter speaks no TLS below 1.2",
        "web_configuration: a password hash has a cost below 10, so its password is easy to guess from the hash",
    ] {
        assert!(output.lines().any(|line| line == warning), "{warning} in {output}");
    }
    let json = || {
        let mut command = check();
        command.arg("--output=json");
        command
    };
    let (_, output, _) = told(json()).await;
    let document: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        document["web"],
        serde_json::json!({
            "file": place.path(),
            "tls": {
                "min_version": "1.2", "max_version": "1.3", "http2": true,
                "certificate": {
                    "not_before": "1975-01-01T00:00:00Z", "not_after": "4096-01-01T00:00:00Z",
                    "names": ["localhost", "127.0.0.1"],
                },
                "client_auth_type": "RequireAndVerifyClientCert", "client_allowed_sans": null,
            },
            "users": 1, "rate_limit": {"interval_seconds": 1.0, "burst": 5}, "headers": ["x-frame-options"],
        })
    );
    // Without the network it says the same, and needs neither the key nor the CA of the clients.
    for name in ["server.key", "ca.crt"] {
        std::fs::remove_file(place.path().with_file_name(name)).unwrap();
    }
    let offline = |arguments: &[&str]| {
        let mut command = program();
        command.args(["check", "--offline", "--web.config.file"]).arg(place.path()).args(arguments);
        with_account(&mut command, &simulator);
        command
    };
    let (code, printed, errors) = told(offline(&[])).await;
    assert_eq!(code, Some(0), "{errors}");
    let (_, found) = printed.split_once("\nweb configuration ").unwrap();
    assert_eq!(found.lines().skip(1).take(7).collect::<Vec<_>>(), lines[..7]);
    let document_of = async |command| -> serde_json::Value {
        let (code, printed, errors) = told(command).await;
        assert_eq!(code, Some(0), "{errors}");
        serde_json::from_str(&printed).unwrap()
    };
    assert_eq!(document_of(offline(&["--output=json"])).await["web"], document["web"]);
    // Nor does it need the certificate, which it refuses if it is there and cannot be used.
    place.write("server.crt", "junk");
    let (code, printed, _) = told(offline(&[])).await;
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("server.crt has no certificate in PEM form"), "{printed}");
    let certificate = place.path().with_file_name("server.crt");
    std::fs::remove_file(&certificate).unwrap();
    let without = document_of(offline(&["--output=json"])).await;
    assert_eq!(without["web"]["tls"]["certificate"], serde_json::Value::Null);
    let skipped =
        |check: &&serde_json::Value| check["check"] == "web_certificate" && check["result"] == "skipped";
    let skipped = without["checks"].as_array().unwrap().iter().find(skipped).unwrap();
    assert_eq!(skipped["answer"], format!("{} was not checked", certificate.display()));
    let (_, printed, _) = told(offline(&[])).await;
    assert!(printed.contains("\ncertificate: was not checked\n"), "{printed}");
    place.write("ca.crt", &Authority::new("client CA").cert());
    // The start says what check says.
    let ended = place.authority.issue_ended(&[]);
    place.write("server.crt", &ended.cert);
    place.write("server.key", &ended.key);
    for name in ["web.yaml", "server.key"] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(place.path().with_file_name(name), open).unwrap();
    }
    let (_, output, _) = told(json()).await;
    let (_, of_offline, _) = told(offline(&["--output=json"])).await;
    let mut command = program();
    command.arg("--web.listen-address=127.0.0.1:0").env("ZT_RISK_EXPORTER__WEB__CONFIG_FILE", place.path());
    let mut running = Running::start(with_account(&mut command, &simulator));
    let log = running.lines_until("serving /metrics").concat();
    for warning in [
        "the certificate ended at 2021-01-01T00:00:00Z, so clients refuse it",
        "the certificate has no subjectAltName, so clients that verify its name refuse it",
        "web.yaml (mode 0644); run chmod o-rwx on it",
        "server.key (mode 0644); run chmod o-rwx on it",
    ] {
        assert!(output.contains(warning), "{warning} in {output}");
        assert!(of_offline.contains(warning), "{warning} in {of_offline}");
        assert!(log.contains(warning), "{warning} in {log}");
    }
    place.write("server.key", &place.authority.issue(&[]).key);
    for mut command in [check(), program()] {
        command.env("ZT_RISK_EXPORTER__WEB__CONFIG_FILE", place.path());
        with_account(&mut command, &simulator);
        let (code, output, errors) = told(command).await;
        assert_eq!(code, Some(2), "{errors}");
        let told = format!("{output}{errors}");
        assert!(told.contains("the key does not belong to the certificate"), "{told}");
    }
}
