//! Journals, blocks and shares of budgets.

use super::*;

fn requests(spending: &Spending) -> u32 {
    spending.leases.iter().map(|(_, requests)| requests).sum()
}

#[tokio::test]
async fn leases_exceed_the_requests_sent_at_most_twofold_and_by_at_most_a_twentieth_of_the_budget() {
    for sent in [1, 2, 3, 10, 40, 200, 290] {
        let last = Arc::new(Mutex::new(Spending::default()));
        let journal = {
            let last = Arc::clone(&last);
            Journal::new(move |spending| *last.lock().unwrap() = spending.clone())
        };
        let budget = Budget::continued(0.25, Clock::system(), Spending::default(), Some(journal));
        for _ in 0..sent {
            drop(budget.acquire(Duration::ZERO).await.unwrap());
        }
        let leased = requests(&last.lock().unwrap());
        let most = (2 * sent).min(sent + 300 / 20);
        assert!((sent..=most).contains(&leased), "{leased} for {sent}");
    }
}

#[tokio::test]
async fn a_block_ends_with_its_credential() {
    let last = Arc::new(Mutex::new(Spending::default()));
    let journal = {
        let last = Arc::clone(&last);
        Journal::new(move |spending| *last.lock().unwrap() = spending.clone())
    };
    let budget = Budget::continued(0.25, Clock::system(), Spending::default(), Some(journal));
    let early = budget.acquire(Duration::ZERO).await.unwrap();
    let late = budget.acquire(Duration::ZERO).await.unwrap();
    early.limited(Duration::from_secs(300));
    drop(early);
    assert!(budget.status().blocked_until.is_some());
    assert!(last.lock().unwrap().blocked_until.is_some());

    let waiting = budget.clone();
    let waiting = tokio::spawn(async move { waiting.acquire(Duration::from_secs(3_600)).await.is_ok() });
    tokio::task::yield_now().await;
    let next = budget.for_next_credential();
    next.credential_changed();
    assert!(waiting.await.unwrap(), "a request that waited for the end of the block is sent at once");
    assert_eq!((budget.status().blocked_until, last.lock().unwrap().blocked_until), (None, None));
    late.limited(Duration::from_secs(300));
    let even_later = budget.acquire(Duration::ZERO).await.unwrap();
    even_later.limited(Duration::from_secs(300));
    assert_eq!(budget.status().blocked_until, None, "errors for the earlier credential");
    next.acquire(Duration::ZERO).await.unwrap().limited(Duration::from_secs(300));
    assert!(budget.status().blocked_until.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_the_writer_waits_for_a_journal_that_hangs() {
    let (release, released) = std::sync::mpsc::sync_channel::<()>(4);
    let (began, begins) = std::sync::mpsc::sync_channel(4);
    let written = Arc::new(Mutex::new(Vec::new()));
    let journal = {
        let (written, released) = (Arc::clone(&written), Mutex::new(released));
        Journal::new(move |spending| {
            written.lock().unwrap().push(spending.clone());
            began.send(()).unwrap();
            tokio::task::block_in_place(|| released.lock().unwrap().recv().unwrap());
        })
    };
    let budget = Budget::continued(0.25, Clock::system(), Spending::default(), Some(journal));
    release.send(()).unwrap();
    let permit = budget.acquire(Duration::ZERO).await.unwrap();
    let waiting = budget.clone();
    let waiting = tokio::spawn(async move { waiting.acquire(Duration::ZERO).await.is_ok() });
    let begins = tokio::task::spawn_blocking(move || (begins.recv(), begins.recv(), begins).2).await.unwrap();
    // The second request waits for the disk. These do not.
    permit.passed();
    permit.limited(Duration::from_secs(300));
    budget.credential_changed();
    budget.write_journal();
    assert_eq!(written.lock().unwrap().len(), 2);
    // The writer writes what has changed in the meantime, once.
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert!(waiting.await.unwrap());
    drop(begins);
    let all = written.lock().unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!((requests(&all[2]), all[2].blocked_until), (2, None));
}

#[tokio::test]
async fn another_share_allows_more_or_fewer_requests_and_those_sent_still_count() {
    let budget = Budget::new(0.01, Clock::system());
    assert!(budget.is_unspent());
    for _ in 0..12 {
        drop(budget.acquire(Duration::ZERO).await.unwrap());
    }
    assert!(budget.acquire(Duration::ZERO).await.is_err());
    let waiting = budget.clone();
    let waiting = tokio::spawn(async move { waiting.acquire(Duration::from_secs(3_600)).await.is_ok() });
    tokio::task::yield_now().await;
    for (share, limit, remaining) in [(0.02, 24, 11), (0.01, 12, 0), (0.005, 6, 0), (0.02, 24, 11)] {
        budget.set_share(share);
        if share == 0.02 {
            tokio::task::yield_now().await;
        }
        let status = budget.status();
        assert_eq!((status.limit, status.remaining), (limit, remaining), "{share}");
    }
    assert!(waiting.await.unwrap(), "a request that waited for the window is sent at once");
    assert!(!budget.is_unspent());
}

#[tokio::test]
async fn requests_that_leave_a_reserve_leave_it_to_others() {
    // 12 requests in a window.
    let budget = Budget::new(0.01, Clock::system());
    for number in 0..9 {
        assert!(budget.acquire_beyond(3, Duration::ZERO).await.is_ok(), "request {number}");
    }
    assert!(budget.acquire_beyond(3, Duration::ZERO).await.is_err());
    for number in 0..3 {
        assert!(budget.acquire(Duration::ZERO).await.is_ok(), "request {number} of the reserve");
    }
    assert!(budget.acquire(Duration::ZERO).await.is_err());
}
