//! Journals, blocks and shares of budgets.

use super::*;

fn requests(spending: &Spending) -> u32 {
    spending.leases.iter().map(|lease| lease.requests).sum()
}

#[tokio::test]
async fn leases_exceed_the_requests_sent_at_most_twofold_and_by_at_most_a_twentieth_of_the_budget() {
    for sent in [1, 2, 3, 10, 40, 200, 290] {
        let last = Arc::new(Mutex::new(Spending::default()));
        let journal = {
            let last = Arc::clone(&last);
            Journal::new(JournalTurn::default(), move |spending| *last.lock().unwrap() = spending.clone())
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

/// A budget of 300 requests after these spendings, and what its journal has.
fn journaled(clock: &Clock, spendings: &[&Spending]) -> (Budget, Arc<Mutex<Spending>>) {
    let last = Arc::new(Mutex::new(Spending::default()));
    let journal = {
        let last = Arc::clone(&last);
        Journal::new(JournalTurn::default(), move |spending| *last.lock().unwrap() = spending.clone())
    };
    let budget = Budget::continued(0.25, clock.clone(), Spending::default(), Some(journal));
    for spending in spendings {
        budget.add((*spending).clone());
    }
    budget.write_journal();
    (budget, last)
}

/// How many requests count.
fn counting(budget: &Budget) -> u32 {
    budget.status().limit - budget.status().remaining
}

#[tokio::test]
async fn requests_that_the_journals_of_two_budgets_have_count_once_in_the_next_processes() {
    let clock = Clock::system();
    let ((one, of_one), (other, of_other)) = (journaled(&clock, &[]), journaled(&clock, &[]));
    for budget in [&one, &one, &one, &other, &other] {
        drop(budget.acquire(Duration::ZERO).await.unwrap());
    }
    other.merge(one.spent());
    other.write_journal();
    // This one is sent later. The other budget does not know it.
    drop(one.acquire(Duration::ZERO).await.unwrap());
    let journals = || [&of_one, &of_other].map(|journal| journal.lock().unwrap().clone());
    let [mut first, mut second] = journals();
    let leased = [requests(&first), requests(&second)];
    assert_eq!(leased, [4, 2 + 3], "with what is reserved: four of one, and two of the other");
    for process in 0..5 {
        let ((one, of_one), (other, of_other)) =
            (journaled(&clock, &[&first]), journaled(&clock, &[&second]));
        assert_eq!([counting(&one), counting(&other)], [4, 5], "process {process}");
        // Either of them joins the other one, or the next process reads both for one budget.
        let both = [journaled(&clock, &[&first, &second]), journaled(&clock, &[&second, &first])];
        for (both, of_both) in both {
            assert_eq!((counting(&both), requests(&of_both.lock().unwrap())), (6, 6), "process {process}");
            both.merge(one.spent());
            both.merge(other.spent());
            assert_eq!(counting(&both), 6, "process {process}");
        }
        let [known, unknown] = [one.spent(), other.spent()];
        one.merge(unknown);
        other.merge(known);
        assert_eq!([counting(&one), counting(&other)], [6, 6], "process {process}");
        one.write_journal();
        assert_eq!(requests(&of_one.lock().unwrap()), 6);
        // The next process has them apart again, but for its owners.
        (first, second) = (first, of_other.lock().unwrap().clone());
        assert_eq!(requests(&second), 5, "nothing was written since");
    }
}

#[tokio::test]
async fn a_journal_has_what_counts_of_other_budgets_as_long_as_it_counts() {
    // A window takes a second.
    let clock = Clock::scaled(Clock::system().date(), 300.0);
    let ((one, _), (other, journal)) = (journaled(&clock, &[]), journaled(&clock, &[]));
    let written = || {
        other.write_journal();
        journal.lock().unwrap().clone()
    };
    let in_flight = one.acquire(Duration::ZERO).await.unwrap();
    other.merge(one.spent());
    let first = written();
    clock.sleep(WINDOW / 2).await;
    drop(in_flight);
    other.merge(one.spent());
    let second = written();
    assert_eq!([requests(&first), requests(&second)], [1, 1]);
    let until = |spending: &Spending| spending.leases[0].until;
    assert!(until(&second).since(until(&first)) >= WINDOW / 3, "it counts from its end");
    clock.sleep(WINDOW).await;
    assert_eq!(written(), Spending::default());
}

#[tokio::test]
async fn a_block_ends_with_its_credential() {
    let (budget, last) = journaled(&Clock::system(), &[]);
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
        Journal::new(JournalTurn::default(), move |spending| {
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
