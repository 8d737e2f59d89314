//! Passwords that are compared for the first time, many at once.

use http_body_util::BodyExt as _;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::guard::{rejected, users};
use super::process::{Running, simulator, with_account};
use super::rig::{Client, Empty, Place, TLS, basic, get, hash, http2};
use crate::program::{program, signal};

#[tokio::test]
async fn logins_at_once_each_get_their_own_answer() {
    let place = Place::new(&users());
    let exporter = place.serve().await;
    let address = exporter.address();
    // The limit of connections of one peer is 32.
    for _ in 0..5 {
        let logins = (0..30).map(|number| {
            let (password, wanted) = if number % 2 == 0 { ("secret", "200") } else { ("wrong", "401") };
            let headers = basic(
                "anna",
                &format!("{password}{}", if number % 2 == 0 { String::new() } else { number.to_string() }),
            );
            tokio::spawn(async move {
                (get(address, "/-/healthy", &headers).await.unwrap().status().to_owned(), wanted)
            })
        });
        for login in logins.collect::<Vec<_>>() {
            let (status, wanted) = login.await.unwrap();
            assert_eq!(status, wanted);
        }
    }
    assert_eq!(rejected(&exporter), [75.0, 0.0, 0.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_login_waits_for_few_of_the_passwords_that_another_address_guesses() {
    const GUESSES: usize = 20;
    let cost = 9;
    let exporter =
        Place::new(&format!("basic_auth_users: {{anna: {}}}\n", bcrypt::hash("secret", cost).unwrap()))
            .serve()
            .await;
    let mut guessing = Vec::new();
    for number in 0..GUESSES {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(exporter.address()).await.unwrap();
        let guess = basic("anna", &number.to_string());
        let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{guess}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        guessing.push(stream);
    }
    let scrape = get(exporter.address(), "/metrics", &basic("anna", "secret")).await.unwrap();
    assert_eq!(scrape.status(), "200");
    let series = "zt_risk_exporter_web_requests_rejected_total{reason=\"auth\"} ";
    let guessed =
        scrape.body.lines().find_map(|line| line.strip_prefix(series)?.parse::<usize>().ok()).unwrap();
    assert!(guessed < GUESSES / 2, "{guessed} were compared before");
    for mut stream in guessing {
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 401");
    }
}

#[tokio::test]
async fn clients_that_leave_while_their_passwords_are_compared_do_not_stop_the_next_comparison() {
    // A comparison at this cost takes about a tenth of a second.
    let slow = bcrypt::hash("slow", 11).unwrap();
    let place = Place::new(&format!("basic_auth_users:\n  anna: {}\n  slow: {slow}\n", hash()));
    let exporter = place.serve().await;
    for number in 0..5 {
        let mut stream = TcpStream::connect(exporter.address()).await.unwrap();
        let login = basic("slow", &number.to_string());
        stream
            .write_all(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{login}\r\n").as_bytes())
            .await
            .unwrap();
    }
    assert_eq!(get(exporter.address(), "/metrics", &basic("anna", "secret")).await.unwrap().status(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_beyond_the_turns_of_their_address_are_refused_and_no_scrape_is() {
    const GUESSES: u32 = 16;
    let simulator = simulator().await;
    // A comparison takes long enough for all guesses to arrive.
    let [anna, ben] = ["secret", "other"].map(|password| bcrypt::hash(password, 11).unwrap());
    let place = Place::new(&format!("{TLS}basic_auth_users: {{anna: {anna}, ben: {ben}}}\n"));
    let mut command = program();
    command.arg("--web.listen-address=127.0.0.1:0").arg("--web.config.file").arg(place.path());
    let mut running = Running::start(with_account(&mut command, &simulator));
    let address = running.address("serving /metrics");
    let scrape = async |user: &str, password: &str| {
        Client::default().get(address, "/metrics", &basic(user, password)).await.unwrap()
    };
    assert_eq!(scrape("anna", "secret").await.status(), "200");

    let (sender, _) = http2(&Client { alpn: vec!["h2"], ..Client::default() }, address).await;
    let mut guesses = JoinSet::new();
    for number in 0..GUESSES {
        let login = basic("anna", &format!("guess {number}"));
        let login = login.trim_end().strip_prefix("Authorization: ").unwrap();
        let request = Request::get("https://localhost/metrics").header("authorization", login);
        let (mut sender, request) = (sender.clone(), request.body(Empty::new()).unwrap());
        guesses.spawn(async move {
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            (head.status, body.collect().await.unwrap().to_bytes())
        });
    }
    let mut answers = vec![guesses.join_next().await.unwrap().unwrap()];
    // From the same address: a login that was compared before, and one that was not.
    for (user, password) in [("anna", "secret"), ("ben", "other")] {
        assert_eq!(scrape(user, password).await.status(), "200", "{user}");
    }
    answers.extend(guesses.join_all().await);
    let mut refused = 0;
    for (status, body) in &answers {
        match *status {
            StatusCode::UNAUTHORIZED => {}
            StatusCode::TOO_MANY_REQUESTS => {
                refused += 1;
                assert_eq!(body, "too many other passwords from this address wait to be compared\n");
            }
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0, "{answers:?}");
    let metrics = scrape("anna", "secret").await.body;
    for (reason, count) in [("auth_limit", refused), ("auth", GUESSES - refused)] {
        let line = format!("zt_risk_exporter_web_requests_rejected_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}");
    }
    let told = "too many passwords of one address wait";
    let line = running.lines_until(told).pop().unwrap();
    assert!(line.contains(" WARN ") && line.contains("peer=127.0.0.1"), "{line}");
    let rest = running.end();
    assert!(!rest.contains(told) && !rest.contains("guess"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_wait_do_not_delay_a_stop() {
    const GUESSES: usize = 24;
    let simulator = simulator().await;
    // All comparisons together take several times as long as the drain.
    let hash = bcrypt::hash("secret", 12).unwrap();
    let place = Place::new(&format!("basic_auth_users: {{anna: {hash}}}\n"));
    let mut command = program();
    command.arg("--web.listen-address=127.0.0.1:0").arg("--web.config.file").arg(place.path());
    let mut running = Running::start(with_account(&mut command, &simulator));
    let address = running.address("serving /metrics");
    let scrape = get(address, "/metrics", &basic("anna", "secret")).await.unwrap();
    assert_eq!(scrape.status(), "200");

    let mut guesses = JoinSet::new();
    for number in 0..GUESSES {
        let login = basic("anna", &number.to_string());
        guesses.spawn(async move { get(address, "/metrics", &login).await });
    }
    // One was compared, and the others wait.
    let first = guesses.join_next().await.unwrap().unwrap();
    assert_eq!(first.unwrap().status(), "401");
    signal(running.id(), "TERM");
    let mut refused = 0;
    // A connection on which no request was received yet is closed without an answer.
    let answers = guesses.join_all().await.into_iter().flatten();
    for answer in answers.filter(|answer| !answer.head.is_empty()) {
        match answer.status() {
            "401" => {}
            "503" => {
                assert_eq!(answer.body, "the exporter is stopping\n");
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0);
    let log = running.stopped();
    assert!(!log.contains("connections were still open at the end of the drain"), "{log}");
}
