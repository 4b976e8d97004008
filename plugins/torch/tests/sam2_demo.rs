//! The whole way with a SAM 2 whose weights are random (`models/sam2_demo.safetensors`): pixels and prompts in, through the
//! loader and the plugin, masks out. A caller changes the checkpoint and nothing else.

mod common;

use std::sync::Arc;

use common::plugin::sam2_demo_path;
use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;

const WIDTH: u32 = 300;
const HEIGHT: u32 = 211;

struct Demo {
    context: Arc<Context>,
    model: Model,
}

impl Demo {
    fn new() -> Self {
        let options = Options {
            device: DeviceRequest::Named(DeviceName::Cpu),
            backend_path: Some(common::plugin()),
            ..Options::default()
        };
        let context = Arc::new(Context::new(options, None).unwrap());
        let model = Model::load(&context, Source::File(sam2_demo_path()), Precision::Fp32).unwrap();
        Self { context, model }
    }

    fn image(&self, format: PixelFormat, data: &[u8]) -> RegisteredImage {
        let stride = data.len() / HEIGHT as usize;
        let view = ImageView::new(format, WIDTH, HEIGHT, stride, data).unwrap();
        RegisteredImage::new(&self.context, &view).unwrap()
    }

    fn picture(&self) -> RegisteredImage {
        self.image(PixelFormat::Rgb8, &rgb())
    }

    fn predict(&self, image: &RegisteredImage, prompt: Prompt<'_>, multimask: bool) -> Prediction {
        predict(&self.model, image, &[prompt], multimask).unwrap()
    }
}

fn rgb() -> Vec<u8> {
    common::formula::image(i64::from(WIDTH), i64::from(HEIGHT))
}

const CLICK: Prompt<'_> = Prompt {
    points: &[[120.0, 90.0]],
    labels: &[1],
    bounding_box: None,
    mask_input: None,
};
const BOX: Prompt<'_> = Prompt {
    points: &[],
    labels: &[],
    bounding_box: Some([60.0, 40.0, 200.0, 160.0]),
    mask_input: None,
};

#[test]
fn a_sam_2_checkpoint_says_what_it_is() {
    let demo = Demo::new();
    let info = demo.model.info();
    assert_eq!(
        (info.family.as_str(), info.variant.as_str()),
        ("sam2", "Hiera 16, 1-2-3-2 blocks")
    );
    assert_eq!(
        (info.input_size, info.mask_size, info.multimask_count),
        (256, 64, 3)
    );
    // The image embedding and two finer levels, in fp32: 16 × 16 cells of 32, 4 · 8 and 16 · 4 values.
    assert_eq!(info.embedding_bytes, 4 * 256 * (32 + 32 + 64));
}

#[test]
fn defect_9_an_image_is_encoded_once_for_all_clicks_on_it() {
    let demo = Demo::new();
    let image = demo.picture();
    assert!(
        demo.predict(&image, CLICK, true)
            .timings
            .encode_ms
            .is_some()
    );
    for prompt in [BOX, CLICK] {
        for multimask in [false, true] {
            assert!(
                demo.predict(&image, prompt, multimask)
                    .timings
                    .encode_ms
                    .is_none()
            );
        }
    }
}

#[test]
fn defect_9_multimask_is_heeded() {
    let demo = Demo::new();
    let image = demo.picture();
    let three = demo.predict(&image, CLICK, true);
    assert_eq!(
        (
            three.num_masks(),
            demo.predict(&image, CLICK, false).num_masks()
        ),
        (3, 1)
    );
    assert_ne!(three.logits(0).unwrap(), three.logits(1).unwrap());
}

#[test]
fn defect_9_points_count_beside_a_box_and_a_box_beside_points() {
    let demo = Demo::new();
    let image = demo.picture();
    let both = Prompt {
        bounding_box: BOX.bounding_box,
        ..CLICK
    };
    let both = demo.predict(&image, both, true);
    for alone in [BOX, CLICK] {
        let alone = demo.predict(&image, alone, true);
        assert_ne!(both.logits(0).unwrap(), alone.logits(0).unwrap());
    }
}

#[test]
fn defect_9_logits_scores_and_object_scores_are_computed() {
    let demo = Demo::new();
    let image = demo.picture();
    let found = demo.predict(&image, CLICK, true);
    let object = found
        .object_score(0)
        .unwrap()
        .expect("SAM 2 has object scores");
    assert!(object.is_finite() && object != 0.0);
    let elsewhere = Prompt {
        points: &[[280.0, 10.0]],
        ..CLICK
    };
    let other = demo.predict(&image, elsewhere, true);
    assert_ne!(other.object_score(0).unwrap(), Some(object));
    for mask in 0..3 {
        let (score, logits) = (found.score(mask).unwrap(), found.logits(mask).unwrap());
        assert!(
            (0.0..1.0).contains(&score),
            "IoU goes through a sigmoid: {score}"
        );
        assert!(logits.iter().all(|logit| logit.abs() <= 32.0));
        let first = logits[0];
        assert!(
            logits.iter().any(|&logit| logit != first),
            "mask {mask} is flat"
        );
    }
}

#[test]
fn defect_9_red_and_blue_stay_where_they_are() {
    let demo = Demo::new();
    let swapped: Vec<u8> = rgb()
        .chunks_exact(3)
        .flat_map(|p| [p[2], p[1], p[0]])
        .collect();
    let of = |format, data: &[u8], id: &[u8]| {
        // By its pixels it would be known, and nothing computed.
        let image = demo.image(format, data).with_content_id(id);
        let found = demo.predict(&image, CLICK, false);
        found.logits(0).unwrap().to_vec()
    };
    let expected = of(PixelFormat::Rgb8, &rgb(), b"rgb");
    assert_eq!(of(PixelFormat::Bgr8, &swapped, b"bgr"), expected);
    assert_ne!(of(PixelFormat::Rgb8, &swapped, b"swapped"), expected);
}

#[test]
fn an_earlier_mask_is_taken_as_input_and_many_objects_are_those_of_single_calls() {
    let demo = Demo::new();
    let image = demo.picture();
    let first = demo.predict(&image, CLICK, true);
    let refined = Prompt {
        mask_input: Some(first.logits(0).unwrap()),
        ..CLICK
    };
    let prompts = [
        CLICK,
        BOX,
        refined,
        Prompt {
            points: &[],
            labels: &[],
            ..refined
        },
    ];
    for multimask in [false, true] {
        let together = predict(&demo.model, &image, &prompts, multimask).unwrap();
        let each = together.masks_per_object;
        for (object, prompt) in prompts.iter().enumerate() {
            let alone = demo.predict(&image, *prompt, multimask);
            let apart = together.object_score(object).unwrap().unwrap()
                - alone.object_score(0).unwrap().unwrap();
            assert!(apart.abs() < 1e-4, "object score of {object}: {apart}");
            for mask in 0..each {
                let (a, b) = (
                    together.logits(each * object + mask).unwrap(),
                    alone.logits(mask).unwrap(),
                );
                let apart = a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(apart < 1e-3, "object {object}, mask {mask}: {apart}");
            }
        }
    }
    assert_ne!(
        demo.predict(&image, refined, true).logits(0).unwrap(),
        first.logits(0).unwrap()
    );
}

/// One row, one column, and more than the input in one direction alone: the image always fills the input.
#[test]
fn images_of_any_shape_get_masks_of_their_size() {
    let demo = Demo::new();
    for (width, height) in [(1, 1), (1, 700), (3000, 17), (256, 256)] {
        let data: Vec<u8> = (0..width * height).map(|i| (i % 251) as u8).collect();
        let view =
            ImageView::new(PixelFormat::Gray8, width, height, width as usize, &data).unwrap();
        let image = RegisteredImage::new(&demo.context, &view).unwrap();
        let point = [[width as f32 / 2.0, height as f32 / 2.0]];
        let prompt = Prompt {
            points: &point,
            labels: &[1],
            ..Prompt::default()
        };
        let found = demo.predict(&image, prompt, false);
        let mask = found.bitmask(0).unwrap();
        assert_eq!((mask.width(), mask.height()), (width, height));
    }
}
