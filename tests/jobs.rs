//! Jobs, cancelling and taking turns, against the fake backend. Gates, not times, decide what happens when.

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use sam_mm::backend::{DeviceName, Precision};
use sam_mm::cache::weighted_lru::Limits;
use sam_mm::context::Options;
use sam_mm::error::Error;
use sam_mm::jobs::cancel::CancelToken;
use sam_mm::jobs::job::{Job, JobState, Kind, Output};
use sam_mm::jobs::orders::Orders;
use sam_mm::jobs::progress::{Stage, Whose};
use sam_mm::jobs::turnstile::Urgency;
use sam_mm::memory::config::MemoryOptions;
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::{check_prompts, encode_with, predict_checked, predict_with};
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use support::fake_backend::FakeBackend;
use support::setup::Setup;

const CLICK: Prompt<'static> = Prompt {
    points: &[[60.0, 40.0]],
    labels: &[1],
    bounding_box: None,
    mask_input: None,
};

fn submit_encode(setup: &Setup, image: &Arc<RegisteredImage>) -> Arc<Job> {
    let (model, image) = (Arc::clone(&setup.model), Arc::clone(image));
    let body = move |orders: &Orders| {
        encode_with(&model, &image, orders)?;
        Ok(Output::Nothing)
    };
    let jobs = setup.context.jobs();
    jobs.submit(&setup.context, Kind::Encode, Box::new(body))
        .unwrap()
}

fn submit_click(setup: &Setup, image: &Arc<RegisteredImage>) -> Arc<Job> {
    let prompts = check_prompts(&setup.model, image, &[CLICK], true).unwrap();
    let (model, image) = (Arc::clone(&setup.model), Arc::clone(image));
    let body = move |orders: &Orders| {
        let made = predict_checked(&model, &image, &prompts, orders)?;
        Ok(Output::Prediction(Box::new(made)))
    };
    let jobs = setup.context.jobs();
    jobs.submit(&setup.context, Kind::Predict, Box::new(body))
        .unwrap()
}

fn end(job: &Job) -> JobState {
    job.wait(None).unwrap()
}

fn taken(job: &Job) -> Result<Prediction, Error> {
    match job.take(Kind::Predict)? {
        Output::Prediction(made) => Ok(*made),
        _ => panic!("a predict job gives a prediction"),
    }
}

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

fn orders(cancel: &CancelToken) -> Orders {
    Orders {
        cancel: cancel.clone(),
        ..Orders::default()
    }
}

#[test]
fn a_cancelled_encoding_keeps_nothing_and_the_next_click_makes_it() {
    let setup = Setup::new();
    let image = setup.image(10);
    setup.fake.control("block encode");
    let job = submit_click(&setup, &image);
    setup.fake.wait_until_blocked("encode", 1);
    job.cancel();
    assert_eq!(end(&job), JobState::Cancelled);
    assert!(taken(&job).is_err_and(|error| error.is_cancelled()));
    assert!(setup.context.embeddings().is_empty() && setup.context.predictions().is_empty());
    let counted = setup.context.memory().report().operations;
    assert_eq!(
        (counted.succeeded, counted.failed),
        (0, 0),
        "stopping is no failure"
    );
    setup.fake.control("unblock encode");
    setup.click(&image).unwrap();
    assert_eq!(setup.calls("encode"), 2);
}

#[test]
fn a_cancelled_decoding_keeps_the_embedding_that_was_there() {
    let setup = Setup::new();
    let image = setup.image(10);
    setup.fake.control("block decode");
    let job = submit_click(&setup, &image);
    setup.fake.wait_until_blocked("decode", 1);
    assert_eq!(job.progress().0, Stage::Decoding);
    job.cancel();
    assert_eq!(end(&job), JobState::Cancelled);
    assert!(setup.context.predictions().is_empty());
    setup.fake.control("unblock decode");
    assert!(setup.click(&image).unwrap().timings.encode_ms.is_none());
}

#[test]
fn a_cancelled_model_load_leaves_nothing_on_the_device() {
    let setup = Setup::new();
    setup.fake.control("block model_load");
    let context = Arc::clone(&setup.context);
    let load = move |orders: &Orders| {
        let model = Model::load_with(&context, Source::Demo, Precision::Fp32, orders)?;
        Ok(Output::Model(Arc::new(model)))
    };
    let jobs = setup.context.jobs();
    let job = jobs
        .submit(&setup.context, Kind::ModelLoad, Box::new(load))
        .unwrap();
    setup.fake.wait_until_blocked("model_load", 1);
    job.cancel();
    assert_eq!(end(&job), JobState::Cancelled);
    assert_eq!(setup.fake.value("live.models"), 1);
}

#[test]
fn who_waits_for_a_turn_can_be_cancelled_while_the_one_before_goes_on() {
    let setup = Setup::new();
    let (first, second) = (setup.image(10), setup.image(20));
    setup.fake.control("block encode");
    let runs = submit_encode(&setup, &first);
    setup.fake.wait_until_blocked("encode", 1);
    let waits = submit_click(&setup, &second);
    until(|| setup.context.turnstile().waiting() == 1);
    waits.cancel();
    assert_eq!(end(&waits), JobState::Cancelled);
    assert_eq!(runs.state().0, JobState::Running);
    setup.fake.control("unblock encode");
    assert_eq!(end(&runs), JobState::Succeeded);
    assert_eq!(setup.calls("encode"), 1);
}

#[test]
fn cancelling_one_of_many_that_wait_for_an_image_takes_nothing_from_the_others() {
    // The one that encodes, and one that waits.
    for victim in [0, 1] {
        let setup = Setup::new();
        let image = setup.image(10);
        setup.fake.control("block encode");
        let first = submit_encode(&setup, &image);
        setup.fake.wait_until_blocked("encode", 1);
        let jobs = [
            first,
            submit_encode(&setup, &image),
            submit_encode(&setup, &image),
        ];
        until(|| setup.context.turnstile().waiting() == 2);
        jobs[victim].cancel();
        until(|| jobs[1].state().0 != JobState::Running || victim == 0);
        setup.fake.control("unblock encode");
        for (index, job) in jobs.iter().enumerate() {
            let wanted = if index == victim {
                JobState::Cancelled
            } else {
                JobState::Succeeded
            };
            assert_eq!(end(job), wanted, "job {index}, {victim} was cancelled");
        }
        assert_eq!(setup.calls("encode"), 1, "the work was not thrown away");
    }
}

#[test]
fn when_all_that_wait_for_an_image_are_cancelled_its_encoding_stops() {
    let setup = Setup::new();
    let image = setup.image(10);
    setup.fake.control("block encode");
    let first = submit_encode(&setup, &image);
    setup.fake.wait_until_blocked("encode", 1);
    let second = submit_encode(&setup, &image);
    until(|| setup.context.turnstile().waiting() == 1);
    first.cancel();
    second.cancel();
    // It is still blocked.
    assert_eq!([end(&first), end(&second)], [JobState::Cancelled; 2]);
    assert!(setup.context.embeddings().is_empty());
}

#[test]
fn a_progress_callback_that_asks_for_it_cancels_the_job_it_is_about_and_no_other() {
    let setup = Setup::new();
    let (stopped, other) = (setup.image(10), setup.image(20));
    let victim = Arc::new(AtomicU32::new(u32::MAX));
    let named = Arc::clone(&victim);
    let events = setup.context.jobs().events();
    events
        .set_callback(Some(Box::new(move |event| {
            event.whose == Whose::Job(named.load(Ordering::SeqCst).into())
                && event.stage == Stage::Encoding
        })))
        .unwrap();
    setup.fake.control("block encode");
    let first = submit_encode(&setup, &other);
    setup.fake.wait_until_blocked("encode", 1);
    let second = submit_encode(&setup, &stopped);
    victim.store(second.id() as u32, Ordering::SeqCst);
    setup.fake.control("unblock encode");
    let ends = [end(&first), end(&second)];
    assert_eq!(ends, [JobState::Succeeded, JobState::Cancelled]);
    assert_eq!(setup.calls("encode"), 1, "it did not even begin");
}

#[test]
fn progress_goes_forward_through_the_stages_and_ends_at_one() {
    let setup = Setup::new();
    setup.fake.control("slow encode 5");
    end(&submit_encode(&setup, &setup.image(9)));
    let events = setup.context.jobs().events();
    while events.poll().is_some() {}
    let job = submit_click(&setup, &setup.image(10));
    assert_eq!(end(&job), JobState::Succeeded);
    let told: Vec<_> = std::iter::from_fn(|| events.poll()).collect();
    assert!(told.iter().all(|event| event.whose == Whose::Job(job.id())));
    let fractions: Vec<f64> = told.iter().map(|event| event.fraction).collect();
    assert!(fractions.is_sorted(), "{fractions:?}");
    let mut stages: Vec<Stage> = told.iter().map(|event| event.stage).collect();
    let within = |stage| stages.iter().filter(|&&other| other == stage).count();
    assert!(within(Stage::Encoding) > 2, "the second image has steps");
    stages.dedup();
    let wanted = [
        Stage::Waiting,
        Stage::Encoding,
        Stage::Decoding,
        Stage::Ended,
    ];
    assert!(stages.ends_with(&wanted), "{stages:?}");
    assert_eq!(job.progress(), (Stage::Ended, 1.0));
}

#[test]
fn defects_1_and_2_a_job_that_runs_out_of_memory_gets_the_result_of_the_retry_and_one_that_cannot_is_counted_as_failed()
 {
    let setup = Setup::new();
    setup.click(&setup.image(1)).unwrap();
    setup.fake.control("oom encode 1 1");
    let job = submit_click(&setup, &setup.image(10));
    assert_eq!(end(&job), JobState::Succeeded);
    assert!(
        taken(&job)
            .unwrap()
            .encode_ran
            .unwrap()
            .recovered_by
            .is_some()
    );
    let counted = setup.context.memory().report().recoveries;
    assert_eq!((counted.attempted, counted.recovered), (1, 1));
    setup.fake.control("oom encode 1 1000");
    let job = submit_click(&setup, &setup.image(20));
    assert_eq!(end(&job), JobState::Failed);
    let failed = taken(&job).err().unwrap();
    assert!(failed.to_string().contains("ran out of memory"), "{failed}");
    let counted = setup.context.memory().report().recoveries;
    assert_eq!((counted.attempted, counted.recovered), (2, 1));
    // Defect 6: the image is not taken for encoded, and the other one is as it was.
    setup.fake.control("reset");
    for gray in [20, 10] {
        assert_eq!(
            end(&submit_click(&setup, &setup.image(gray))),
            JobState::Succeeded
        );
    }
    assert!(setup.click(&setup.image(20)).unwrap().is_reused());
}

#[test]
fn a_job_cancelled_on_the_ladder_does_not_climb_on() {
    let gpu = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    let setup = Setup::on(DeviceName::Cuda(0), gpu, Options::default());
    setup.click(&setup.image(1)).unwrap();
    let cancel = CancelToken::new();
    let (told, events) = (cancel.clone(), setup.context.memory().events());
    events
        .set_callback(Some(Box::new(move |_| told.cancel())))
        .unwrap();
    setup.fake.control("oom encode 1 1000");
    let image = setup.image(10);
    let outcome = predict_with(&setup.model, &image, &[CLICK], true, &orders(&cancel));
    assert!(outcome.is_err_and(|error| error.is_cancelled()));
    assert!(setup.calls("encode") <= 3, "{}", setup.calls("encode"));
    events.set_callback(None).unwrap();
    setup.fake.control("reset");
    setup.click(&image).unwrap();
}

#[test]
fn a_panic_in_a_job_is_its_error_and_leaves_the_context_in_doubt() {
    let setup = Setup::new();
    let jobs = setup.context.jobs();
    let panics = |_: &Orders| -> Result<Output, Error> { panic!("the sky fell") };
    let job = jobs
        .submit(&setup.context, Kind::Encode, Box::new(panics))
        .unwrap();
    assert_eq!(end(&job), JobState::Failed);
    assert!(
        job.check()
            .unwrap_err()
            .to_string()
            .contains("the sky fell")
    );
    assert!(setup.context.is_poisoned());
    let job = submit_encode(&setup, &setup.image(1));
    assert_eq!(end(&job), JobState::Failed);
    assert!(matches!(job.check(), Err(Error::Job(error)) if matches!(*error, Error::Poisoned)));
}

#[test]
fn waiting_ends_with_the_time_or_with_the_job_and_is_refused_inside_a_callback() {
    let setup = Setup::new();
    setup.fake.control("block encode");
    let job = submit_encode(&setup, &setup.image(10));
    setup.fake.wait_until_blocked("encode", 1);
    let a_moment = Some(Duration::from_millis(1));
    assert_eq!(job.wait(a_moment).unwrap(), JobState::Running);
    assert_eq!(job.wait(Some(Duration::ZERO)).unwrap(), JobState::Running);
    let (send, inside) = mpsc::channel();
    let itself = Arc::downgrade(&job);
    job.set_callback(Some(Box::new(move || {
        let job = itself.upgrade().unwrap();
        send.send((job.state().0, job.wait(None).is_err())).unwrap();
    })))
    .unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| job.wait(Some(Duration::MAX)).unwrap());
        setup.fake.control("unblock encode");
        assert_eq!(waiting.join().unwrap(), JobState::Succeeded);
    });
    assert_eq!(inside.recv().unwrap(), (JobState::Succeeded, true));
}

#[test]
fn a_context_shut_down_cancels_what_runs_and_what_waits_and_calls_every_callback() {
    let setup = Setup::new();
    setup.fake.control("block encode");
    let calls = Arc::new(AtomicU32::new(0));
    let jobs: Vec<_> = (0..9)
        .map(|gray| {
            let job = submit_encode(&setup, &setup.image(gray));
            let calls = Arc::clone(&calls);
            let count = move || {
                calls.fetch_add(1, Ordering::SeqCst);
            };
            job.set_callback(Some(Box::new(count))).unwrap();
            job
        })
        .collect();
    setup.fake.wait_until_blocked("encode", 1);
    setup.context.shut_down();
    assert_eq!(calls.load(Ordering::SeqCst), 9);
    assert!(jobs.iter().all(|job| job.state().0 == JobState::Cancelled));
    setup.fake.control("unblock encode");
    setup.click(&setup.image(1)).unwrap();
}

#[test]
fn a_context_that_is_dropped_with_its_last_job_ends_well_on_whatever_thread() {
    let setup = Setup::new();
    setup.fake.control("block encode");
    let job = submit_encode(&setup, &setup.image(10));
    setup.fake.wait_until_blocked("encode", 1);
    let Setup {
        fake,
        context,
        model,
    } = setup;
    let gone = Arc::downgrade(&context);
    drop((context, model));
    assert!(gone.strong_count() > 0, "the job holds it");
    fake.control("unblock encode");
    assert_eq!(end(&job), JobState::Succeeded);
    until(|| gone.strong_count() == 0);
    until(|| fake.value("live.devices") == 0);
    fake.assert_clean();
}

#[test]
fn work_in_the_background_gives_way_and_is_done_in_the_end() {
    let setup = Setup::new();
    let (here, behind) = (setup.image(10), setup.image(20));
    setup.click(&here).unwrap();
    setup.fake.control("block encode");
    thread::scope(|scope| {
        let background = scope.spawn(|| {
            let orders = Orders {
                urgency: Urgency::Background,
                ..Orders::default()
            };
            predict_with(&setup.model, &behind, &[CLICK], true, &orders)
        });
        for turn in 0..3_u8 {
            setup.fake.wait_until_blocked("encode", 1);
            setup.click_at(&here, [turn.into(), 9.0]).unwrap();
        }
        setup.fake.wait_until_blocked("encode", 1);
        setup.fake.control("unblock encode");
        background.join().unwrap().unwrap();
    });
    assert_eq!(setup.calls("encode"), 5);
    assert!(setup.click(&behind).unwrap().is_reused());
}

/// Clicks, jobs and background work on few images with a cache that is too small for them, cancelled at random: whoever gets
/// a mask gets that of their own image, and nothing hangs.
#[test]
fn no_interleaving_gives_a_click_the_mask_of_another_image() {
    const NOTHING: Limits = Limits {
        entries: 0,
        bytes: 0,
    };
    let setup = Setup::with(Options {
        embedding_cache_bytes: 6000,
        prediction_cache: NOTHING,
        memory: MemoryOptions {
            host_threshold: Some(1.0),
            ..MemoryOptions::default()
        },
        ..Options::default()
    });
    let images: Vec<_> = [0_u8, 85, 170, 255].map(|gray| setup.image(gray)).into();
    let own: Vec<f32> = images
        .iter()
        .map(|image| setup.click(image).unwrap().score(0).unwrap())
        .collect();
    let start = Barrier::new(6);
    let got = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 0..6_u32 {
            let (setup, images, own, start, got) = (&setup, &images, &own, &start, &got);
            scope.spawn(move || {
                start.wait();
                // A generator of its own for each thread; any would do.
                let mut random = thread.wrapping_mul(0x9e37_79b9) | 1;
                let mut next = move |most: u32| {
                    random ^= random << 13;
                    random ^= random >> 17;
                    random ^= random << 5;
                    random % most
                };
                for _ in 0..60 {
                    let at = next(4) as usize;
                    let cancel = CancelToken::new();
                    let orders = Orders {
                        urgency: if next(3) == 0 {
                            Urgency::Background
                        } else {
                            Urgency::Interactive
                        },
                        cancel: cancel.clone(),
                        ..Orders::default()
                    };
                    let job = (next(3) == 0).then(|| submit_click(setup, &images[at]));
                    let outcome = thread::scope(|inner| {
                        let click = inner.spawn(|| {
                            predict_with(&setup.model, &images[at], &[CLICK], true, &orders)
                        });
                        (0..next(200)).for_each(|_| thread::yield_now());
                        if next(4) == 0 {
                            cancel.cancel();
                        }
                        click.join().unwrap()
                    });
                    match outcome {
                        Ok(prediction) => {
                            got.fetch_add(1, Ordering::SeqCst);
                            assert_eq!(prediction.score(0).unwrap(), own[at], "image {at}");
                        }
                        Err(error) => assert!(error.is_cancelled(), "{error}"),
                    }
                    if let Some(job) = job {
                        if next(3) == 0 {
                            job.cancel();
                        }
                        match end(&job) {
                            JobState::Succeeded => {
                                assert_eq!(taken(&job).unwrap().score(0).unwrap(), own[at]);
                            }
                            state => assert_eq!(state, JobState::Cancelled),
                        }
                    }
                }
            });
        }
    });
    assert!(got.into_inner() > 100, "most are not cancelled");
    assert_eq!(setup.context.turnstile().waiting(), 0);
    assert_eq!(setup.fake.value("violations"), 0);
}
