//! What a plugin asks of the host while it works: memory, cancelling, the log, and whose turn it is.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use sam_mm::backend::{
    Device, Embedding, LogLevel, LogSink, Model, Operation, OperationHooks, Plan, subscribe_log,
};
use sam_mm_backend_abi::abi;
use support::calls::{detached, encode, load, model_of, open_device};
use support::fake_backend::FakeBackend;

/// Hooks that write down what they are asked and answer as told.
#[derive(Default)]
struct Recorder {
    cancelled: AtomicBool,
    refuse: AtomicBool,
    /// How often a failed allocation is tried again.
    retries: AtomicU32,
    asked: Mutex<Vec<String>>,
}

impl Recorder {
    fn note(&self, line: String) {
        self.asked.lock().unwrap().push(line);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl OperationHooks for Recorder {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn before_allocate(&self, bytes: u64) -> bool {
        self.note(format!("before {bytes}"));
        !self.refuse.load(Ordering::SeqCst)
    }

    fn allocation_failed(&self, bytes: u64, attempt: u32) -> bool {
        self.note(format!("failed {bytes} {attempt}"));
        self.retries
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.note(format!("{level}: {message}"));
    }
}

fn recorder() -> (Arc<Recorder>, Operation) {
    let recorder = Arc::new(Recorder::default());
    let operation = Operation::new(Arc::clone(&recorder) as Arc<dyn OperationHooks>);
    (recorder, operation)
}

/// Bytes that an encode of the default model takes at its peak.
const ENCODE_BYTES: u64 = 4096 + 256 * 256 * 16 * 4;

#[test]
fn an_allocation_is_announced_with_its_bytes() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let (recorder, operation) = recorder();
    encode(&model, &operation).unwrap();
    assert_eq!(recorder.asked(), [format!("before {ENCODE_BYTES}")]);
}

#[test]
fn an_allocation_that_the_host_refuses_is_out_of_memory() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let (recorder, operation) = recorder();
    recorder.refuse.store(true, Ordering::SeqCst);
    let error = encode(&model, &operation).map(|_| ()).unwrap_err();
    assert!(error.is_out_of_memory());
    assert_eq!(error.requested_bytes(), Some(ENCODE_BYTES));
}

#[test]
fn a_failed_allocation_is_tried_again_as_long_as_the_host_releases_something() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let (recorder, operation) = recorder();
    fake.control("oom encode 1 2");
    recorder.retries.store(2, Ordering::SeqCst);
    encode(&model, &operation).unwrap();
    let bytes = ENCODE_BYTES;
    assert_eq!(
        recorder.asked(),
        [
            format!("before {bytes}"),
            format!("failed {bytes} 1"),
            format!("failed {bytes} 2")
        ]
    );
}

#[test]
fn out_of_memory_tells_what_was_needed_and_what_was_free() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let (recorder, operation) = recorder();
    fake.control("memory total=100000 other=0");
    let error = encode(&model, &operation).map(|_| ()).unwrap_err();
    assert!(error.is_out_of_memory());
    assert_eq!(error.requested_bytes(), Some(ENCODE_BYTES));
    assert_eq!(error.free_bytes(), Some(96_000));
    assert_eq!(recorder.asked().len(), 2);
    assert_eq!(fake.value("live.embeddings"), 0);
}

#[test]
fn room_that_a_hook_makes_by_dropping_an_embedding_is_used() {
    struct DropsOne(Mutex<Option<Embedding>>);
    impl OperationHooks for DropsOne {
        fn allocation_failed(&self, _: u64, _: u32) -> bool {
            self.0.lock().unwrap().take().is_some()
        }
    }
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let kept = encode(&model, &detached()).unwrap();
    fake.control(&format!("memory total={} other=0", 4000 + ENCODE_BYTES));
    let hooks = Arc::new(DropsOne(Mutex::new(Some(kept))));
    encode(&model, &Operation::new(hooks)).unwrap();
}

#[test]
fn a_hook_may_export_another_embedding_and_trim_but_not_use_the_model_at_work() {
    struct Moves {
        device: Device,
        model: Arc<Model>,
        kept: Embedding,
        told: Mutex<Vec<String>>,
    }
    impl OperationHooks for Moves {
        fn before_allocate(&self, _: u64) -> bool {
            let told = [
                self.kept
                    .export()
                    .map(|bytes| (!bytes.is_empty()).to_string()),
                self.device.trim().map(|_| "trimmed".to_owned()),
                self.model
                    .estimate(&Plan::DEFAULT)
                    .map(|_| "estimated".to_owned()),
            ];
            let told = told.map(|result| result.unwrap_or_else(|error| error.to_string()));
            self.told.lock().unwrap().extend(told);
            true
        }
    }
    let fake = FakeBackend::new();
    let device = open_device(&fake, "cpu");
    let model = Arc::new(load(&device, b"any").unwrap());
    let kept = encode(&model, &detached()).unwrap();
    let hooks = Arc::new(Moves {
        device,
        model: Arc::clone(&model),
        kept,
        told: Mutex::default(),
    });
    encode(
        &model,
        &Operation::new(Arc::clone(&hooks) as Arc<dyn OperationHooks>),
    )
    .unwrap();
    assert_eq!(
        *hooks.told.lock().unwrap(),
        [
            "true",
            "trimmed",
            "the model was used from within a callback of a call that is using the same model"
        ]
    );
}

#[test]
fn a_running_operation_stops_when_it_is_cancelled() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    fake.control("block encode");
    let (recorder, operation) = recorder();
    let error = std::thread::scope(|scope| {
        let worker = scope.spawn(|| encode(&model, &operation).map(|_| ()).unwrap_err());
        fake.wait_until_blocked("encode", 1);
        recorder.cancelled.store(true, Ordering::SeqCst);
        worker.join().unwrap()
    });
    assert_eq!(error.code(), abi::SAM_MM_ERR_CANCELLED);
}

#[test]
fn calls_on_one_model_take_turns_and_those_on_two_do_not() {
    let fake = FakeBackend::new();
    let device = open_device(&fake, "cpu");
    let (one, two) = (
        load(&device, b"any").unwrap(),
        load(&device, b"any").unwrap(),
    );
    fake.control("block encode");
    std::thread::scope(|scope| {
        for model in [&one, &one, &two] {
            scope.spawn(move || encode(model, &detached()).unwrap());
        }
        // Both models are at work; the third call waits outside the plugin.
        fake.wait_until_blocked("encode", 2);
        assert_eq!(fake.value("waiting.encode"), 2);
        // Meanwhile memory figures and trimming do not wait.
        device.mem_info().unwrap();
        device.trim().unwrap();
        fake.control("unblock encode");
    });
    assert_eq!(
        (fake.value("calls.encode"), fake.value("violations")),
        (3, 0)
    );
}

#[test]
fn a_line_that_a_plugin_writes_goes_to_the_operation_it_belongs_to() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    fake.control("log encode 2 fans are loud");
    let (recorder, operation) = recorder();
    encode(&model, &operation).unwrap();
    assert_eq!(recorder.asked()[0], "warning: fans are loud");
}

#[test]
fn a_line_outside_of_any_operation_goes_to_every_subscriber() {
    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);
    impl LogSink for Lines {
        fn write(&self, level: LogLevel, message: &str) {
            self.0.lock().unwrap().push(format!("{level}: {message}"));
        }
    }
    let fake = FakeBackend::new();
    let device = open_device(&fake, "cpu");
    fake.control("log device_trim 3 a very particular line");
    let lines = [Arc::new(Lines::default()), Arc::new(Lines::default())];
    let sinks = lines.clone().map(|lines| lines as Arc<dyn LogSink>);
    sinks.iter().for_each(subscribe_log);
    device.trim().unwrap();
    drop(sinks);
    for lines in &lines {
        // Other tests of this process write lines too.
        let of_this_test = lines
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains("particular"))
            .count();
        assert_eq!(of_this_test, 1);
    }
}

#[test]
fn a_hook_that_panics_counts_as_the_cautious_answer() {
    struct Panics;
    impl OperationHooks for Panics {
        fn before_allocate(&self, _: u64) -> bool {
            panic!("a defect of the caller")
        }
    }
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let error = encode(&model, &Operation::new(Arc::new(Panics)))
        .map(|_| ())
        .unwrap_err();
    assert!(error.is_out_of_memory());
    assert!(encode(&model, &detached()).is_ok());
}
