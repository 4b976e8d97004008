use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const NOW: Duration = Duration::ZERO;
const FOR_EVER: Duration = Duration::MAX;

/// A probe that counts, and its count.
fn counting() -> (Snapshot<u64>, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let probe = move || counted.fetch_add(1, Ordering::SeqCst) + 1;
    (Snapshot::new(probe), calls)
}

/// A probe that begins when it says so on the first channel, and answers what comes over the second.
fn steered() -> (Snapshot<u64>, mpsc::Receiver<()>, mpsc::Sender<u64>) {
    let (begun, begins) = mpsc::channel();
    let (answers, answer) = mpsc::channel();
    let answer = Mutex::new(answer);
    let snapshot = Snapshot::new(move || {
        let _ = begun.send(());
        // A test that is over has dropped its side.
        answer.lock().unwrap().recv().unwrap_or(0)
    });
    (snapshot, begins, answers)
}

fn told(answer: Option<Answer<u64>>) -> Option<(u64, bool)> {
    answer.map(|answer| (*answer.value, answer.stale))
}

#[test]
fn nothing_is_asked_before_somebody_wants_to_know() {
    let (snapshot, calls) = counting();
    drop(snapshot);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[test]
fn a_young_answer_is_given_again_without_asking() {
    let (snapshot, calls) = counting();
    for _ in 0..100 {
        assert_eq!(told(snapshot.get(FOR_EVER, LONG)), Some((1, false)));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn an_old_answer_is_replaced_for_the_one_who_waits() {
    let (snapshot, _) = counting();
    assert_eq!(told(snapshot.get(NOW, LONG)), Some((1, false)));
    assert_eq!(told(snapshot.get(NOW, LONG)), Some((2, false)));
}

#[test]
fn others_get_the_old_answer_while_one_asks() {
    let (snapshot, begins, answers) = steered();
    answers.send(1).unwrap();
    assert_eq!(told(snapshot.get(NOW, LONG)), Some((1, false)));
    begins.recv().unwrap();
    thread::scope(|scope| {
        let asking = scope.spawn(|| told(snapshot.get(NOW, LONG)));
        begins.recv().unwrap();
        assert_eq!(told(snapshot.get(NOW, LONG)), Some((1, true)));
        // Not stale for those whom an old one suits.
        assert_eq!(told(snapshot.get(FOR_EVER, LONG)), Some((1, false)));
        answers.send(2).unwrap();
        assert_eq!(asking.join().unwrap(), Some((2, false)));
    });
    assert!(begins.try_recv().is_err(), "it was asked once too often");
}

#[test]
fn nobody_waits_for_a_probe_that_hangs() {
    let (snapshot, begins, answers) = steered();
    let short = Duration::from_millis(1);
    assert_eq!(told(snapshot.get(NOW, short)), None);
    begins.recv().unwrap();
    thread::sleep(short);
    assert_eq!(told(snapshot.get(NOW, short)), None);
    drop(answers);
}

#[test]
fn a_probe_that_hung_and_answers_is_heard() {
    let (snapshot, begins, answers) = steered();
    snapshot.refresh();
    begins.recv().unwrap();
    answers.send(7).unwrap();
    while told(snapshot.get(FOR_EVER, LONG)).is_none() {
        thread::yield_now();
    }
    assert_eq!(told(snapshot.get(FOR_EVER, NOW)), Some((7, false)));
}

#[test]
fn a_new_answer_is_not_the_one_that_was_under_way() {
    let (snapshot, begins, answers) = steered();
    snapshot.refresh();
    begins.recv().unwrap();
    thread::scope(|scope| {
        let new = scope.spawn(|| told(snapshot.get_new(LONG)));
        let begun = Instant::now();
        while snapshot.shared.turns().wanted < 2 && begun.elapsed() < LONG {
            thread::yield_now();
        }
        answers.send(1).unwrap();
        answers.send(2).unwrap();
        assert_eq!(new.join().unwrap(), Some((2, false)));
    });
}

#[test]
fn a_panic_of_the_probe_is_no_answer_and_the_next_one_is() {
    let calls = AtomicU64::new(0);
    let snapshot = Snapshot::new(move || {
        let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
        assert_ne!(call, 2, "the probe panics, as this test wants it to");
        call
    });
    assert_eq!(told(snapshot.get(NOW, LONG)), Some((1, false)));
    assert_eq!(told(snapshot.get(NOW, LONG)), Some((1, true)));
    assert_eq!(told(snapshot.get(NOW, LONG)), Some((3, false)));
}

#[test]
fn a_dropped_snapshot_leaves_no_thread_behind() {
    let (snapshot, _) = counting();
    snapshot.get(NOW, LONG);
    let shared = Arc::downgrade(&snapshot.shared);
    drop(snapshot);
    assert!(shared.upgrade().is_none(), "its thread still holds it");
}

#[test]
fn a_snapshot_whose_probe_hangs_can_be_dropped() {
    let (snapshot, begins, answers) = steered();
    snapshot.refresh();
    begins.recv().unwrap();
    drop(snapshot);
    // The thread that was left behind ends by itself when the probe answers.
    answers.send(1).unwrap();
}

#[test]
fn many_threads_ask_at_once_and_all_get_true_answers() {
    let (snapshot, calls) = counting();
    snapshot.get(NOW, LONG);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut last = 0;
                for round in 0..500 {
                    let max_age = if round % 2 == 0 { NOW } else { FOR_EVER };
                    let value = *snapshot.get(max_age, LONG).unwrap().value;
                    assert!(value >= last, "{value} after {last}");
                    last = value;
                }
            });
        }
    });
    let last = *snapshot.get(FOR_EVER, LONG).unwrap().value;
    assert_eq!(last, calls.load(Ordering::SeqCst));
}
