//! Makes the page when an account changed: at most once a second, and off the threads that answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::clock::Clock;
use crate::exposition::Page;
use crate::model::Snapshot;
use crate::telemetry::Telemetry;

/// Nobody scrapes more often than this to good purpose.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes pages from `snapshots` for ever.
pub async fn run(
    mut snapshots: Vec<watch::Receiver<Arc<Snapshot>>>,
    page: watch::Sender<Arc<Page>>,
    telemetry: Telemetry,
    clock: Clock,
) -> Infallible {
    snapshots.iter_mut().for_each(watch::Receiver::mark_changed);
    loop {
        // A poller that ended changes nothing any more; the application notices.
        if snapshots.iter().any(|snapshot| snapshot.has_changed().unwrap_or(false)) {
            let latest: Vec<_> = snapshots.iter_mut().map(|snapshot| Arc::clone(&snapshot.borrow_and_update())).collect();
            let started = clock.now();
            let made = spawn_blocking(move || Page::build(&latest)).await.expect("writing a page does not panic");
            telemetry.page_built(made.size(), clock.now().since(started));
            page.send_replace(Arc::new(made));
        }
        clock.sleep(PAUSE).await;
    }
}
