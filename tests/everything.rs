//! Everything in an image, against the fake backend: what stays and in which order, what is told on the way, and what
//! memory allows.

mod support;

use std::ops::ControlFlow;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options as ContextOptions};
use sam_mm::error::Error;
use sam_mm::everything::{
    Everything, FoundMask, Options, Step, segment_everything, segment_everything_with,
};
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::jobs::job::{Body, JobState, Kind, Output};
use sam_mm::mask::{BoundingBox, Extent};
use sam_mm::model::{Model, Source};
use sam_mm::registered_image::RegisteredImage;
use serde_json::Value;
use std::sync::Arc;
use support::fake_backend::FakeBackend;
use support::gpu_session::{self, DECODE, GpuSession, MIB};
use support::setup::Setup;

fn go_on(_: &Step<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Options under which discs of the fake backend pass.
fn lenient() -> Options {
    Options {
        pred_iou_thresh: Some(0.4),
        stability_score_thresh: 0.8,
        points_per_side: 6,
        ..Options::default()
    }
}

fn everything(setup: &Setup, image: &RegisteredImage, options: &Options) -> Everything {
    segment_everything(&setup.model, image, options, &mut go_on).unwrap()
}

// ---- against the official generators --------------------------------------------------------------------------------

/// 32 random-looking bits for an index.
fn noise(index: u32, seed: u32) -> u32 {
    let mut h = index.wrapping_add(seed.wrapping_mul(0x9E37_79B9));
    h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
    h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
    h ^ (h >> 16)
}

/// RGB pixels of the goldens' images.
fn slopes(width: u32, height: u32) -> Vec<u8> {
    let sample = |index: u32| {
        let (x, y, c) = (index / 3 % width, index / 3 / width, index % 3);
        (x * 3 + y * 5 + c * 85 + (noise(index, 1) & 15)) as u8
    };
    (0..3 * width * height).map(sample).collect()
}

fn options_of(given: &Value) -> Options {
    let mut options = Options::default();
    for (name, value) in given.as_object().unwrap() {
        let number = value.as_f64();
        let whole = value.as_u64().map(|whole| whole as u32);
        match name.as_str() {
            "pred_iou_thresh" => options.pred_iou_thresh = number,
            "stability_score_thresh" => options.stability_score_thresh = number.unwrap(),
            "stability_score_offset" => options.stability_score_offset = number.unwrap(),
            "mask_threshold" => options.mask_threshold = number.unwrap(),
            "box_nms_thresh" => options.box_nms_thresh = number.unwrap(),
            "crop_nms_thresh" => options.crop_nms_thresh = number.unwrap(),
            "crop_overlap_ratio" => options.crop_overlap_ratio = number.unwrap(),
            "points_per_side" => options.points_per_side = whole.unwrap(),
            "points_per_batch" => options.points_per_batch = whole.unwrap(),
            "crop_n_layers" => options.crop_n_layers = whole.unwrap(),
            "crop_n_points_downscale_factor" => {
                options.crop_n_points_downscale_factor = whole.unwrap();
            }
            "min_mask_region_area" => options.min_mask_region_area = value.as_u64().unwrap(),
            "use_m2m" => options.use_m2m = value.as_bool().unwrap(),
            "multimask_output" => options.multimask = value.as_bool().unwrap(),
            other => panic!("no option is called {other}"),
        }
    }
    options
}

fn model_of_family(family: &str) -> Setup {
    let fake = FakeBackend::new();
    let options = ContextOptions {
        device: DeviceRequest::Named(DeviceName::Cpu),
        backend_path: Some(fake.path().to_owned()),
        ..ContextOptions::default()
    };
    let context = Arc::new(Context::new(options, None).unwrap());
    let resize = u32::from(family == "sam2");
    let text = format!("fake-model\nfamily={family}\nresize={resize}\n");
    let source = Source::Bytes(text.as_bytes());
    let model = Arc::new(Model::load(&context, source, Precision::Fp32).unwrap());
    Setup {
        fake,
        context,
        model,
    }
}

fn near(found: f64, wanted: &Value, within: f64) -> bool {
    (found - wanted.as_f64().unwrap()).abs() <= within
}

/// The official mask is upsampled in two roundings where ours has one, so a pixel of the outline may differ.
fn is_same(found: &FoundMask, wanted: &Value) -> bool {
    let BoundingBox {
        x,
        y,
        width,
        height,
    } = found.bounding_box;
    // XYWH of the official code, whose width is the distance of the first and the last column.
    let bounds = [x, y, width - 1, height - 1].map(f64::from);
    let [x0, y0, x1, y1] = found.crop.corners.map(f64::from);
    let area = wanted["area"].as_f64().unwrap();
    let all_near = |found: &[f64], wanted: &Value, within| {
        let pairs = found.iter().zip(wanted.as_array().unwrap());
        pairs
            .into_iter()
            .all(|(&found, wanted)| near(found, wanted, within))
    };
    (found.area as f64 - area).abs() <= 2.0 + area * 1e-3
        && all_near(&bounds, &wanted["bbox"], 1.0)
        && near(found.predicted_iou.into(), &wanted["predicted_iou"], 1e-5)
        && near(
            found.stability_score.into(),
            &wanted["stability_score"],
            2e-3,
        )
        && all_near(&found.point, &wanted["point"], 1e-4)
        && all_near(&[x0, y0, x1 - x0, y1 - y0], &wanted["crop_box"], 0.0)
}

#[test]
fn whole_images_give_the_masks_of_the_official_generators_in_their_order() {
    let goldens: Value = serde_json::from_str(include_str!("everything/goldens.json")).unwrap();
    for entry in goldens["images"].as_array().unwrap() {
        let setup = model_of_family(entry["family"].as_str().unwrap());
        let size = ["width", "height"].map(|side| entry[side].as_u64().unwrap() as u32);
        let pixels = slopes(size[0], size[1]);
        let view = ImageView::new(
            PixelFormat::Rgb8,
            size[0],
            size[1],
            3 * size[0] as usize,
            &pixels,
        );
        let image = RegisteredImage::new(&setup.context, &view.unwrap()).unwrap();
        let found = everything(&setup, &image, &options_of(&entry["options"]));
        let wanted = entry["masks"].as_array().unwrap();
        let what = format!("{} {}", entry["family"], entry["options"]);
        assert_eq!(found.masks.len(), wanted.len(), "{what}");
        for (index, (found, wanted)) in found.masks.iter().zip(wanted).enumerate() {
            assert!(
                is_same(found, wanted),
                "{what}: mask {index}: {found:?}, not {wanted}"
            );
        }
    }
}

/// Predicted IoUs of the masks that stay, of an image whose first masks have 0.8 to 0.88.
fn predicted_ious(family: &str, threshold: Option<f64>) -> Vec<f32> {
    let setup = model_of_family(family);
    let options = Options {
        pred_iou_thresh: threshold,
        ..lenient()
    };
    let in_between = |image: &Arc<RegisteredImage>| {
        let score = setup.click(image).unwrap().score(0).unwrap();
        (0.81..0.87).contains(&score)
    };
    let nearly_white = |seed| {
        let pixels: Vec<u8> = (0..200 * 100)
            .map(|at| 0xFF - (noise(at, seed) & 7) as u8)
            .collect();
        let view = ImageView::new(PixelFormat::Gray8, 200, 100, 200, &pixels);
        Arc::new(RegisteredImage::new(&setup.context, &view.unwrap()).unwrap())
    };
    let image = (0..100).map(nearly_white).find(in_between);
    let found = everything(&setup, &image.unwrap(), &options);
    found.masks.iter().map(|mask| mask.predicted_iou).collect()
}

#[test]
fn the_threshold_of_predicted_iou_is_that_of_the_family_unless_another_is_given() {
    assert!(predicted_ious("sam", None).is_empty());
    assert!(predicted_ious("mobile_sam", None).is_empty());
    let found = predicted_ious("sam2", None);
    assert!(!found.is_empty() && found.iter().all(|iou| (0.8..0.88).contains(iou)));
    assert!(!predicted_ious("sam", Some(0.7)).is_empty());
}

// ---- what is told on the way ----------------------------------------------------------------------------------------

/// What a step told.
struct Told {
    fraction: f64,
    crop: u32,
    crops: u32,
    found: Vec<FoundMask>,
}

fn watched(setup: &Setup, image: &RegisteredImage, options: &Options) -> (Everything, Vec<Told>) {
    let mut told = Vec::new();
    let mut watch = |step: &Step<'_>| {
        told.push(Told {
            fraction: step.fraction(),
            crop: step.crop,
            crops: step.crops,
            found: step.found.to_vec(),
        });
        ControlFlow::Continue(())
    };
    let found = segment_everything(&setup.model, image, options, &mut watch).unwrap();
    (found, told)
}

#[test]
fn progress_starts_at_nothing_never_falls_and_ends_with_the_last_batch() {
    let setup = Setup::new();
    let options = Options {
        crop_n_layers: 1,
        points_per_batch: 10,
        ..lenient()
    };
    let (found, told) = watched(&setup, &setup.image(90), &options);
    let fractions: Vec<f64> = told.iter().map(|step| step.fraction).collect();
    assert_eq!((fractions[0], *fractions.last().unwrap()), (0.0, 1.0));
    assert!(fractions.is_sorted());
    // 36 points in each of five crops: one step before, and four batches.
    assert_eq!(told.len(), 5 * (1 + 4));
    assert!(
        told.iter().map(|step| step.crop).is_sorted() && told.iter().all(|step| step.crops == 5)
    );
    let effort = found.effort;
    assert_eq!((effort.crops, effort.points, effort.batches), (5, 180, 20));
}

#[test]
fn masks_told_on_the_way_have_the_ids_of_those_that_stay() {
    let setup = Setup::new();
    let options = Options {
        points_per_batch: 5,
        box_nms_thresh: 0.3,
        ..lenient()
    };
    let (found, told) = watched(&setup, &setup.image(90), &options);
    let on_the_way: Vec<&FoundMask> = told.iter().flat_map(|step| &step.found).collect();
    let ids: Vec<u64> = on_the_way.iter().map(|mask| mask.id).collect();
    assert_eq!(ids, (0..found.effort.candidates).collect::<Vec<_>>());
    assert!(
        found.masks.len() < on_the_way.len(),
        "some went as duplicates"
    );
    for mask in &found.masks {
        assert_eq!(mask, on_the_way[mask.id as usize]);
    }
}

#[test]
fn a_run_ends_where_it_is_broken_off() {
    let setup = Setup::new();
    let options = Options {
        points_per_batch: 6,
        ..lenient()
    };
    for stop_at in [0, 1, 3] {
        let before = setup.calls("decode");
        let mut steps = 0;
        let mut watch = |_: &Step<'_>| {
            steps += 1;
            if steps > stop_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let broken = segment_everything(&setup.model, &setup.image(90), &options, &mut watch);
        assert!(matches!(broken, Err(Error::Cancelled)));
        assert_eq!(setup.calls("decode") - before, stop_at);
    }
    assert_eq!(
        everything(&setup, &setup.image(90), &options).effort.points,
        36
    );
}

#[test]
fn a_job_tells_its_progress_and_its_cancelling_ends_a_batch_that_runs() {
    let setup = Setup::new();
    let image = setup.image(90);
    setup.click(&image).unwrap();
    let submit = || {
        let (model, image) = (Arc::clone(&setup.model), Arc::clone(&image));
        let body: Body = Box::new(move |orders| {
            let found = segment_everything_with(&model, &image, &lenient(), orders, &mut go_on)?;
            Ok(Output::Everything(Box::new(found)))
        });
        let jobs = setup.context.jobs();
        jobs.submit(&setup.context, Kind::Everything, body).unwrap()
    };
    let whole = submit();
    assert_eq!(whole.wait(None).unwrap(), JobState::Succeeded);
    let told = || std::iter::from_fn(|| setup.context.jobs().events().poll());
    let fractions: Vec<f64> = told().map(|event| event.fraction).collect();
    assert!(
        fractions.is_sorted() && fractions.last() == Some(&1.0),
        "{fractions:?}"
    );
    let Output::Everything(found) = whole.take(Kind::Everything).unwrap() else {
        panic!("another kind of result");
    };
    assert_eq!(found.masks, everything(&setup, &image, &lenient()).masks);

    setup.fake.control("block decode");
    let stopped = submit();
    setup.fake.wait_until_blocked("decode", 1);
    stopped.cancel();
    assert_eq!(stopped.wait(None).unwrap(), JobState::Cancelled);
    setup.fake.control("unblock decode");
}

#[test]
fn a_click_comes_between_two_batches() {
    let setup = Setup::new();
    let image = setup.image(90);
    let options = Options {
        points_per_batch: 6,
        ..lenient()
    };
    setup.click(&image).unwrap();
    setup.fake.control("block decode");
    std::thread::scope(|scope| {
        let all = scope.spawn(|| {
            // Decodings that had begun when a step was told.
            let mut begun = Vec::new();
            let mut watch = |_: &Step<'_>| {
                begun.push(setup.calls("decode"));
                ControlFlow::Continue(())
            };
            segment_everything(&setup.model, &image, &options, &mut watch).unwrap();
            begun
        });
        setup.fake.wait_until_blocked("decode", 1);
        let click = scope.spawn(|| setup.click_at(&image, [20.0, 20.0]).unwrap());
        while setup.context.turnstile().waiting() == 0 {
            std::thread::yield_now();
        }
        setup.fake.control("unblock decode");
        click.join().unwrap();
        let begun = all.join().unwrap();
        // One click before; the other one was in line before the second batch.
        assert_eq!((begun[0], *begun.last().unwrap()), (1, 8));
        assert!(begun[2] >= 4, "{begun:?}");
    });
}

// ---- what is kept ---------------------------------------------------------------------------------------------------

#[test]
fn the_whole_image_has_the_embedding_of_its_clicks_and_no_prediction_goes_for_it() {
    let setup = Setup::new();
    let image = setup.image(90);
    setup.click(&image).unwrap();
    everything(&setup, &image, &lenient());
    assert_eq!(setup.calls("encode"), 1);
    assert!(setup.click(&image).unwrap().is_reused());
}

#[test]
fn crops_are_encoded_once_however_often_everything_is_asked_for() {
    let setup = Setup::new();
    let options = Options {
        crop_n_layers: 1,
        ..lenient()
    };
    let first = everything(&setup, &setup.image(90), &options);
    let again = everything(&setup, &setup.image(90), &options);
    assert_eq!(setup.calls("encode"), 5);
    assert_eq!(first, again);
    // Another picture of that size has crops of its own.
    everything(&setup, &setup.image(91), &options);
    assert_eq!(setup.calls("encode"), 10);
}

#[test]
fn a_mask_is_the_same_in_every_form() {
    let setup = Setup::new();
    let options = Options {
        crop_n_layers: 1,
        ..lenient()
    };
    let found = everything(&setup, &setup.image(90), &options);
    for mask in &found.masks {
        let rle = mask.rle().unwrap();
        assert_eq!(rle.to_compressed(), mask.compressed());
        let drawn = rle.decode().unwrap();
        let extent = Extent {
            area: mask.area,
            bounding_box: mask.bounding_box,
        };
        assert_eq!([Extent::of(&rle), drawn.extent()], [extent; 2]);
    }
}

#[test]
fn batches_of_any_size_and_several_threads_at_once_give_the_same_masks() {
    let setup = Setup::new();
    let image = setup.image(90);
    let with = |points_per_batch| Options {
        points_per_batch,
        ..lenient()
    };
    let wanted = everything(&setup, &image, &with(64)).masks;
    std::thread::scope(|scope| {
        for batch in [1, 5, 7, 36] {
            let (setup, image, wanted) = (&setup, &image, &wanted);
            scope.spawn(move || {
                assert_eq!(
                    everything(setup, image, &with(batch)).masks,
                    *wanted,
                    "{batch}"
                );
            });
        }
    });
    assert_eq!(setup.fake.value("violations"), 0);
    assert_eq!(setup.calls("encode"), 1);
}

// ---- what memory allows ---------------------------------------------------------------------------------------------

fn on_gpu(session: &GpuSession) -> Everything {
    let image = session.image(90);
    segment_everything(&session.model, &image, &lenient(), &mut go_on).unwrap()
}

#[test]
fn fewer_points_are_decoded_at_once_when_the_budget_has_no_room_for_all() {
    let roomy = GpuSession::new(gpu_session::options());
    let wanted = on_gpu(&roomy);
    assert_eq!(
        (wanted.effort.batches, wanted.effort.reduced_batch),
        (1, None)
    );
    let session = GpuSession::new(gpu_session::options());
    // Room for the embedding and for 20 points at once.
    let budget = gpu_session::WEIGHTS + gpu_session::EMBEDDING + 20 * DECODE;
    session.leave(budget);
    let found = on_gpu(&session);
    assert_eq!(found.masks, wanted.masks);
    // 36 points are halved to 18.
    assert_eq!(
        (found.effort.batches, found.effort.reduced_batch),
        (2, Some(18))
    );
    let peak = session.fake.value("memory.peak_reserved") as u64;
    assert!(peak <= budget && peak >= 18 * DECODE, "{} MiB", peak / MIB);
    assert_eq!(session.calls("model_load"), 1, "nothing moved to the CPU");
}

#[test]
fn when_memory_runs_out_in_spite_of_the_estimate_fewer_points_come_before_the_cpu() {
    let session = GpuSession::new(gpu_session::options());
    let wanted = on_gpu(&session);
    session.fake.control("short decode 1 3");
    let found = on_gpu(&session);
    assert_eq!(found.masks, wanted.masks);
    // 36 points ran out twice, the second time with the allocator emptied, and 18 once.
    assert_eq!(found.effort.reduced_batch, Some(9));
    assert_eq!(session.calls("model_load"), 1, "nothing moved to the CPU");
}

#[test]
fn the_bytes_of_a_run_are_the_logits_of_a_batch_and_the_runs_of_its_masks() {
    let setup = Setup::new();
    let options = Options {
        points_per_batch: 4,
        ..lenient()
    };
    let found = everything(&setup, &setup.image(90), &options);
    let logits = 4 * 3 * 64 * 64 * 4;
    let held: u64 = found.masks.iter().map(FoundMask::bytes).sum();
    let peak = found.effort.peak_bytes;
    assert!(peak >= logits + held, "{peak}");
    // Far from what the pixels of all masks would take.
    let (width, height) = found.image_size;
    assert!(
        found.effort.candidates * u64::from(width * height) > 2 * peak,
        "{peak}"
    );
}

// ---- what is refused ------------------------------------------------------------------------------------------------

type Change = fn(&mut Options);

#[test]
fn options_that_cannot_be_used_are_refused_by_name_and_value() {
    let setup = Setup::new();
    let refused = |change: Change| {
        let mut options = lenient();
        change(&mut options);
        let image = setup.image(90);
        let error = segment_everything(&setup.model, &image, &options, &mut go_on).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        error.to_string()
    };
    let cases: [(&str, Change); 13] = [
        ("points_per_side is 0", |o| o.points_per_side = 0),
        ("points_per_side is 1025", |o| o.points_per_side = 1025),
        ("points_per_batch is 0", |o| o.points_per_batch = 0),
        ("points_per_batch is 1025", |o| o.points_per_batch = 1025),
        ("crop_n_layers is 6", |o| o.crop_n_layers = 6),
        ("crop_n_points_downscale_factor is 0", |o| {
            o.crop_n_points_downscale_factor = 0;
        }),
        ("crop_overlap_ratio is 1", |o| o.crop_overlap_ratio = 1.0),
        ("box_nms_thresh is 1.5", |o| o.box_nms_thresh = 1.5),
        ("crop_nms_thresh is NaN", |o| o.crop_nms_thresh = f64::NAN),
        ("stability_score_offset is -1", |o| {
            o.stability_score_offset = -1.0
        }),
        ("pred_iou_thresh is NaN", |o| {
            o.pred_iou_thresh = Some(f64::NAN)
        }),
        ("point_grids are 1, but 2", |o| {
            (o.point_grids, o.crop_n_layers) = (Some(vec![vec![[0.5, 0.5]]]), 1);
        }),
        ("point_grids have 1.5", |o| {
            o.point_grids = Some(vec![vec![[0.5, 1.5]]])
        }),
    ];
    for (words, change) in cases {
        let said = refused(change);
        assert!(said.starts_with(words), "{said}, not {words}");
    }
    assert_eq!(setup.calls("encode"), 0);
}

#[test]
fn own_points_are_asked_in_their_order_and_found_with_the_masks() {
    let setup = Setup::new();
    let options = Options {
        point_grids: Some(vec![vec![[0.75, 0.5], [0.25, 0.5]]]),
        multimask: false,
        ..lenient()
    };
    let found = everything(&setup, &setup.image(90), &options);
    let points: Vec<[f64; 2]> = found.masks.iter().map(|mask| mask.point).collect();
    assert_eq!(points, [[150.0, 50.0], [50.0, 50.0]]);
}
