//! Prefetching against the fake backend: it gives way, rests, and costs nobody anything.

mod support;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sam_mm::backend::{DeviceName, Precision};
use sam_mm::cache::weighted_lru::Limits;
use sam_mm::context::Options;
use sam_mm::jobs::progress::Whose;
use sam_mm::memory::analytics::Cache;
use sam_mm::memory::config::MemoryOptions;
use sam_mm::memory::probe::ProbeOptions;
use sam_mm::memory::status::Tier;
use sam_mm::model::{Model, Source};
use sam_mm::predictor::encode;
use sam_mm::prefetch::gate::Closed;
use sam_mm::prefetch::{Overview, Rest};
use sam_mm::registered_image::RegisteredImage;
use support::fake_backend::FakeBackend;
use support::setup::{HEIGHT, Setup, WIDTH};

/// Figures that are fresh at every question, and looked at again after a moment.
fn options() -> Options {
    Options {
        memory: MemoryOptions {
            host_threshold: Some(1.0),
            snapshot_max_age: Some(Duration::ZERO),
            monitor_enabled: Some(false),
            monitor_period: Some(Duration::from_millis(2)),
            ..MemoryOptions::default()
        },
        probes: ProbeOptions {
            nvml_library: Some("/nowhere/nvml".into()),
            cudart_library: Some("/nowhere/cudart".into()),
            ..ProbeOptions::default()
        },
        ..Options::default()
    }
}

fn on_gpu() -> Setup {
    let gpu = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    Setup::on(DeviceName::Cuda(0), gpu, options())
}

trait Prefetching {
    fn add(&self, image: &RegisteredImage, priority: i32);
    fn until(&self, is_so: impl Fn(&Overview) -> bool) -> Overview;
    fn until_idle(&self) -> Overview {
        self.until(|now| now.queued + now.running == 0)
    }
}

impl Prefetching for Setup {
    fn add(&self, image: &RegisteredImage, priority: i32) {
        let prefetch = self.context.prefetch();
        prefetch.add(&self.model, image, priority).unwrap();
    }

    fn until(&self, is_so: impl Fn(&Overview) -> bool) -> Overview {
        loop {
            let now = self.context.prefetch().overview();
            if is_so(&now) {
                return now;
            }
            thread::yield_now();
        }
    }
}

#[test]
fn a_prefetched_image_is_not_encoded_when_it_is_clicked_on_and_nothing_is_encoded_unasked() {
    let setup = Setup::with(options());
    let images = [10, 20, 30].map(|gray| setup.image(gray));
    assert_eq!(setup.calls("encode"), 0);
    images.iter().for_each(|image| setup.add(image, 0));
    let now = setup.until_idle();
    assert_eq!((now.done, now.skipped, now.cancelled), (3, 0, 0));
    let before = setup.context.memory().analytics().lookups(Cache::Embedding);
    assert_eq!((before.hits, before.misses), (0, 0), "nobody looked yet");
    for image in &images {
        let prediction = setup.click(image).unwrap();
        assert!(prediction.timings.encode_ms.is_none());
    }
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (3, 3));
    setup.add(&images[0], 0);
    assert_eq!((setup.until_idle().done, setup.calls("encode")), (4, 3));
}

/// The images that the encoder sees, in the order in which prefetching ends with them, by the fake's checksum.
fn order_of(setup: &Setup) -> Arc<Mutex<Vec<i64>>> {
    let order: Arc<Mutex<Vec<i64>>> = Arc::default();
    let (kept, checksum) = (Arc::clone(&order), setup.fake.reader());
    let events = setup.context.jobs().events();
    events
        .set_callback(Some(Box::new(move |event| {
            assert_eq!(event.whose, Whose::Prefetch);
            kept.lock().unwrap().push(checksum("last.checksum"));
            false
        })))
        .unwrap();
    order
}

fn checksums(images: &[u8]) -> Vec<i64> {
    let setup = Setup::new();
    let checksum = |&gray: &u8| {
        encode(&setup.model, &setup.image(gray)).map(drop).unwrap();
        setup.fake.value("last.checksum")
    };
    images.iter().map(checksum).collect()
}

#[test]
fn images_go_by_priority_and_adding_one_again_changes_only_that() {
    let setup = Setup::with(options());
    let order = order_of(&setup);
    let first = setup.image(1);
    setup.fake.control("block encode");
    setup.add(&first, 0);
    setup.fake.wait_until_blocked("encode", 1);
    setup.add(&first, 9);
    let images = [10, 20, 30].map(|gray| setup.image(gray));
    images.iter().for_each(|image| setup.add(image, 0));
    setup.add(&images[2], 1);
    setup.add(&images[2], 2);
    let pixels = 3 * u64::from(WIDTH * HEIGHT);
    let now = setup.context.prefetch().overview();
    assert_eq!((now.queued, now.queued_bytes, now.running), (3, pixels, 1));
    setup.fake.control("unblock encode");
    assert_eq!(setup.until_idle().done, 4);
    setup.context.jobs().events().set_callback(None).unwrap();
    assert_eq!(*order.lock().unwrap(), checksums(&[1, 30, 10, 20]));
    let told: Vec<f64> = std::iter::from_fn(|| setup.context.jobs().events().poll())
        .map(|event| event.fraction)
        .collect();
    assert_eq!(told, [0.25, 0.5, 0.75, 1.0]);
}

#[test]
fn the_queue_holds_the_pixels_when_the_image_is_freed_and_lets_go_of_them_with_the_model() {
    let setup = Setup::with(options());
    setup.fake.control("block encode");
    for gray in [10, 20, 30] {
        setup.add(&setup.image(gray), 0);
    }
    setup.fake.wait_until_blocked("encode", 1);
    let other = Model::load(&setup.context, Source::Demo, Precision::Fp32).unwrap();
    let other = Arc::new(other);
    let prefetch = setup.context.prefetch();
    prefetch.add(&other, &setup.image(10), 5).unwrap();
    prefetch.forget_model(other.id());
    drop(other);
    setup.fake.control("unblock encode");
    let now = setup.until_idle();
    assert_eq!((now.done, now.cancelled, now.queued_bytes), (3, 1, 0));
    assert!(
        setup
            .click(&setup.image(20))
            .unwrap()
            .timings
            .encode_ms
            .is_none()
    );
}

#[test]
fn an_image_taken_out_is_not_encoded_and_one_that_is_encoded_stops() {
    let setup = Setup::with(options());
    let images = [10, 20, 30].map(|gray| setup.image(gray));
    setup.fake.control("block encode");
    images.iter().for_each(|image| setup.add(image, 0));
    setup.fake.wait_until_blocked("encode", 1);
    let prefetch = setup.context.prefetch();
    prefetch.remove(&setup.model, &images[1]);
    prefetch.remove(&setup.model, &images[1]);
    prefetch.remove(&setup.model, &images[0]);
    setup.until(|now| now.cancelled == 2);
    setup.fake.wait_until_blocked("encode", 1);
    prefetch.clear();
    let now = setup.until_idle();
    assert_eq!((now.done, now.cancelled), (0, 3));
    assert!(setup.context.embeddings().is_empty());
    setup.fake.control("unblock encode");
    setup.click(&images[0]).unwrap();
}

#[test]
fn a_click_on_another_image_does_not_wait_for_an_encoding_in_the_background() {
    let setup = Setup::with(options());
    let (coming, here) = (setup.image(10), setup.image(20));
    setup.click(&here).unwrap();
    // The encoding in the background never ends by itself.
    setup.fake.control("block encode");
    setup.add(&coming, 0);
    setup.fake.wait_until_blocked("encode", 1);
    let clicked = setup.click_at(&here, [9.0, 9.0]).unwrap();
    assert!(clicked.timings.encode_ms.is_none());
    // It was not forgotten.
    setup.fake.wait_until_blocked("encode", 1);
    setup.fake.control("unblock encode");
    assert_eq!(setup.until_idle().done, 1);
    assert!(setup.click(&coming).unwrap().timings.encode_ms.is_none());
}

#[test]
fn a_click_on_the_image_that_is_encoded_in_the_background_joins_it() {
    let setup = Setup::with(options());
    let coming = setup.image(10);
    setup.fake.control("block encode");
    setup.add(&coming, 0);
    setup.fake.wait_until_blocked("encode", 1);
    thread::scope(|scope| {
        let click = scope.spawn(|| setup.click(&coming).unwrap());
        while setup.context.turnstile().waiting() == 0 {
            thread::yield_now();
        }
        setup.fake.control("unblock encode");
        assert!(click.join().unwrap().timings.encode_ms.is_none());
    });
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (1, 1));
}

#[test]
fn it_rests_while_memory_is_above_the_warning_threshold_and_goes_on_below() {
    let setup = on_gpu();
    let gib = 1_u64 << 30;
    let fill = |tenths| {
        let (total, other) = (10 * gib, tenths * gib);
        setup
            .fake
            .control(&format!("memory total={total} other={other}"));
    };
    fill(8);
    setup.add(&setup.image(10), 0);
    let now = setup.until(|now| now.rest.is_some());
    let full = |rest: &Rest| {
        let Rest::Memory(Closed::Full { tier, .. }) = rest else {
            return false;
        };
        *tier == Tier::Device
    };
    assert!(full(&now.rest.unwrap()), "{now:?}");
    assert_eq!((now.queued, setup.calls("encode")), (1, 0));
    fill(7);
    let now = setup.until_idle();
    assert_eq!((now.done, now.rest), (1, None));
}

#[test]
fn what_runs_out_of_memory_is_dropped_and_costs_nobody_their_cache() {
    let setup = on_gpu();
    let here = setup.image(20);
    setup.click(&here).unwrap();
    let held = setup.context.embeddings().bytes();
    setup.fake.control("oom encode 1 1000");
    setup.add(&setup.image(10), 0);
    let now = setup.until_idle();
    assert_eq!((now.skipped, now.done), (1, 0));
    assert_eq!(setup.calls("encode"), 2, "it is not tried in other ways");
    assert_eq!(setup.context.embeddings().bytes(), held);
    assert_eq!(setup.calls("device_trim"), 0);
    let report = setup.context.memory().report();
    assert_eq!(report.recoveries.attempted, 0);
    assert_eq!(report.operations.failed, 0);
}

#[test]
fn what_would_cross_the_budget_is_dropped_before_it_runs() {
    let setup = on_gpu();
    let here = setup.image(20);
    setup.click(&here).unwrap();
    let held = setup.context.embeddings().bytes();
    setup.context.memory().trim();
    // Below the warning threshold, and 1.01 MB below the budget. Attention in chunks needs 1.05 MB; half precision, which
    // would do, is no reason to change the weights for.
    setup.fake.control("memory total=10000000 other=7980000");
    setup.add(&setup.image(10), 0);
    let now = setup.until_idle();
    assert_eq!((now.skipped, now.done), (1, 0));
    assert_eq!(setup.context.embeddings().bytes(), held);
    assert_eq!(setup.calls("encode"), 1);
}

#[test]
fn what_nobody_has_used_takes_half_of_the_cache_and_the_image_at_hand_stays() {
    // Embeddings of 4096 bytes: eight fit, and four of these may wait to be used.
    let setup = Setup::with(Options {
        embedding_cache_bytes: 8 * 4096,
        ..options()
    });
    let here = setup.image(1);
    setup.click(&here).unwrap();
    let coming: Vec<_> = (10..20).map(|gray| setup.image(gray)).collect();
    coming.iter().for_each(|image| setup.add(image, 0));
    let now = setup.until(|now| now.rest.is_some());
    assert!(
        matches!(
            now.rest,
            Some(Rest::Cache {
                unused: 4,
                bytes: 16384
            })
        ),
        "{now:?}"
    );
    assert_eq!((now.done, now.queued), (4, 6));
    for (used, image) in coming.iter().enumerate() {
        let clicked = setup.click_at(&here, [used as f32, 9.0]).unwrap();
        assert!(clicked.timings.encode_ms.is_none(), "it was pushed out");
        let clicked = setup.click(image).unwrap();
        assert!(clicked.timings.encode_ms.is_none(), "image {used}");
        let all = (used as u64 + 5).min(10);
        setup.until(|now| now.done == all);
    }
    assert_eq!(setup.calls("encode"), 11);
}

#[test]
fn a_cache_without_room_beside_the_image_at_hand_gets_nothing_prefetched() {
    let setup = Setup::with(Options {
        embedding_cache_bytes: 4096,
        ..options()
    });
    let here = setup.image(1);
    setup.click(&here).unwrap();
    setup.add(&setup.image(10), 0);
    assert_eq!(setup.until_idle().skipped, 1);
    let clicked = setup.click_at(&here, [9.0, 9.0]).unwrap();
    assert!(clicked.timings.encode_ms.is_none());
}

#[test]
fn a_progress_callback_that_asks_for_it_empties_the_queue() {
    let setup = Setup::with(options());
    let events = setup.context.jobs().events();
    events.set_callback(Some(Box::new(|_| true))).unwrap();
    setup.fake.control("block encode");
    (10..20).for_each(|gray| setup.add(&setup.image(gray), 0));
    setup.fake.wait_until_blocked("encode", 1);
    setup.fake.control("unblock encode");
    let now = setup.until_idle();
    assert!(now.done >= 1 && now.done + now.cancelled == 10, "{now:?}");
    assert!(now.cancelled >= 1, "{now:?}");
}

#[test]
fn a_context_that_goes_takes_its_queue_along() {
    let setup = Setup::with(options());
    setup.fake.control("block encode");
    (10..20).for_each(|gray| setup.add(&setup.image(gray), 0));
    setup.fake.wait_until_blocked("encode", 1);
    setup.context.shut_down();
    let image = setup.image(1);
    let refused = setup.context.prefetch().add(&setup.model, &image, 0);
    assert!(refused.unwrap_err().to_string().contains("destroyed"));
    let Setup {
        fake,
        context,
        model,
    } = setup;
    drop((context, model, image));
    fake.assert_clean();
}

#[test]
fn a_context_that_nobody_shuts_down_ends_with_its_last_owner_all_the_same() {
    let setup = Setup::with(options());
    (10..20).for_each(|gray| setup.add(&setup.image(gray), 0));
    setup.until_idle();
    let Setup {
        fake,
        context,
        model,
    } = setup;
    let gone = Arc::downgrade(&context);
    drop((context, model));
    // Its thread may be the last one to let go.
    while gone.strong_count() > 0 {
        thread::yield_now();
    }
    while fake.value("live.devices") > 0 {
        thread::yield_now();
    }
    fake.assert_clean();
}

/// Clicks, jobs and prefetching at once, with a cache that is too small and memory that runs out now and then: everybody
/// gets the mask of their own image.
#[test]
fn in_a_crowd_with_prefetching_everybody_gets_their_own_mask() {
    let setup = Setup::with(Options {
        embedding_cache_bytes: 4 * 4096,
        prediction_cache: Limits {
            entries: 0,
            bytes: 0,
        },
        ..options()
    });
    let images: Vec<_> = (0..8_u8).map(|n| setup.image(n * 30)).collect();
    let score = |image: &RegisteredImage| setup.click(image).unwrap().score(0).unwrap();
    let own: Vec<f32> = images.iter().map(|image| score(image)).collect();
    setup.fake.control("slow encode 2");
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (score, images, own, setup) = (&score, &images, &own, &setup);
            scope.spawn(move || {
                for turn in 0..25_usize {
                    // Whoever encodes next runs out of memory once: a click recovers, what nobody waits for is dropped.
                    if thread == 0 && turn % 4 == 0 {
                        setup.fake.control("oom encode 1 1");
                    }
                    let at = (turn * 7 + thread * 3 + turn / 5) % images.len();
                    setup.add(&images[(at + 1) % images.len()], thread as i32);
                    if turn % 4 == 1 {
                        setup
                            .context
                            .prefetch()
                            .remove(&setup.model, &images[(at + 1) % images.len()]);
                    }
                    assert_eq!(score(&images[at]), own[at], "image {at}");
                    if turn % 3 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    setup.until(|now| now.running + now.queued == 0 || now.rest.is_some());
    setup.context.prefetch().clear();
    setup.until_idle();
    assert_eq!(setup.context.memory().report().operations.failed, 0);
    assert_eq!(setup.fake.value("violations"), 0);
}
