//! What a callback may do: it is answered or refused, and never waits for the call that it runs in.

mod support;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::logging::{Level, Sink};
use sam_mm::model::{Model, Source};
use support::fake_backend::FakeBackend;

/// Runs `body` and fails, instead of hanging, when it never ends.
fn ends(body: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let running = thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    if ended.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
        panic!("it waits for itself");
    }
    running.join().expect("its checks hold");
}

/// A line, whether the callback that got it could ask for the backend, and whether it could load a model.
type Heard = (String, Result<(), String>, Result<(), String>);

fn curious(fake: &FakeBackend) -> (Arc<Context>, Arc<Mutex<Vec<Heard>>>) {
    let place: Arc<OnceLock<Weak<Context>>> = Arc::default();
    let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let (itself, kept) = (Arc::clone(&place), Arc::clone(&heard));
    let sink: Sink = Box::new(move |_, line| {
        let Some(context) = itself.get().and_then(Weak::upgrade) else {
            return;
        };
        let asked = context.runtime().map(drop);
        let loaded = Model::load(&context, Source::Demo, Precision::Fp32).map(drop);
        let words = |error: sam_mm::error::Error| error.to_string();
        kept.lock()
            .unwrap()
            .push((line.to_owned(), asked.map_err(words), loaded.map_err(words)));
    });
    let options = Options {
        device: DeviceRequest::Named(DeviceName::Cpu),
        backend_path: Some(fake.path().to_owned()),
        ..Options::default()
    };
    let context = Arc::new(Context::new(options, Some((Level::Info, sink))).unwrap());
    place.set(Arc::downgrade(&context)).unwrap();
    (context, heard)
}

#[test]
fn a_callback_that_asks_for_the_backend_while_it_is_opened_is_refused_and_afterwards_answered() {
    ends(|| {
        let fake = FakeBackend::new();
        fake.control("log device_open 3 about to open");
        let (context, heard) = curious(&fake);
        context.runtime().unwrap();
        let heard = heard.lock().unwrap();
        let of = |line: &str| {
            let found = heard.iter().find(|(heard, ..)| heard.contains(line));
            found.unwrap_or_else(|| panic!("no line {line:?} in {heard:?}"))
        };
        let (_, asked, loaded) = of("about to open");
        for refused in [asked, loaded] {
            let said = refused.as_ref().unwrap_err();
            assert!(said.contains("from inside a callback"), "{said}");
        }
        let (_, asked, loaded) = of("running on cpu");
        assert_eq!(*asked, Ok(()));
        assert!(loaded.is_err());
    });
}

/// The line comes when nobody is held up any more, whatever the reader waits for.
#[test]
fn a_callback_told_what_the_context_runs_on_may_wait_for_a_thread_that_asks_the_same() {
    ends(|| {
        let fake = FakeBackend::new();
        let place: Arc<OnceLock<Weak<Context>>> = Arc::default();
        let itself = Arc::clone(&place);
        let sink: Sink = Box::new(move |_, line| {
            if line.starts_with("running on") {
                let context = itself.get().and_then(Weak::upgrade).expect("it is alive");
                let other = thread::spawn(move || context.runtime().map(drop).is_ok());
                assert!(other.join().unwrap());
            }
        });
        let options = Options {
            device: DeviceRequest::Named(DeviceName::Cpu),
            backend_path: Some(fake.path().to_owned()),
            ..Options::default()
        };
        let context = Arc::new(Context::new(options, Some((Level::Info, sink))).unwrap());
        place.set(Arc::downgrade(&context)).unwrap();
        context.runtime().unwrap();
    });
}
