//! Hosts that stop or wake their threads by signals, as garbage collectors and profilers do.
#![cfg(unix)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::model::{Model, Source};
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use sam_mm_scenes::Scene;

static HANDLED: AtomicU64 = AtomicU64::new(0);

/// Uses its stack, as handlers do.
extern "C" fn handle(_: libc::c_int) {
    let mut used = [0_u8; 512];
    std::hint::black_box(&mut used).fill(0xa5);
    std::hint::black_box(&used);
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Logits of one click on each of some scenes, which all have to be encoded.
fn clicks(model: &Model, context: &Arc<Context>) -> Vec<f32> {
    let scenes = (0..12).map(Scene::draw);
    let answers = scenes.flat_map(|scene| {
        let (width, height) = (scene.image.width as u32, scene.image.height as u32);
        let stride = 3 * scene.image.width;
        let pixels = &scene.image.pixels;
        let view = ImageView::new(PixelFormat::Rgb8, width, height, stride, pixels).unwrap();
        let image = RegisteredImage::new(context, &view).unwrap();
        let prompt = Prompt {
            points: &[[100.0, 120.0]],
            labels: &[1],
            ..Prompt::default()
        };
        let prediction = predict(model, &image, &[prompt], true).unwrap();
        prediction.logits(0).unwrap().to_vec()
    });
    answers.collect()
}

#[test]
fn signals_wait_for_the_end_of_an_operation_and_change_nothing_in_it() {
    let options = Options {
        device: DeviceRequest::Named(DeviceName::Cpu),
        backend_path: Some(common::plugin()),
        embedding_cache_bytes: 0,
        prediction_cache: sam_mm::cache::weighted_lru::Limits {
            entries: 0,
            bytes: 0,
        },
        ..Options::default()
    };
    let context = Arc::new(Context::new(options, None).unwrap());
    let model = Model::load(&context, Source::Demo, Precision::Fp32).unwrap();
    let undisturbed = clicks(&model, &context);

    // SAFETY: the handler only touches its own stack and an atomic.
    let former = unsafe { libc::signal(libc::SIGUSR1, handle as *const () as libc::sighandler_t) };
    assert_ne!(former, libc::SIG_ERR);
    // SAFETY: no arguments.
    let target = unsafe { libc::pthread_self() };
    let done = AtomicBool::new(false);
    let disturbed = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // SAFETY: the target waits for this thread before it ends.
                let sent = unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                assert_eq!(sent, 0);
                thread::sleep(Duration::from_micros(200));
            }
        });
        let disturbed = clicks(&model, &context);
        done.store(true, Ordering::Relaxed);
        disturbed
    });
    assert!(
        HANDLED.load(Ordering::Relaxed) > 0,
        "they were handled after all"
    );
    let largest = undisturbed.iter().zip(&disturbed);
    let largest = largest.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest <= 1e-4, "logits are off by {largest}");
}
