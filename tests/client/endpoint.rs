//! Clients that share connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use zt_risk_exporter::cloudflare::{Client, Credentials, Endpoint, Options};

use crate::canned::{ACCOUNT, budget};

/// The `Authorization` headers of the requests of each connection.
type Connections = Arc<Mutex<Vec<Vec<String>>>>;

/// A server that keeps connections open.
async fn server() -> (SocketAddr, Connections) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Connections::default();
    let seen = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(Vec::new());
                seen.len() - 1
            };
            tokio::spawn(answer_all(stream, Arc::clone(&seen), number));
        }
    });
    (address, connections)
}

async fn answer_all(mut stream: TcpStream, seen: Connections, number: usize) {
    let body = r#"{"success":true,"errors":[],"messages":[],"result":[]}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut head = Vec::new();
    while let Ok(read) = stream.read_buf(&mut head).await
        && read > 0
    {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).to_lowercase();
        let authorization = text.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap();
        seen.lock().unwrap()[number].push(authorization.to_owned());
        head.clear();
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// Uses a client once, and lets its connection return to the pool, which takes some turns of other tasks.
async fn use_once(client: Client) {
    client.integrations().await.unwrap();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn token(number: usize) -> Credentials {
    Credentials::Token(SecretString::from(format!("token-{number}")))
}

#[tokio::test]
async fn clients_of_one_endpoint_use_each_others_connections_with_their_own_credentials() {
    let (address, connections) = server().await;
    let options = Options { base_url: format!("http://{address}"), ..Options::default() };
    let endpoint = Endpoint::new(&options.base_url, options.connect_timeout).unwrap();
    // The endpoint replaces the base URL of the options, where nothing listens.
    let nowhere = Options { base_url: "http://127.0.0.1:1".to_owned(), ..Options::default() };
    for number in 0..5 {
        let client = Client::sharing(&endpoint, ACCOUNT, token(number), budget(), nowhere.clone());
        use_once(client.unwrap()).await;
    }
    let each: Vec<String> = (0..5).map(|number| format!("bearer token-{number}")).collect();
    assert_eq!(*connections.lock().unwrap(), std::slice::from_ref(&each));
    for number in 0..5 {
        use_once(Client::new(ACCOUNT, token(number), budget(), options.clone()).unwrap()).await;
    }
    let own: Vec<_> = each.into_iter().map(|one| vec![one]).collect();
    assert_eq!(connections.lock().unwrap().get(1..), Some(own.as_slice()));
}
