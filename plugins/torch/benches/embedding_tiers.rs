//! Coming back to an image of 6 megapixels with MobileSAM on the CPU: from memory, from disk, and encoding it anew.
//!
//! `cargo xtask bench-tiers`. The weights are those of a formula in the official layout: what they are does not matter for
//! speed. Prints one line of JSON; `ratios.disk_hit_vs_vit_t_encode` is how many times as fast as encoding the disk is.

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::cache::embedding::Key;
use sam_mm::context::{Context, Options};
use sam_mm::embeddings::disk::DiskOptions;
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::model::{Model, Source};
use sam_mm::predictor::encode;
use sam_mm::registered_image::RegisteredImage;

const SIZE: (u32, u32) = (3000, 2000);
const ROUNDS: usize = 15;

fn main() {
    // Of a test run this is not a part.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let options = Options {
        device: DeviceRequest::Named(DeviceName::Cpu),
        backend_path: Some(common::plugin()),
        embedding_disk: Some(DiskOptions {
            folder: folder.path().to_owned(),
            limits: DiskOptions::LIMITS,
        }),
        ..Options::default()
    };
    let context = Arc::new(Context::new(options, None).expect("the options are good"));
    let weights = common::golden::Golden::open("mobile_sam").checkpoint_bytes();
    let model = Model::load(&context, Source::Bytes(&weights), Precision::Fp32);
    let model = model.expect("the plugin loads MobileSAM");

    let picture = |round: usize| -> Vec<u8> {
        let bytes = 3 * SIZE.0 as usize * SIZE.1 as usize;
        let pixel = |i: usize| (i / 7 + round * 31) as u8 ^ (i >> 12) as u8;
        (0..bytes).map(pixel).collect()
    };
    let pictures: Vec<Vec<u8>> = (0..ROUNDS).map(picture).collect();
    let register = |pixels: &[u8]| {
        let stride = 3 * SIZE.0 as usize;
        let view = ImageView::new(PixelFormat::Rgb8, SIZE.0, SIZE.1, stride, pixels);
        RegisteredImage::new(&context, &view.expect("as large as it says"))
            .expect("there is memory for the picture")
    };
    let have = |image: &RegisteredImage| drop(encode(&model, image).expect("it is encoded"));

    let mut milliseconds = BTreeMap::new();
    let images: Vec<_> = pictures.iter().map(|pixels| register(pixels)).collect();
    // MD5 beside resizing, then the encoder: what the first look at an image costs. The key alone costs this:
    let keys = median(images.iter().map(|image| {
        timed(|| {
            black_box(image.key());
        })
    }));
    milliseconds.insert("md5", keys);
    have(&images[0]);
    let encoded = median(images[1..].iter().map(|image| timed(|| have(image))));
    milliseconds.insert("encode", encoded);
    context.embeddings().flush();

    let kept = median(images.iter().map(|image| timed(|| have(image))));
    milliseconds.insert("handle_kept", kept);
    let again = pictures.iter().map(|pixels| register(pixels));
    let again: Vec<_> = again.collect();
    let new_pixels = median(again.iter().map(|image| timed(|| have(image))));
    milliseconds.insert("new_pixels", new_pixels);

    let from_disk = images.iter().map(|image| {
        context.embeddings().clear(None);
        let key = Key {
            image: image.key(),
            model: model.id(),
        };
        assert!(context.embeddings().live(key).is_none());
        timed(|| have(image))
    });
    let disk = median(from_disk);
    milliseconds.insert("disk_hit", disk);
    let lookups = context
        .memory()
        .analytics()
        .lookups(sam_mm::memory::analytics::Cache::Embedding);
    assert_eq!(lookups.misses, ROUNDS as u64, "all others were found");

    let ratios = BTreeMap::from([("disk_hit_vs_vit_t_encode", encoded / disk)]);
    println!(
        "{}",
        serde_json::json!({"ratios": ratios, "milliseconds": milliseconds})
    );
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
