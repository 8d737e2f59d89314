//! Requests: the order of what refuses them, passwords, headers and the rate limit.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::rig::{Client, Exporter, Place, TLS, basic, get, hash};

/// How many requests were refused for a password, by the rate limit, and because the file cannot be used.
pub(super) fn rejected(exporter: &Exporter) -> [f64; 3] {
    ["auth", "rate_limit", "config"].map(|reason| {
        exporter
            .sample(&format!("zt_risk_exporter_web_requests_rejected_total{{reason=\"{reason}\"}}"))
            .unwrap()
    })
}

/// Two users, whose passwords are `secret` and `other`.
pub(super) fn users() -> String {
    format!("basic_auth_users:\n  anna: {}\n  ben: {}\n", hash(), bcrypt::hash("other", 4).unwrap())
}

#[tokio::test]
async fn every_path_needs_the_password_of_a_user() {
    let exporter = Place::new(&users()).serve().await;
    for path in ["/metrics", "/-/healthy", "/-/ready", "/", "/api/v1/status", "/nothing"] {
        for (headers, wanted) in [
            (String::new(), false),
            (basic("anna", "secret"), true),
            (basic("ben", "other"), true),
            (basic("anna", "other"), false),
            (basic("ben", "secret"), false),
            (basic("carl", "secret"), false),
            (basic("", ""), false),
            ("Authorization: Bearer secret\r\n".to_owned(), false),
        ] {
            let answer = get(exporter.address(), path, &headers).await.unwrap();
            assert_eq!(answer.status() != "401", wanted, "{path} {headers}");
            let challenge = (!wanted).then_some("basic");
            assert_eq!(answer.header("www-authenticate"), challenge, "{path} {headers}");
            assert_eq!(
                answer.body.contains("cloudflare_zt"),
                wanted && path == "/metrics",
                "{path} {headers}"
            );
        }
    }
    assert_eq!(rejected(&exporter), [36.0, 0.0, 0.0]);
}

#[tokio::test]
async fn users_and_headers_change_with_the_file() {
    let place = Place::new(&users());
    let exporter = place.serve().await;
    let status = async |user: &str, password: &str| {
        get(exporter.address(), "/-/healthy", &basic(user, password)).await.unwrap().status().to_owned()
    };
    assert_eq!(status("anna", "secret").await, "200");
    place.write("web.yaml", &format!("basic_auth_users: {{anna: {}}}", bcrypt::hash("new", 4).unwrap()));
    assert_eq!(status("anna", "secret").await, "401");
    assert_eq!(status("anna", "new").await, "200");
    assert_eq!(status("ben", "other").await, "401");
    let with_header = "http_server_config: {headers: {X-Frame-Options: deny}}\n";
    place.write("web.yaml", &format!("{with_header}basic_auth_users: {{anna: {}}}", hash()));
    let answer = get(exporter.address(), "/-/healthy", &basic("anna", "secret")).await.unwrap();
    assert_eq!((answer.status(), answer.header("x-frame-options")), ("200", Some("deny")));
}

#[tokio::test]
async fn a_file_without_the_password_that_was_asked_for_opens_nothing() {
    // Also one that got its users only after the start.
    for begins_with in [users(), String::new()] {
        let place = Place::new(&begins_with);
        let exporter = place.serve().await;
        place.write("web.yaml", &users());
        for cut in ["", "# c\n", "basic_auth_users:\n", "{}", "---\n", "http_server_config: {http2: true}\n"]
        {
            let right = basic("anna", "secret");
            assert_eq!(get(exporter.address(), "/metrics", &right).await.unwrap().status(), "200");
            place.write("web.yaml", cut);
            for login in ["", &right] {
                let answer = get(exporter.address(), "/metrics", login).await.unwrap();
                assert_eq!(answer.status(), "500", "{cut:?}");
            }
            place.write("web.yaml", &users());
        }
        // One of several users may go.
        place.write("web.yaml", &format!("basic_auth_users: {{ben: {}}}", hash()));
        let answer = get(exporter.address(), "/metrics", &basic("ben", "secret")).await.unwrap();
        assert_eq!(answer.status(), "200");
    }
}

#[tokio::test]
async fn a_request_waits_for_a_file_that_is_being_replaced() {
    let place = Place::new(&users());
    let exporter = place.serve().await;
    std::fs::remove_file(place.path()).unwrap();
    let address = exporter.address();
    let waiting = tokio::spawn(async move { get(address, "/metrics", &basic("anna", "secret")).await });
    // The request began, or will begin, without the file.
    tokio::task::yield_now().await;
    place.write("web.yaml", &users());
    assert_eq!(waiting.await.unwrap().unwrap().status(), "200");
    assert_eq!(rejected(&exporter), [0.0, 0.0, 0.0]);
}

#[tokio::test]
async fn a_pipe_in_place_of_the_file_stops_nobody() {
    let place = Place::new(&users());
    let exporter = place.serve().await;
    std::fs::remove_file(place.path()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.path()).status().unwrap();
    assert!(made.success());
    assert_eq!(get(exporter.address(), "/metrics", "").await.unwrap().status(), "500");
    std::fs::remove_file(place.path()).unwrap();
    place.write("web.yaml", &users());
    let answer = get(exporter.address(), "/metrics", &basic("anna", "secret")).await.unwrap();
    assert_eq!(answer.status(), "200");
}

#[tokio::test]
async fn an_invalid_file_is_a_500_even_with_the_right_password() {
    let place = Place::new(&users());
    let exporter = place.serve().await;
    let right = basic("anna", "secret");
    for broken in ["junk", "", " \n", "basic_auth_users: {anna: secret}", TLS] {
        assert_eq!(get(exporter.address(), "/metrics", &right).await.unwrap().status(), "200");
        place.write("web.yaml", broken);
        let answer = get(exporter.address(), "/metrics", &right).await.unwrap();
        assert_eq!(answer.status(), "500", "{broken:?}");
        assert_eq!(
            answer.body, "the web configuration cannot be used; the log of the exporter says why\n",
            "no more than that is told"
        );
        place.write("web.yaml", &users());
    }
    assert_eq!(rejected(&exporter), [0.0, 0.0, 5.0]);
}

#[tokio::test]
async fn a_kept_open_connection_needs_the_password_at_each_request() {
    let place = Place::new(&format!("{TLS}{}", users()));
    let exporter = place.serve().await;
    let mut kept = Client::default().connect(exporter.address()).await.unwrap();
    let request = format!("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n{}\r\n", basic("anna", "secret"));
    for (config, wanted) in [
        (format!("{TLS}{}", users()), "200"),
        (format!("{TLS}basic_auth_users: {{ben: {}}}\n", hash()), "401"),
        ("junk".to_owned(), "500"),
        // The certificate is not needed for a connection that is open.
        (format!("{}{}", TLS.replace("server.", "none."), users()), "200"),
    ] {
        place.write("web.yaml", &config);
        kept.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(kept.read_u8().await.unwrap());
        }
        let head = String::from_utf8(answer).unwrap().to_lowercase();
        assert_eq!(head.split(' ').nth(1), Some(wanted), "{config}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        kept.read_exact(&mut vec![0; length.unwrap()]).await.unwrap();
    }
}

#[tokio::test]
async fn the_rate_limit_comes_before_the_headers_and_these_before_the_password() {
    let headers = "http_server_config: {headers: {X-Frame-Options: sameorigin}}\n";
    // Within an hour no token comes back.
    let place = Place::new(&format!("{headers}{}rate_limit: {{interval: 1h, burst: 2}}\n", users()));
    let exporter = place.serve().await;
    for (login, status, frame) in [
        (String::new(), "401", Some("sameorigin")),
        (basic("anna", "secret"), "200", Some("sameorigin")),
        (basic("anna", "secret"), "429", None),
        (String::new(), "429", None),
    ] {
        let answer = get(exporter.address(), "/-/healthy", &login).await.unwrap();
        assert_eq!((answer.status(), answer.header("x-frame-options")), (status, frame), "{login}");
    }
    // It is fixed at the start.
    place.write("web.yaml", &users());
    assert_eq!(get(exporter.address(), "/-/healthy", "").await.unwrap().status(), "429");
    place.write("web.yaml", "junk");
    assert_eq!(get(exporter.address(), "/-/healthy", "").await.unwrap().status(), "500");
    assert_eq!(rejected(&exporter), [1.0, 3.0, 1.0]);
}

#[tokio::test]
async fn a_burst_of_0_refuses_everything_and_an_interval_of_0_nothing() {
    for (limit, wanted) in
        [("{interval: 1s, burst: 0}", "429"), ("{interval: 0, burst: 0}", "200"), ("{}", "200")]
    {
        let exporter = Place::new(&format!("rate_limit: {limit}\n")).serve().await;
        for _ in 0..3 {
            assert_eq!(get(exporter.address(), "/metrics", "").await.unwrap().status(), wanted, "{limit}");
        }
    }
}

#[tokio::test]
async fn configured_headers_replace_those_of_the_answer_and_are_on_every_answer() {
    let exporter = Place::new(
        "http_server_config:\n  headers:\n    Content-Security-Policy: frame-ancestors 'self'\n    X-Content-Type-Options: nosniff\n    \
         Strict-Transport-Security: max-age=31536000\n    X-XSS-Protection: '0'\n",
    )
    .serve()
    .await;
    for path in ["/metrics", "/nothing", "/-/ready"] {
        let answer = get(exporter.address(), path, "").await.unwrap();
        for (name, value) in [
            ("content-security-policy", "frame-ancestors 'self'"),
            ("x-content-type-options", "nosniff"),
            ("strict-transport-security", "max-age=31536000"),
            ("x-xss-protection", "0"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
            assert_eq!(answer.head.matches(&format!("\n{name}:")).count(), 1, "{path}");
        }
    }
}
