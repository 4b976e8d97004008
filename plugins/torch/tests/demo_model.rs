//! The whole way with the demo model: pixels and prompts in, through the loader and the plugin, masks out.

mod common;

use std::sync::Arc;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use sam_mm_scenes::{Mask, Scene};

const SCENES: u64 = 100;
const PROMPTS_PER_SCENE: usize = 4;

struct Demo {
    context: Arc<Context>,
    model: Model,
}

impl Demo {
    fn new() -> Self {
        Self::in_precision(Precision::Fp32).unwrap()
    }

    fn in_precision(precision: Precision) -> Result<Self, sam_mm::error::Error> {
        let options = Options {
            device: DeviceRequest::Named(DeviceName::Cpu),
            backend_path: Some(common::plugin()),
            ..Options::default()
        };
        let context = Arc::new(Context::new(options, None).unwrap());
        let model = Model::load(&context, Source::Demo, precision)?;
        Ok(Self { context, model })
    }

    fn image(
        &self,
        format: PixelFormat,
        size: (u32, u32),
        stride: usize,
        data: &[u8],
    ) -> RegisteredImage {
        let view = ImageView::new(format, size.0, size.1, stride, data).unwrap();
        RegisteredImage::new(&self.context, &view).unwrap()
    }

    fn scene(&self, scene: &Scene) -> RegisteredImage {
        let (width, height) = (scene.image.width, scene.image.height);
        self.image(
            PixelFormat::Rgb8,
            (width as u32, height as u32),
            3 * width,
            &scene.image.pixels,
        )
    }

    fn predict(&self, image: &RegisteredImage, prompt: Prompt<'_>, multimask: bool) -> Prediction {
        predict(&self.model, image, &[prompt], multimask).unwrap()
    }
}

fn iou(prediction: &Prediction, index: usize, truth: &Mask) -> f64 {
    let pixels: Vec<bool> = prediction
        .bitmask(index)
        .unwrap()
        .pixels()
        .iter()
        .map(|&on| on == 1)
        .collect();
    truth.iou(&pixels)
}

fn click(xy: &[f32; 2]) -> Prompt<'_> {
    Prompt {
        points: std::slice::from_ref(xy),
        labels: &[1],
        ..Prompt::default()
    }
}

/// The official code reaches 0.72, 0.77 and 0.78 on other scenes of the same generator (models/README.md, 150 scenes);
/// the bounds leave about 0.06 for the choice of scenes.
#[test]
fn a_click_or_a_box_finds_the_object_on_drawn_scenes() {
    let demo = Demo::new();
    let (mut clicked, mut best_of_three, mut boxed) = (0.0, 0.0, 0.0);
    for seed in 1000..1000 + SCENES {
        let scene = Scene::draw(seed);
        let image = demo.scene(&scene);
        for prompt in scene.prompts(seed, PROMPTS_PER_SCENE) {
            let truth = &scene.masks[prompt.object];
            let centre = prompt.click.map(|pixel| pixel + 0.5);
            let found = demo.predict(&image, click(&centre), true);
            clicked += iou(&found, found.best_mask(0).unwrap(), truth);
            best_of_three += (0..3)
                .map(|index| iou(&found, index, truth))
                .fold(0.0, f64::max);
            let bounds = Prompt {
                bounding_box: Some(prompt.bounds),
                ..Prompt::default()
            };
            boxed += iou(&demo.predict(&image, bounds, false), 0, truth);
        }
    }
    let count = SCENES as f64 * PROMPTS_PER_SCENE as f64;
    let [clicked, best_of_three, boxed] = [clicked, best_of_three, boxed].map(|sum| sum / count);
    println!(
        "mean IoU over {SCENES} scenes: click {clicked:.3}, best of three {best_of_three:.3}, box {boxed:.3}"
    );
    assert!(
        clicked > 0.66 && best_of_three > 0.71 && boxed > 0.72,
        "{clicked} {best_of_three} {boxed}"
    );
}

#[test]
fn corrections_with_the_earlier_mask_as_input_do_not_lose_the_object() {
    let demo = Demo::new();
    let (mut first, mut second) = (0.0, 0.0);
    for seed in 0..30 {
        let scene = Scene::draw(seed);
        let image = demo.scene(&scene);
        for prompt in scene.prompts(seed, PROMPTS_PER_SCENE) {
            let truth = &scene.masks[prompt.object];
            let centre = prompt.click.map(|pixel| pixel + 0.5);
            let found = demo.predict(&image, click(&centre), true);
            let best = found.best_mask(0).unwrap();
            first += iou(&found, best, truth);
            let [x0, y0, x1, y1] = truth.bounds().unwrap().map(|corner| corner as f32);
            let refined = Prompt {
                mask_input: Some(found.logits(best).unwrap()),
                bounding_box: Some([x0, y0, x1, y1]),
                ..click(&centre)
            };
            second += iou(&demo.predict(&image, refined, false), 0, truth);
        }
    }
    assert!(second > first, "refined {second}, first click {first}");
}

/// The bytes of a pixel in some format.
type Arrange = fn(&[u8; 3]) -> Vec<u8>;

#[test]
fn one_picture_in_any_format_and_stride_gives_one_mask() {
    let demo = Demo::new();
    let scene = Scene::draw(7);
    let (width, height) = (scene.image.width, scene.image.height);
    let point = scene.prompts(7, 1)[0].click;
    let expected = demo.predict(&demo.scene(&scene), click(&point), true);
    let pixels = || scene.image.pixels.as_chunks::<3>().0.iter();
    let padded = |channels: usize, pixel: Arrange| {
        let stride = width * channels + 13;
        let mut data = vec![0xAB; stride * height];
        for (index, rgb) in pixels().enumerate() {
            let at = index / width * stride + index % width * channels;
            data[at..at + channels].copy_from_slice(&pixel(rgb));
        }
        (stride, data)
    };
    let forms: [(PixelFormat, usize, Arrange); 4] = [
        (PixelFormat::Rgb8, 3, |&[r, g, b]| vec![r, g, b]),
        (PixelFormat::Bgr8, 3, |&[r, g, b]| vec![b, g, r]),
        (PixelFormat::Rgba8, 4, |&[r, g, b]| vec![r, g, b, 7]),
        (PixelFormat::Bgra8, 4, |&[r, g, b]| vec![b, g, r, 99]),
    ];
    for (format, channels, pixel) in forms {
        let (stride, data) = padded(channels, pixel);
        // By its pixels it would be known, and nothing computed.
        let image = demo
            .image(format, (width as u32, height as u32), stride, &data)
            .with_content_id(format.to_string().as_bytes());
        let found = demo.predict(&image, click(&point), true);
        for index in 0..3 {
            assert_eq!(
                found.logits(index).unwrap(),
                expected.logits(index).unwrap(),
                "{format}"
            );
        }
    }
}

#[test]
fn images_from_one_pixel_to_a_hundred_megapixels_get_masks_of_their_size() {
    let demo = Demo::new();
    for (width, height) in [(1, 1), (1, 700), (3000, 17), (257, 255), (10_000, 10_000)] {
        let data: Vec<u8> = (0..width * height).map(|i| (i % 251) as u8).collect();
        let image = demo.image(
            PixelFormat::Gray8,
            (width as u32, height as u32),
            width,
            &data,
        );
        let point = [width as f32 / 2.0, height as f32 / 2.0];
        let found = demo.predict(&image, click(&point), false);
        let extent = found.extent(0).unwrap();
        let [_, _, x1, y1] = extent.bounding_box.corners();
        assert!(
            x1 as usize <= width && y1 as usize <= height,
            "{width}x{height}: {extent:?}"
        );
        assert_eq!(found.image_size, (width as u32, height as u32));
        let rle = found.mask(0).unwrap().rle();
        assert_eq!(rle.area(), extent.area);
        assert!(
            found
                .logits(0)
                .unwrap()
                .iter()
                .all(|logit| logit.is_finite())
        );
    }
}

#[test]
fn many_objects_in_one_call_are_those_of_single_calls() {
    let demo = Demo::new();
    let scene = Scene::draw(21);
    let image = demo.scene(&scene);
    let given = scene.prompts(21, 12);
    let points: Vec<[[f32; 2]; 2]> = given
        .iter()
        .map(|prompt| [prompt.click, [0.5, 0.5]])
        .collect();
    let prompts: Vec<Prompt<'_>> = given
        .iter()
        .zip(&points)
        .enumerate()
        .map(|(index, (prompt, points))| Prompt {
            points: &points[..index % 3],
            labels: &[1, 0][..index % 3],
            bounding_box: (index % 3 == 0 || index % 2 == 0).then_some(prompt.bounds),
            mask_input: None,
        })
        .collect();
    let together = predict(&demo.model, &image, &prompts, true).unwrap();
    assert_eq!((together.num_objects, together.num_masks()), (12, 36));
    for (object, prompt) in prompts.iter().enumerate() {
        let alone = demo.predict(&image, *prompt, true);
        for mask in 0..3 {
            let (a, b) = (
                together.logits(3 * object + mask).unwrap(),
                alone.logits(mask).unwrap(),
            );
            let apart = a
                .iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            let size = b.iter().map(|b| b.abs()).fold(1.0, f32::max);
            assert!(apart <= 1e-4 * size, "object {object}: {apart}");
        }
    }
}

/// Over 100 scenes the worst of 216 masks was at 0.995.
#[test]
fn bf16_finds_the_masks_of_fp32_or_says_that_the_processor_lacks_it() {
    let demo = Demo::new();
    let half = match Demo::in_precision(Precision::Bf16) {
        Ok(half) => half,
        Err(error) => {
            let text = error.to_string();
            assert!(!has_bf16() && text.contains("use fp32"), "{text}");
            return;
        }
    };
    let mut compared = 0;
    for seed in 2000..2000 + SCENES / 4 {
        let scene = Scene::draw(seed);
        let (image, image_half) = (demo.scene(&scene), half.scene(&scene));
        for given in scene.prompts(seed, PROMPTS_PER_SCENE) {
            let centre = given.click.map(|pixel| pixel + 0.5);
            let bounds = Prompt {
                bounding_box: Some(given.bounds),
                ..Prompt::default()
            };
            for (prompt, multimask) in [(click(&centre), true), (bounds, false)] {
                let full = demo.predict(&image, prompt, multimask);
                let best = full.best_mask(0).unwrap();
                if full.score(best).unwrap() < 0.9 {
                    continue; // no clear object
                }
                let pixels = full.bitmask(best).unwrap().pixels();
                let mask = Mask {
                    width: scene.image.width,
                    height: scene.image.height,
                    pixels: pixels.iter().map(|&on| on == 1).collect(),
                };
                let found = half.predict(&image_half, prompt, multimask);
                let iou = iou(&found, best, &mask);
                assert!(iou >= 0.98, "scene {seed}, {prompt:?}: {iou}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 30, "only {compared} clear objects");
}

#[cfg(target_arch = "x86_64")]
fn has_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bf16() -> bool {
    false
}
