//! The pipeline behind `sam_predict`, against the fake backend: what reaches the backend, what is computed once, and
//! what a failure leaves behind.

mod support;

use std::sync::Barrier;

use sam_mm::backend::{DeviceName, Precision};
use sam_mm::cache::weighted_lru::Limits;
use sam_mm::context::{Context, Options};
use sam_mm::model::{Model, Source};
use sam_mm::predictor::{encode, predict};
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use sam_mm_backend_abi::abi;
use support::fake_backend::FakeBackend;
use support::setup::{HEIGHT, Setup, WIDTH};

const NOTHING: Limits = Limits {
    entries: 0,
    bytes: 0,
};

#[test]
fn a_click_gives_the_mask_around_it_at_the_size_of_the_image() {
    let setup = Setup::new();
    let prediction = setup.click(&setup.image(100)).unwrap();
    assert_eq!(
        (prediction.num_objects, prediction.masks_per_object),
        (1, 3)
    );
    let mask = prediction.bitmask(0).unwrap();
    assert_eq!((mask.width(), mask.height()), (WIDTH, HEIGHT));
    // The fake draws a disc of input_size / 8 input pixels: 25 pixels of this image, whose longer side is 200.
    let extent = prediction.extent(0).unwrap();
    let [x0, y0, x1, y1] = extent.bounding_box.corners().map(f64::from);
    for (found, wanted) in [(x0, 35.0), (y0, 15.0), (x1, 85.0), (y1, 65.0)] {
        assert!((found - wanted).abs() <= 2.0, "{extent:?}");
    }
    let disc = std::f64::consts::PI * 25.0 * 25.0;
    assert!(
        (extent.area as f64 - disc).abs() < 0.03 * disc,
        "{extent:?}"
    );
    assert_eq!(
        u64::try_from(mask.pixels().iter().filter(|&&on| on == 1).count()).unwrap(),
        extent.area
    );
}

#[test]
fn logits_of_sam_2_are_given_out_held_to_32_and_its_masks_are_made_of_all() {
    let [sam, sam2] = ["sam", "sam2"].map(|family| {
        let setup = Setup::new();
        let bytes = format!("fake-model\nfamily={family}\n");
        let source = Source::Bytes(bytes.as_bytes());
        let model = Model::load(&setup.context, source, Precision::Fp32).unwrap();
        let click = Prompt {
            points: &[[60.0, 40.0]],
            labels: &[1],
            ..Prompt::default()
        };
        predict(&model, &setup.image(100), &[click], true).unwrap()
    });
    let largest = |logits: &[f32]| logits.iter().fold(0.0_f32, |most, l| most.max(l.abs()));
    assert!(largest(sam.logits(0).unwrap()) > 100.0);
    assert_eq!(largest(sam2.logits(0).unwrap()), 32.0);
    let held = sam.logits(0).unwrap().iter().map(|l| l.clamp(-32.0, 32.0));
    assert!(held.eq(sam2.logits(0).unwrap().iter().copied()));
    assert_eq!(
        sam.bitmask(0).unwrap().pixels(),
        sam2.bitmask(0).unwrap().pixels()
    );
}

#[test]
fn the_backend_gets_the_resized_image_and_the_original_size() {
    let setup = Setup::new();
    setup.click(&setup.image(100)).unwrap();
    let seen = ["width", "height", "original_width", "original_height"]
        .map(|name| setup.fake.value(&format!("last.{name}")));
    assert_eq!(seen, [256, 128, i64::from(WIDTH), i64::from(HEIGHT)]);
}

#[test]
fn coming_back_to_an_image_does_not_encode_it_again() {
    let setup = Setup::new();
    let (a, b) = (setup.image(10), setup.image(200));
    let first = setup.click(&a).unwrap();
    setup.click(&b).unwrap();
    let again = setup.click_at(&a, [70.0, 40.0]).unwrap();
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (2, 3));
    assert!(first.timings.encode_ms.is_some() && again.timings.encode_ms.is_none());
    assert_eq!(first.score(2).unwrap(), again.score(2).unwrap());
}

#[test]
fn ten_threads_that_ask_for_one_image_encode_it_once() {
    let setup = Setup::new();
    setup.fake.control("slow encode 30");
    let image = setup.image(50);
    let start = Barrier::new(10);
    std::thread::scope(|scope| {
        for thread in 0..10_u8 {
            let (setup, image, start) = (&setup, &image, &start);
            scope.spawn(move || {
                start.wait();
                let prediction = setup.click_at(image, [f32::from(thread), 40.0]);
                prediction.unwrap();
            });
        }
    });
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (1, 10));
    assert_eq!(setup.fake.value("violations"), 0);
}

#[test]
fn a_click_on_one_image_never_gets_the_mask_of_another() {
    // Room for one embedding and a half, and for no prediction: images push each other out all the time.
    let setup = Setup::with(Options {
        embedding_cache_bytes: 6000,
        prediction_cache: NOTHING,
        ..Options::default()
    });
    let images: Vec<_> = [0_u8, 85, 170, 255].map(|gray| setup.image(gray)).into();
    let score = |image: &RegisteredImage| setup.click(image).unwrap().score(0).unwrap();
    let own: Vec<f32> = images.iter().map(|image| score(image)).collect();
    assert!(
        (1..4).all(|i| own[i] != own[i - 1]),
        "the fake tells images apart: {own:?}"
    );
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (score, images, own) = (&score, &images, &own);
            scope.spawn(move || {
                for turn in 0..40 {
                    let at = (turn * 7 + thread * 3 + turn / 5) % images.len();
                    assert_eq!(score(&images[at]), own[at], "image {at}");
                }
            });
        }
    });
    assert!(
        setup.calls("encode") > 4,
        "the cache was meant to be too small"
    );
    assert_eq!(setup.fake.value("violations"), 0);
}

#[test]
fn many_objects_come_back_in_the_order_of_the_prompts() {
    let setup = Setup::new();
    let boxes: Vec<Prompt<'_>> = (0..5)
        .map(|i| {
            let x = 10.0 + 30.0 * i as f32;
            Prompt {
                bounding_box: Some([x, 20.0, x + 24.0, 70.0]),
                ..Prompt::default()
            }
        })
        .collect();
    let prediction = predict(&setup.model, &setup.image(9), &boxes, false).unwrap();
    assert_eq!(
        (
            prediction.num_objects,
            prediction.masks_per_object,
            prediction.num_masks()
        ),
        (5, 1, 5)
    );
    for (object, prompt) in boxes.iter().enumerate() {
        let found = prediction
            .extent(object)
            .unwrap()
            .bounding_box
            .corners()
            .map(|corner| corner as f32);
        for (found, wanted) in found.iter().zip(prompt.bounding_box.unwrap()) {
            assert!(
                (found - wanted).abs() <= 2.0,
                "object {object}: {found} is not {wanted}"
            );
        }
    }
}

#[test]
fn logits_of_a_result_are_a_mask_input() {
    let setup = Setup::new();
    let image = setup.image(77);
    let first = setup.click(&image).unwrap();
    let refined = Prompt {
        mask_input: Some(first.logits(1).unwrap()),
        ..Prompt::default()
    };
    let second = predict(&setup.model, &image, &[refined], false).unwrap();
    assert_eq!(
        second.logits(0).unwrap(),
        first.logits(1).unwrap(),
        "the fake gives a mask input back"
    );
}

#[test]
fn running_out_of_memory_is_told_as_such_and_leaves_the_image_usable() {
    let setup = Setup::new();
    let image = setup.image(33);
    setup.fake.control("oom encode 1 1000");
    let failed = setup.click(&image).err().expect("there is no memory");
    assert_eq!(failed.code(), abi::SAM_MM_ERR_OUT_OF_MEMORY, "{failed}");
    assert!(setup.context.embeddings().is_empty());
    setup.fake.control("reset");
    setup.click(&image).unwrap();
    setup.fake.control("oom decode 1 1000");
    assert_eq!(
        setup.click_at(&image, [9.0, 9.0]).err().unwrap().code(),
        abi::SAM_MM_ERR_OUT_OF_MEMORY
    );
    setup.fake.control("reset");
    setup.click_at(&image, [9.0, 9.0]).unwrap();
    assert_eq!(setup.calls("encode"), 0, "the embedding had survived");
}

#[test]
fn an_answer_that_is_not_finite_is_an_error_that_says_what_and_why_and_its_embedding_is_not_kept() {
    let setup = Setup::new();
    let click = Prompt {
        points: &[[60.0, 40.0]],
        labels: &[1],
        ..Prompt::default()
    };
    for (spoilt, said) in [
        (1, "gave NaN as the score of mask 0"),
        (2, "gave inf as a logit of mask 0"),
        (3, "gave inf as the object score of mask 0"),
    ] {
        let checkpoint = format!("fake-model\nobject_scores=1\nspoilt={spoilt}\n");
        let source = Source::Bytes(checkpoint.as_bytes());
        let model = Model::load(&setup.context, source, Precision::Fp32).unwrap();
        let failed = predict(&model, &setup.image(1), &[click], true)
            .err()
            .unwrap();
        assert_eq!(failed.code(), abi::SAM_MM_ERR_BACKEND);
        let words = failed.to_string();
        assert!(
            words.contains(said) && words.contains("not finite"),
            "{words}"
        );
        assert!(setup.context.embeddings().is_empty());
    }
}

/// The fake's score of an object is the number of its points less 1.5.
#[test]
fn defect_9_object_scores_are_those_of_the_model_and_are_kept_with_the_prediction() {
    let setup = Setup::new();
    let source = Source::Bytes(b"fake-model\nobject_scores=1\n");
    let model = Model::load(&setup.context, source, Precision::Fp32).unwrap();
    let points = [[60.0, 40.0], [20.0, 30.0]];
    let prompts = [1, 2].map(|count| Prompt {
        points: &points[..count],
        labels: &[1, 1][..count],
        ..Prompt::default()
    });
    let image = setup.image(1);
    for reused in [false, true] {
        let found = predict(&model, &image, &prompts, true).unwrap();
        assert_eq!(found.is_reused(), reused);
        assert_eq!(found.object_score(0).unwrap(), Some(-0.5));
        assert_eq!(found.object_score(1).unwrap(), Some(0.5));
        assert!(found.object_score(2).is_err());
    }
}

#[test]
fn a_model_without_object_scores_has_none() {
    let setup = Setup::new();
    let found = setup.click(&setup.image(1)).unwrap();
    assert_eq!(found.object_score(0).unwrap(), None);
}

#[test]
fn what_the_backend_says_of_a_failure_reaches_the_caller() {
    let setup = Setup::new();
    setup
        .fake
        .control("fail decode 1 11 the device fell off the bus");
    let failed = setup.click(&setup.image(1)).err().unwrap();
    assert_eq!(failed.code(), abi::SAM_MM_ERR_DEVICE_LOST);
    assert!(
        failed.to_string().contains("the device fell off the bus"),
        "{failed}"
    );
}

#[test]
fn optimising_drops_embeddings_and_trims_the_allocator() {
    let setup = Setup::new();
    let image = setup.image(4);
    encode(&setup.model, &image).map(drop).unwrap();
    let held = setup.context.memory_info().embedding_cache;
    assert!(held > 0);
    let report = setup.context.optimize(true);
    assert!(
        report.performed && report.optimized.allocator > 0,
        "{report:?}"
    );
    assert_eq!(report.optimized.by_caches(), held);
    assert_eq!(setup.context.memory_info().embedding_cache, 0);
    setup.click(&image).unwrap();
    assert_eq!(setup.calls("encode"), 2);
}

#[test]
fn a_device_that_is_not_short_of_memory_is_optimised_only_by_force() {
    let gpu = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    let setup = Setup::on(DeviceName::Cuda(0), gpu, Options::default());
    let info = setup.context.memory_info();
    if info.host.is_some_and(|host| host.utilization() >= 0.9) {
        panic!("this machine is short of host memory, so the test cannot tell: {info:?}");
    }
    let gib = 1_u64 << 30;
    setup
        .fake
        .control(&format!("memory total={} other={}", 10 * gib, gib));
    encode(&setup.model, &setup.image(4)).map(drop).unwrap();
    assert!(!setup.context.optimize(false).performed);
    setup
        .fake
        .control(&format!("memory total={} other={}", 10 * gib, 9 * gib));
    assert!(setup.context.optimize(false).performed);
}

#[test]
fn everything_is_freed_whatever_goes_first() {
    let setup = Setup::new();
    let image = setup.image(3);
    let prediction = setup.click(&image).unwrap();
    let Setup {
        fake,
        context,
        model,
    } = setup;
    drop(context);
    drop(model);
    assert_eq!(
        fake.value("live.embeddings"),
        0,
        "they are useless without their model"
    );
    drop(image);
    fake.assert_clean();
    assert!(prediction.extent(0).unwrap().area > 0);
}

#[test]
fn pixels_that_come_again_are_not_encoded_again_even_when_their_first_handle_is_gone() {
    let setup = Setup::new();
    let first = setup.image(3);
    setup.click(&first).unwrap();
    drop(first);
    let again = setup.click_at(&setup.image(3), [9.0, 9.0]).unwrap();
    assert!(again.timings.encode_ms.is_none());
    assert_eq!((setup.calls("encode"), setup.calls("decode")), (1, 2));
    assert_eq!(setup.fake.value("live.embeddings"), 1);
}

#[test]
fn an_id_of_the_owners_stands_for_the_pixels() {
    let setup = Setup::new();
    let named = |gray, size, id: &[u8]| setup.image_of(gray, size).with_content_id(id);
    let size = (WIDTH, HEIGHT);
    encode(&setup.model, &named(1, size, b"one"))
        .map(drop)
        .unwrap();
    encode(&setup.model, &named(2, size, b"one"))
        .map(drop)
        .unwrap();
    assert_eq!(
        setup.calls("encode"),
        1,
        "its owner says that it is the same"
    );
    encode(&setup.model, &named(1, size, b"two"))
        .map(drop)
        .unwrap();
    encode(&setup.model, &named(1, (HEIGHT, WIDTH), b"one"))
        .map(drop)
        .unwrap();
    encode(&setup.model, &setup.image(1)).map(drop).unwrap();
    assert_eq!(setup.calls("encode"), 4);
}

#[test]
fn defect_6_an_image_that_could_not_be_encoded_leaves_the_others_usable() {
    let setup = Setup::new();
    let (a, b) = (setup.image(10), setup.image(200));
    let before = setup.click(&a).unwrap();
    setup.fake.control("oom encode 1 1000");
    assert!(setup.click(&b).is_err());
    setup.fake.control("reset");
    let after = setup.click_at(&a, [70.0, 40.0]).unwrap();
    assert_eq!(after.score(0).unwrap(), before.score(0).unwrap());
    let other = setup.click(&b).unwrap();
    assert!(
        other.timings.encode_ms.is_some(),
        "it is not taken for encoded"
    );
    assert_ne!(other.score(0).unwrap(), before.score(0).unwrap());
}

/// OpenMP would end the host's process.
#[test]
fn more_threads_than_a_process_can_start_are_refused() {
    let options = Options {
        num_threads: 40_000,
        ..Options::default()
    };
    let refused = Context::new(options, None).map(drop).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("40000") && said.contains("1024"), "{said}");
}
