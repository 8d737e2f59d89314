//! Several addresses, and the one that serves only the health endpoints.

use tokio::net::TcpListener;

use super::rig::{Client, Place, TLS, get, hash};

#[tokio::test]
async fn several_addresses_share_the_certificate_and_the_rate_limit() {
    let place = Place::new(&format!("{TLS}rate_limit: {{interval: 1h, burst: 3}}\n"));
    let exporter = place.serve_on(2, None).await;
    let mut statuses = Vec::new();
    for address in exporter.addresses.iter().cycle().take(4) {
        let answer = Client::default().get(*address, "/metrics", "").await.unwrap();
        statuses.push(answer.status().to_owned());
    }
    assert_eq!(statuses, ["200", "200", "200", "429"]);
    exporter.stop.send(()).unwrap();
    exporter.running.await.unwrap();
    for address in &exporter.addresses {
        assert!(Client::default().connect(*address).await.is_err(), "{address} is closed");
    }
}

#[tokio::test]
async fn the_health_address_needs_no_key_and_shows_nothing_else() {
    let place = Place::new(&format!("{TLS}basic_auth_users: {{anna: {}}}\n", hash()));
    let health = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = health.local_addr().unwrap();
    let exporter = place.serve_on(1, Some(health)).await;
    for (path, status, body) in [
        ("/-/healthy", "200", "healthy\n"),
        ("/-/ready", "200", "ready\n"),
        ("/metrics", "404", "not found; only /-/healthy and /-/ready are here\n"),
        ("/", "404", "not found; only /-/healthy and /-/ready are here\n"),
        ("/api/v1/status", "404", "not found; only /-/healthy and /-/ready are here\n"),
        ("/-/reload", "404", "not found; only /-/healthy and /-/ready are here\n"),
    ] {
        let answer = get(address, path, "").await.unwrap();
        assert_eq!((answer.status(), answer.body.as_str()), (status, body), "{path}");
    }
    // Also while the web configuration cannot be used.
    place.write("web.yaml", "junk");
    assert_eq!(get(address, "/-/healthy", "").await.unwrap().status(), "200");
    assert_eq!(Client::default().get(exporter.address(), "/-/healthy", "").await.ok().map(|_| ()), None);
}
