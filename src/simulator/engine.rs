//! The running world behind its lock, with the clock that drives it and the signal that stops it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::scenario::Scenario;
use super::world::World;
use crate::clock::{Clock, Timestamp};

/// The state that all connections and tasks of the simulator share.
pub(super) struct Engine {
    world: Mutex<World>,
    pub(super) clock: Clock,
    pub(super) latency: Duration,
    pub(super) stopped: Arc<AtomicBool>,
    stopping: Notify,
    /// The list of users was read. Only the story waits for that.
    list_read: Notify,
}

impl Engine {
    /// Builds the world, which takes seconds for a million users.
    pub(super) fn new(scenario: &Scenario, clock: Clock) -> Self {
        Self {
            world: Mutex::new(World::new(scenario, clock.date())),
            clock,
            latency: Duration::from_millis(scenario.latency_ms),
            stopped: Arc::default(),
            stopping: Notify::new(),
            list_read: Notify::new(),
        }
    }

    /// The world as it is now.
    pub(super) fn now(&self) -> (MutexGuard<'_, World>, Timestamp) {
        // After a panic the world may be inconsistent. For a simulator this is no worse than a fault.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.date();
        world.advance(now);
        (world, now)
    }

    /// The list of users is part of a response.
    pub(super) fn list_is_read(&self) {
        self.list_read.notify_one();
    }

    /// Waits until the list of users was read, which may have been before.
    pub(super) async fn until_list_is_read(&self) {
        self.list_read.notified().await;
    }

    /// Ends responses that would not end by themselves.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.stopping.notify_waiters();
    }

    /// Waits until [`Engine::stop`] was called.
    pub(super) async fn until_stopped(&self) {
        let stopping = self.stopping.notified();
        if !self.stopped.load(Ordering::Relaxed) {
            stopping.await;
        }
    }
}
