//! Detects a part that hangs: each part is sent a ping, which it can answer only between two steps of its work.
//!
//! A separate timer would not do: it would continue while a part waits forever for a disk or a lock.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// A part sends the answer here.
type Ping = oneshot::Sender<()>;

/// The parts that are pinged. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Liveness {
    parts: Arc<Mutex<Vec<mpsc::Sender<Ping>>>>,
}

impl Liveness {
    /// Wraps `work`, which never ends, so that it answers pings whenever it is waiting.
    pub(crate) fn watch<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let (_, mut pings) = self.add();
        async move { answering(work, &mut pings).await }
    }

    /// The same for work that may end: it is no longer pinged then.
    pub(crate) fn watch_until_end<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let (part, mut pings) = self.add();
        let liveness = self.clone();
        async move {
            let ended = answering(work, &mut pings).await;
            // Before `pings` is dropped, so that a beat that gets no answer finds the part gone.
            liveness.parts().retain(|other| !other.same_channel(&part));
            ended
        }
    }

    /// Waits until every part has answered a ping. Never returns if a part has ended or hangs.
    pub(crate) async fn beat(&self) {
        let parts = self.parts().clone();
        for part in parts {
            let (ping, answer) = oneshot::channel();
            if part.send(ping).await.is_err() || answer.await.is_err() {
                // A part that may end has removed itself.
                if self.parts().iter().any(|other| other.same_channel(&part)) {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    fn add(&self) -> (mpsc::Sender<Ping>, mpsc::Receiver<Ping>) {
        let (sender, pings) = mpsc::channel(1);
        self.parts().push(sender.clone());
        (sender, pings)
    }

    fn parts(&self) -> MutexGuard<'_, Vec<mpsc::Sender<Ping>>> {
        // A list with one element more or less is consistent.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answering<F: Future>(work: F, pings: &mut mpsc::Receiver<Ping>) -> F::Output {
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
        let liveness = Liveness::default();
        for _ in 0..3 {
            tokio::spawn(liveness.watch(pending::<()>()));
        }
        liveness.beat().await;
        liveness.beat().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_part_that_hangs_does_not_answer_until_it_goes_on() {
        let liveness = Liveness::default();
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
        let liveness = Liveness::default();
        let ended = tokio::spawn(liveness.watch(async { 7 }));
        assert_eq!(ended.await.expect("it ends well"), 7);
        let mut beat = pin!(liveness.beat());
        for _ in 0..100 {
            assert!(!is_ready(beat.as_mut()));
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_part_that_may_end_is_not_pinged_any_more_after_its_end() {
        let liveness = Liveness::default();
        let ended = tokio::spawn(liveness.watch_until_end(async { 7 }));
        assert_eq!(ended.await.expect("it ends well"), 7);
        liveness.beat().await;
        // It ends while the beat waits for it.
        let (end, ends) = oneshot::channel::<()>();
        let part = tokio::spawn(liveness.watch_until_end(ends));
        let beating = liveness.clone();
        let beat = tokio::spawn(async move { beating.beat().await });
        end.send(()).expect("it waits");
        beat.await.expect("it answers, or has ended");
        part.await.expect("it ends well").expect("it was told to");
    }
}
