//! Detects a part that hangs: each part is sent a ping, which it can answer only between two steps of its work.
//!
//! A separate timer would not do: it would go on while a part waits forever for a disk or a lock.

use std::pin::pin;

use tokio::sync::{mpsc, oneshot};

/// A part sends the answer here.
type Ping = oneshot::Sender<()>;

/// The parts that are pinged.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    parts: Vec<mpsc::Sender<Ping>>,
}

impl Liveness {
    /// Wraps `work` so that it answers pings whenever it is waiting.
    pub(crate) fn watch<F: Future>(&mut self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let (sender, mut pings) = mpsc::channel::<Ping>(1);
        self.parts.push(sender);
        async move {
            let mut work = pin!(work);
            loop {
                tokio::select! {
                    biased;
                    ended = &mut work => return ended,
                    Some(ping) = pings.recv() => {
                        // The sender of the ping may have given up.
                        let _ = ping.send(());
                    }
                }
            }
        }
    }

    /// Waits until every part has answered a ping. Never returns if a part has ended or hangs.
    pub(crate) async fn beat(&self) {
        for part in &self.parts {
            let (ping, answer) = oneshot::channel();
            if part.send(ping).await.is_err() || answer.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::mpsc::sync_channel;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether the future is ready at the first poll.
    fn is_ready(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[tokio::test]
    async fn parts_that_wait_answer_every_ping() {
        let mut liveness = Liveness::default();
        for _ in 0..3 {
            tokio::spawn(liveness.watch(pending::<()>()));
        }
        liveness.beat().await;
        liveness.beat().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_part_that_hangs_does_not_answer_until_it_goes_on() {
        let mut liveness = Liveness::default();
        tokio::spawn(liveness.watch(pending::<()>()));
        let (release, held) = sync_channel::<()>(0);
        let (hold, holds) = oneshot::channel();
        tokio::spawn(liveness.watch(async move {
            hold.send(()).expect("the test waits for it");
            tokio::task::block_in_place(|| held.recv().expect("the test lets go"));
            pending::<()>().await;
        }));
        holds.await.expect("it begins");
        let mut beat = pin!(liveness.beat());
        // The other part can answer, this one cannot.
        for _ in 0..100 {
            assert!(!is_ready(beat.as_mut()));
            tokio::task::yield_now().await;
        }
        release.send(()).expect("it waits");
        beat.await;
    }

    #[tokio::test]
    async fn a_part_that_ended_does_not_answer() {
        let mut liveness = Liveness::default();
        let ended = tokio::spawn(liveness.watch(async { 7 }));
        assert_eq!(ended.await.expect("it ends well"), 7);
        let mut beat = pin!(liveness.beat());
        for _ in 0..100 {
            assert!(!is_ready(beat.as_mut()));
            tokio::task::yield_now().await;
        }
    }
}
