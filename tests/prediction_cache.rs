//! The prediction cache in the pipeline, against the fake backend: what is a hit, what is not, and what a hit costs.

mod support;

use std::sync::{Arc, Barrier};
use std::time::Duration;

use sam_mm::backend::{DeviceName, Precision};
use sam_mm::cache::weighted_lru::Limits;
use sam_mm::context::Options;
use sam_mm::memory::analytics::Cache;
use sam_mm::memory::config::MemoryOptions;
use sam_mm::memory::consumer::{Rank, total};
use sam_mm::memory::status::Tier;
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use support::fake_backend::FakeBackend;
use support::setup::{HEIGHT, Setup, WIDTH};

fn decoded_in(prediction: &Prediction) -> Precision {
    prediction.ran.as_ref().unwrap().way.plan.precision
}

#[test]
fn the_same_prompt_again_computes_nothing_and_copies_no_logits() {
    let setup = Setup::new();
    let image = setup.image(100);
    let first = setup.click(&image).unwrap();
    let full_size = first.bitmask(0).unwrap().pixels().as_ptr();
    let again = setup.click(&image).unwrap();
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (1, 1));
    assert!(!first.is_reused() && again.is_reused());
    assert!(again.timings.encode_ms.is_none() && again.timings.decode_ms.is_none());
    for mask in 0..3 {
        let (one, other) = (first.logits(mask).unwrap(), again.logits(mask).unwrap());
        assert!(std::ptr::eq(one, other), "mask {mask} was copied");
        assert_eq!(first.score(mask).unwrap(), again.score(mask).unwrap());
    }
    let own = again.bitmask(0).unwrap();
    assert_eq!(own.pixels(), first.bitmask(0).unwrap().pixels());
    assert_ne!(
        own.pixels().as_ptr(),
        full_size,
        "full-size masks are each result's own"
    );
}

#[test]
fn ten_threads_that_ask_for_one_prediction_decode_it_once() {
    let setup = Setup::new();
    setup.fake.control("slow encode 20");
    setup.fake.control("slow decode 20");
    let image = setup.image(50);
    let start = Barrier::new(10);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                start.wait();
                setup.click(&image).unwrap();
            });
        }
    });
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (1, 1));
    let caches = setup.context.memory().report().caches;
    assert_eq!((caches.prediction.hits, caches.prediction.misses), (9, 1));
    assert_eq!(setup.fake.value("violations"), 0);
}

#[test]
fn the_same_pixels_in_a_new_handle_are_a_hit_also_when_the_old_one_is_gone() {
    let setup = Setup::new();
    let first = setup.image(100);
    let before = setup.click(&first).unwrap();
    drop(first);
    let after = setup.click(&setup.image(100)).unwrap();
    assert!(after.is_reused() && after.score(0).unwrap() == before.score(0).unwrap());
    assert!(!setup.click(&setup.image(101)).unwrap().is_reused());
}

#[test]
fn defect_8_predictions_survive_switching_images() {
    let setup = Setup::new();
    let (a, b) = (setup.image(10), setup.image(200));
    let scores = [&a, &b].map(|image| setup.click(image).unwrap().score(0).unwrap());
    for turn in 0..4 {
        let image = [&a, &b][turn % 2];
        let again = setup.click(image).unwrap();
        assert!(again.is_reused() && again.score(0).unwrap() == scores[turn % 2]);
    }
    assert_eq!(setup.calls("decode"), 2);
    let (embeddings, predictions) = (setup.context.embeddings(), setup.context.predictions());
    assert!(embeddings.clear(Some(b.key())) > 0 && predictions.clear(Some(b.key())) > 0);
    assert_eq!((embeddings.len(), predictions.len()), (1, 1));
    assert!(setup.click(&b).unwrap().is_reused());
    assert!(!setup.click(&a).unwrap().is_reused());
}

#[test]
fn defect_7_a_difference_in_anything_asked_for_is_another_prediction() {
    let setup = Setup::new();
    let (image, turned) = (setup.image(100), setup.image_of(100, (HEIGHT, WIDTH)));
    let other_model = Model::load(&setup.context, Source::Demo, Precision::Fp32).unwrap();
    let logits = vec![0.5; 64 * 64];
    let point: Prompt<'_> = Prompt {
        points: &[[60.0, 40.0]],
        labels: &[1],
        ..Prompt::default()
    };
    let background = Prompt {
        labels: &[0],
        ..point
    };
    let boxed = Prompt {
        bounding_box: Some([10.0, 10.0, 80.0, 80.0]),
        ..point
    };
    let masked = Prompt {
        mask_input: Some(&logits),
        ..point
    };
    let asked = [
        predict(&setup.model, &image, &[point], true),
        predict(&setup.model, &image, &[point], false),
        predict(&other_model, &image, &[point], true),
        predict(&setup.model, &turned, &[point], true),
        predict(&setup.model, &image, &[background], true),
        predict(&setup.model, &image, &[boxed], true),
        predict(&setup.model, &image, &[masked], true),
        predict(&setup.model, &image, &[point, boxed], true),
        predict(&setup.model, &image, &[boxed, point], true),
    ];
    let reused = asked.map(|prediction| prediction.unwrap().is_reused());
    assert_eq!(reused, [false; 9]);
    let again = predict(&setup.model, &image, &[masked], true).unwrap();
    assert!(again.is_reused());
    assert_eq!(again.num_masks(), 3);
}

#[test]
fn the_order_of_an_objects_points_makes_no_other_prediction_and_that_of_objects_does() {
    let setup = Setup::new();
    let image = setup.image(100);
    let ask = |points: &[[f32; 2]], labels: &[i32]| {
        let prompt = Prompt {
            points,
            labels,
            ..Prompt::default()
        };
        predict(&setup.model, &image, &[prompt], true).unwrap()
    };
    let first = ask(&[[60.0, 40.0], [20.0, 0.0]], &[1, 0]);
    let turned = ask(&[[20.0, -0.0], [60.0, 40.0]], &[0, 1]);
    assert!(turned.is_reused());
    assert_eq!(turned.logits(0).unwrap(), first.logits(0).unwrap());
    assert!(!ask(&[[20.0, 0.0], [60.0, 40.0]], &[1, 0]).is_reused());
}

#[test]
fn a_model_takes_its_predictions_along_and_leaves_those_of_others() {
    let setup = Setup::new();
    let image = setup.image(100);
    setup.click(&image).unwrap();
    let other = Model::load(&setup.context, Source::Demo, Precision::Fp32).unwrap();
    let prompt = Prompt {
        bounding_box: Some([1.0, 1.0, 9.0, 9.0]),
        ..Prompt::default()
    };
    predict(&other, &image, &[prompt], false).unwrap();
    assert_eq!(setup.context.predictions().len(), 2);
    drop(other);
    assert_eq!(setup.context.predictions().len(), 1);
    assert!(setup.click(&image).unwrap().is_reused());
}

#[test]
fn no_more_than_the_limits_say_are_kept_and_one_that_is_too_large_evicts_nobody() {
    let one = {
        let setup = Setup::new();
        setup.click(&setup.image(1)).unwrap();
        setup.context.predictions().bytes()
    };
    let setup = Setup::with(Options {
        prediction_cache: Limits {
            entries: 3,
            bytes: 5 * one,
        },
        ..Options::default()
    });
    let image = setup.image(1);
    let predictions = setup.context.predictions();
    for x in 0..5_u8 {
        setup.click_at(&image, [f32::from(x), 1.0]).unwrap();
    }
    assert_eq!((predictions.len(), predictions.bytes()), (3, 3 * one));
    let many = vec![
        Prompt {
            bounding_box: Some([1.0, 1.0, 9.0, 9.0]),
            ..Prompt::default()
        };
        6
    ];
    assert!(
        !predict(&setup.model, &image, &many, true)
            .unwrap()
            .is_reused()
    );
    assert_eq!((predictions.len(), predictions.bytes()), (3, 3 * one));
    let none = Setup::with(Options {
        prediction_cache: Limits {
            entries: 0,
            bytes: 0,
        },
        ..Options::default()
    });
    none.click(&none.image(1)).unwrap();
    assert!(!none.click(&none.image(1)).unwrap().is_reused());
}

#[test]
fn fifty_predictions_on_an_image_of_12_megapixels_stay_under_64_megabytes() {
    let setup = Setup::new();
    let checkpoint = b"fake-model\nmask_size=256\n";
    let model = Model::load(&setup.context, Source::Bytes(checkpoint), Precision::Fp32).unwrap();
    let image = setup.image_of(7, (4000, 3000));
    let bytes = |x: u8| {
        let prompt = Prompt {
            points: &[[f32::from(x), 1.0]],
            labels: &[1],
            ..Prompt::default()
        };
        predict(&model, &image, &[prompt], true).unwrap().bytes()
    };
    let all: u64 = (0..50).map(bytes).sum();
    let predictions = setup.context.predictions();
    assert_eq!(predictions.len(), 50);
    assert!(predictions.bytes() >= all && predictions.bytes() < 64_000_000);
    // Three masks of 256 × 256 floats, fifty times, are the least that it can be.
    assert!(all > 50 * 3 * 256 * 256 * 4);
}

#[test]
fn defect_11_a_full_gpu_keeps_no_prediction_out_of_host_memory_and_a_full_host_does() {
    let gpu = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    let options = Options {
        memory: MemoryOptions {
            snapshot_max_age: Some(Duration::ZERO),
            monitor_enabled: Some(false),
            ..MemoryOptions::default()
        },
        ..Options::default()
    };
    let setup = Setup::on(DeviceName::Cuda(0), gpu, options);
    let gib = 1_u64 << 30;
    let fill = format!("memory total={} other={}", 100 * gib, 85 * gib);
    setup.fake.control(&fill);
    let image = setup.image(1);
    setup.click(&image).unwrap();
    // Until the question that the click left behind is answered.
    while setup.context.memory_info().stale {}
    assert!(setup.context.memory().should_cache(Tier::Device).is_err());
    assert!(setup.click(&image).unwrap().is_reused());

    let full = Setup::with(Options {
        memory: MemoryOptions {
            host_threshold: Some(1e-9),
            ..MemoryOptions::default()
        },
        ..Options::default()
    });
    let image = full.image(1);
    full.click(&image).unwrap();
    assert!(!full.click(&image).unwrap().is_reused());
    assert!(full.context.predictions().is_empty());
}

#[test]
fn giving_memory_back_takes_predictions_before_embeddings_and_what_a_result_holds_last_of_all() {
    let setup = Setup::new();
    let image = setup.image(4);
    let held = setup.click(&image).unwrap();
    setup.click_at(&image, [9.0, 9.0]).unwrap();
    let consumers = setup.context.memory().consumers();
    let released = consumers.release(Tier::Host, 1);
    assert_eq!(released[0].name, "prediction cache");
    assert_eq!((released.len(), setup.context.predictions().len()), (1, 1));
    assert_eq!(setup.context.embeddings().len(), 1);
    setup.context.optimize(true);
    assert_eq!(setup.context.embeddings().len(), 0);
    assert_eq!(
        setup.context.predictions().len(),
        1,
        "its memory would not be free"
    );
    drop(held);
    assert!(setup.context.optimize(true).optimized.by_caches() > 0);
    assert!(setup.context.predictions().is_empty());
}

#[test]
fn the_predictions_on_other_images_than_the_last_are_the_unused_ones() {
    let setup = Setup::new();
    let (a, b) = (setup.image(10), setup.image(200));
    for image in [&a, &b] {
        setup.click(image).unwrap();
    }
    let unused = setup.context.memory().consumers().release_unused();
    assert_eq!(total(&unused), setup.context.predictions().bytes());
    assert!(setup.click(&b).unwrap().is_reused());
    assert!(!setup.click(&a).unwrap().is_reused());
}

/// 0.8 MB for the fake GPU: enough for half precision in chunks, not for more.
const SHORT: &str = "memory total=100000000 other=99200000";
const PLENTY: &str = "memory total=100000000 other=0";

fn gpu() -> Setup {
    let fake = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    fake.control(PLENTY);
    let options = Options {
        cpu_fallback: false,
        memory: MemoryOptions {
            fraction: Some(1.0),
            // Nothing is shed before it is needed.
            warning_threshold: Some(1.0),
            critical_threshold: Some(1.0),
            snapshot_max_age: Some(Duration::ZERO),
            monitor_enabled: Some(false),
            ..MemoryOptions::default()
        },
        ..Options::default()
    };
    Setup::on(DeviceName::Cuda(0), fake, options)
}

#[test]
fn half_precision_serves_while_memory_is_short_and_not_when_there_is_room_again() {
    let setup = gpu();
    let image = setup.image(1);
    setup.fake.control(SHORT);
    let short = setup.click(&image).unwrap();
    assert_ne!(decoded_in(&short), Precision::Fp32);
    let again = setup.click(&image).unwrap();
    assert!(again.is_reused() && decoded_in(&again) == decoded_in(&short));
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (1, 1));

    setup.fake.control(PLENTY);
    let roomy = setup.click(&image).unwrap();
    assert!(!roomy.is_reused() && decoded_in(&roomy) == Precision::Fp32);
    assert_eq!(
        setup.fake.value("last.precision"),
        0,
        "the image was encoded anew"
    );
    assert_eq!(setup.calls("encode"), 2);

    setup.fake.control(SHORT);
    let kept = setup.click(&image).unwrap();
    assert!(kept.is_reused() && decoded_in(&kept) == Precision::Fp32);
}

#[test]
fn an_embedding_of_better_times_is_decoded_in_half_precision_only_until_there_is_room() {
    let setup = gpu();
    let (a, b) = (setup.image(1), setup.image(2));
    setup.click(&a).unwrap();
    setup.context.memory().trim();
    setup.fake.control(SHORT);
    setup.click(&b).unwrap();
    let short = setup.click_at(&a, [9.0, 9.0]).unwrap();
    assert_ne!(
        decoded_in(&short),
        Precision::Fp32,
        "the weights are in half precision now"
    );
    assert!(setup.click_at(&a, [9.0, 9.0]).unwrap().is_reused());
    setup.fake.control(PLENTY);
    let roomy = setup.click_at(&a, [9.0, 9.0]).unwrap();
    assert!(!roomy.is_reused() && decoded_in(&roomy) == Precision::Fp32);
    assert_eq!(
        setup.calls("encode"),
        2,
        "its embedding was in full precision all along"
    );
}

#[test]
fn an_encoding_that_ran_out_of_memory_in_full_precision_is_not_tried_again_at_every_click() {
    let setup = gpu();
    let image = setup.image(1);
    // The estimates say that it fits; it does not, until it is tried in half precision.
    setup.fake.control("oom encode 1 2");
    let lowered = setup.click(&image).unwrap();
    assert_ne!(decoded_in(&lowered), Precision::Fp32);
    setup.fake.control("reset");
    assert!(setup.click(&image).unwrap().is_reused());
    setup.click_at(&image, [9.0, 9.0]).unwrap();
    assert!(setup.click_at(&image, [9.0, 9.0]).unwrap().is_reused());
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (0, 1));
}

#[test]
fn under_any_interleaving_a_click_gets_the_mask_of_its_own_image_and_prompt() {
    // Little room in both caches, and somebody who empties them all the time.
    let setup = Setup::with(Options {
        embedding_cache_bytes: 2 * 4096 + 100,
        prediction_cache: Limits {
            entries: 5,
            bytes: 1 << 20,
        },
        ..Options::default()
    });
    let grays = [0_u8, 85, 170, 255];
    let points = [[20.0, 20.0], [60.0, 40.0], [150.0, 80.0]];
    let answer = |gray, point: [f32; 2]| {
        // A new handle of the same pixels each time, as a tool does that reads its files again.
        let prediction = setup.click_at(&setup.image(gray), point).unwrap();
        let extent = prediction.extent(0).unwrap();
        (
            prediction.score(0).unwrap(),
            extent.area,
            extent.bounding_box,
        )
    };
    let own: Vec<Vec<_>> = grays
        .iter()
        .map(|&gray| points.map(|point| answer(gray, point)).to_vec())
        .collect();
    assert!((1..4).all(|at| own[at][0] != own[at - 1][0]) && own[0][0] != own[0][1]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (answer, own) = (&answer, &own);
            scope.spawn(move || {
                for turn in 0..60 {
                    let (image, point) =
                        ((turn * 7 + thread * 3 + turn / 5) % 4, (turn + thread) % 3);
                    let got = answer(grays[image], points[point]);
                    assert_eq!(got, own[image][point], "image {image}, point {point}");
                }
            });
        }
        scope.spawn(|| {
            for turn in 0..200 {
                match turn % 4 {
                    0 => drop(setup.context.optimize(true)),
                    1 => drop(setup.context.memory().consumers().release_unused()),
                    _ => drop(
                        setup
                            .context
                            .predictions()
                            .clear(Some(setup.image(85).key())),
                    ),
                }
            }
        });
    });
    let caches = setup.context.memory().report().caches;
    assert!(caches.prediction.hits > 0 && caches.prediction.misses > 12);
    assert_eq!(setup.fake.value("violations"), 0);
}

#[test]
fn the_report_tells_hits_and_misses_and_what_the_cache_holds() {
    let setup = Setup::new();
    let image = setup.image(3);
    for _ in 0..3 {
        setup.click(&image).unwrap();
    }
    let report = setup.context.memory().report();
    let counted = report.caches.prediction;
    assert_eq!(
        setup
            .context
            .memory()
            .analytics()
            .lookups(Cache::Prediction),
        counted
    );
    assert_eq!((counted.hits, counted.misses), (2, 1));
    assert_eq!(
        (report.caches.embedding.hits, report.caches.embedding.misses),
        (0, 1)
    );
    let share = report
        .held
        .iter()
        .find(|share| share.name == "prediction cache");
    assert_eq!(share.unwrap().bytes, setup.context.predictions().bytes());
    assert!(Rank::ProcessedImages < Rank::Predictions && Rank::Predictions < Rank::Embeddings);
}

#[test]
fn results_outlive_everything_they_were_made_from() {
    let setup = Setup::new();
    let image = setup.image(3);
    setup.click(&image).unwrap();
    let kept = setup.click(&image).unwrap();
    let Setup {
        fake,
        context,
        model,
    } = setup;
    let predictions = context.predictions();
    predictions.clear(None);
    drop(model);
    drop(image);
    assert_eq!(Arc::strong_count(&context), 1);
    drop(context);
    fake.assert_clean();
    assert!(kept.extent(0).unwrap().area > 0);
}
