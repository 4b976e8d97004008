//! From the caller's pixels to the model's input, 1800 × 1200.

use criterion::{Criterion, criterion_group, criterion_main};
use sam_mm::image::{Image, ImageView, PixelFormat, ResizeMode, SampleType, preprocess};
use std::hint::black_box;

fn from_pixels_to_input(criterion: &mut Criterion) {
    let (width, height) = (1800, 1200);
    let pixels: Vec<u8> = (0u32..width * height * 4)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    let view = ImageView::new(
        PixelFormat::Bgra8,
        width,
        height,
        width as usize * 4,
        &pixels,
    )
    .unwrap();
    let image = Image::from_view(&view).unwrap();

    let mut group = criterion.benchmark_group("image_1800x1200");
    group.bench_function("copy_bgra", |bencher| {
        bencher.iter(|| Image::from_view(black_box(&view)));
    });
    group.bench_function("copy_bgra_and_key", |bencher| {
        bencher.iter(|| Image::from_view(black_box(&view)).unwrap().key());
    });
    group.bench_function("preprocess_sam", |bencher| {
        bencher.iter(|| preprocess(&image, ResizeMode::LongestSide, SampleType::U8, 1024));
    });
    group.bench_function("preprocess_sam2", |bencher| {
        bencher.iter(|| preprocess(&image, ResizeMode::Stretch, SampleType::F32, 1024));
    });
    group.finish();
}

criterion_group!(benches, from_pixels_to_input);
criterion_main!(benches);
