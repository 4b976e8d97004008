//! Everything in drawn scenes, with the demo model: how much of what is there is found.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options as ContextOptions};
use sam_mm::everything::{Everything, FoundMask, Options, Step, segment_everything};
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::model::{Model, Source};
use sam_mm::registered_image::RegisteredImage;
use sam_mm_scenes::{Mask, Scene};

const SCENES: u64 = 6;

fn load() -> Model {
    let options = ContextOptions {
        device: DeviceRequest::Named(DeviceName::Cpu),
        backend_path: Some(common::plugin()),
        ..ContextOptions::default()
    };
    let context = Arc::new(Context::new(options, None).unwrap());
    Model::load(&context, Source::Demo, Precision::Fp32).unwrap()
}

fn everything(model: &Model, scene: &Scene, options: &Options) -> Everything {
    let (width, height) = (scene.image.width, scene.image.height);
    let view = ImageView::new(
        PixelFormat::Rgb8,
        width as u32,
        height as u32,
        3 * width,
        &scene.image.pixels,
    );
    let image = RegisteredImage::new(model.context(), &view.unwrap()).unwrap();
    let mut go_on = |_: &Step<'_>| ControlFlow::Continue(());
    segment_everything(model, &image, options, &mut go_on).unwrap()
}

fn pixels(mask: &FoundMask) -> Vec<bool> {
    let drawn = mask.rle().unwrap().decode().unwrap();
    drawn.pixels().iter().map(|&on| on == 1).collect()
}

/// The best IoU that any found mask has with an object.
fn best(found: &[Vec<bool>], object: &Mask) -> f64 {
    let ious = found.iter().map(|mask| object.iou(mask));
    ious.fold(0.0, f64::max)
}

/// The official thresholds are made for models of another size, and let hardly a mask of the demo model pass. These were
/// chosen on scenes 3000 to 3005; on the ones here 21 of 22 objects are found, and 29 of 32 masks are of an object. The
/// bounds leave room for rounding on other machines.
#[test]
fn most_objects_of_drawn_scenes_are_found_and_most_masks_are_objects() {
    let model = load();
    let options = Options {
        points_per_side: 16,
        pred_iou_thresh: Some(0.7),
        stability_score_thresh: 0.5,
        ..Options::default()
    };
    let (mut objects, mut found, mut masks, mut right) = (0, 0, 0, 0);
    for seed in 4000..4000 + SCENES {
        let scene = Scene::draw(seed);
        let all = everything(&model, &scene, &options);
        let drawn: Vec<Vec<bool>> = all.masks.iter().map(pixels).collect();
        let seen: Vec<&Mask> = (scene.masks.iter())
            .filter(|object| object.pixels.contains(&true))
            .collect();
        objects += seen.len();
        found += (seen.iter())
            .filter(|object| best(&drawn, object) >= 0.5)
            .count();
        masks += drawn.len();
        right += (drawn.iter())
            .filter(|mask| seen.iter().any(|object| object.iou(mask) >= 0.5))
            .count();
    }
    println!("{found} of {objects} objects found; {right} of {masks} masks are of an object");
    assert!(10 * found >= 7 * objects, "{found} of {objects}");
    assert!(10 * right >= 8 * masks, "{right} of {masks}");
}
