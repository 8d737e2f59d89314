//! Whether every part still turns: each is asked, and has to come back from its own work to answer.
//!
//! A timer of its own would tick on beside a part that waits for ever for a disk or a lock.

use std::pin::pin;

use tokio::sync::{mpsc, oneshot};

/// Answered by a part between two of its steps.
type Question = oneshot::Sender<()>;

/// The parts that are asked.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    parts: Vec<mpsc::Sender<Question>>,
}

impl Liveness {
    /// The same work, which answers from now on whenever it has nothing to do but wait.
    pub(crate) fn watch<F: Future>(&mut self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let (ask, mut asked) = mpsc::channel::<Question>(1);
        self.parts.push(ask);
        async move {
            let mut work = pin!(work);
            loop {
                tokio::select! {
                    biased;
                    ended = &mut work => return ended,
                    Some(question) = asked.recv() => {
                        // Who asked may have gone.
                        let _ = question.send(());
                    }
                }
            }
        }
    }

    /// Ready once every part has answered; never, if one has ended or hangs.
    pub(crate) async fn beat(&self) {
        for part in &self.parts {
            let (question, answer) = oneshot::channel();
            if part.send(question).await.is_err() || answer.await.is_err() {
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

    /// Whether it is ready when it is asked once.
    fn is_ready(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[tokio::test]
    async fn parts_that_wait_have_a_pulse_time_and_again() {
        let mut pulse = Liveness::default();
        for _ in 0..3 {
            tokio::spawn(pulse.watch(pending::<()>()));
        }
        pulse.beat().await;
        pulse.beat().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_part_that_does_not_come_back_has_none_until_it_does() {
        let mut pulse = Liveness::default();
        tokio::spawn(pulse.watch(pending::<()>()));
        let (release, held) = sync_channel::<()>(0);
        let (hold, holds) = oneshot::channel();
        tokio::spawn(pulse.watch(async move {
            hold.send(()).expect("the test waits for it");
            tokio::task::block_in_place(|| held.recv().expect("the test lets go"));
            pending::<()>().await;
        }));
        holds.await.expect("it begins");
        let mut beat = pin!(pulse.beat());
        // The other part answers in between, this one cannot.
        for _ in 0..100 {
            assert!(!is_ready(beat.as_mut()));
            tokio::task::yield_now().await;
        }
        release.send(()).expect("it waits");
        beat.await;
    }

    #[tokio::test]
    async fn a_part_that_ended_has_none() {
        let mut pulse = Liveness::default();
        let ended = tokio::spawn(pulse.watch(async { 7 }));
        assert_eq!(ended.await.expect("it ends well"), 7);
        let mut beat = pin!(pulse.beat());
        for _ in 0..100 {
            assert!(!is_ready(beat.as_mut()));
            tokio::task::yield_now().await;
        }
    }
}
