//! Serves several sockets as one server.

use std::future::{Future, poll_fn};
use std::pin::Pin;

use tokio::net::TcpListener;
use tokio::sync::watch;

/// The sockets that the server answers on.
#[derive(Debug)]
pub struct Sockets {
    /// Those with everything; at least one.
    pub main: Vec<TcpListener>,
    /// The one that serves only the health endpoints, without TLS and password.
    pub health: Option<TcpListener>,
}

/// A single socket, without one for the health.
impl From<TcpListener> for Sockets {
    fn from(socket: TcpListener) -> Self {
        Self { main: vec![socket], health: None }
    }
}

/// The work of one socket.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs until all of `servings` have ended, or until `stop` is ready, which `stopping` then tells them. They run in one
/// task, so that a panic in one of them ends all.
pub(super) async fn run_all(
    mut servings: Vec<Serving>,
    stopping: watch::Sender<()>,
    stop: impl Future<Output = ()>,
) {
    let mut all_ended = poll_fn(move |context| {
        servings.retain_mut(|serving| serving.as_mut().poll(context).is_pending());
        match servings.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    });
    tokio::select! {
        () = &mut all_ended => return,
        () = stop => {}
    }
    stopping.send_replace(());
    all_ended.await;
}

/// Ready when `stopping` changes.
pub(super) async fn stopped(mut stopping: watch::Receiver<()>) {
    // An error means that the server is gone, which is a stop too.
    let _ = stopping.changed().await;
}
