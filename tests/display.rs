//! Images for the screen in a context: made once, kept while there is room, and never torn from their scaling.

use std::sync::{Arc, Barrier};

use sam_mm::cache::weighted_lru::Limits;
use sam_mm::context::{Context, Options};
use sam_mm::display::process;
use sam_mm::image::display::{DisplayImage, ScalingOptions};
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::memory::analytics::Cache;
use sam_mm::memory::config::MemoryOptions;
use sam_mm::memory::manager::IMAGE_CACHE;
use sam_mm::memory::status::Tier;
use sam_mm::registered_image::RegisteredImage;

const WIDTH: u32 = 60;
const HEIGHT: u32 = 40;

/// A context whose host memory never counts as full, or always.
fn context_with(image_cache: Limits, host_threshold: f64) -> Arc<Context> {
    let options = Options {
        image_cache,
        memory: MemoryOptions {
            host_threshold: Some(host_threshold),
            ..MemoryOptions::default()
        },
        ..Options::default()
    };
    Arc::new(Context::new(options, None).unwrap())
}

fn context() -> Arc<Context> {
    context_with(Options::default().image_cache, 1.0)
}

fn image_of(context: &Arc<Context>, size: (u32, u32), pixels: &[u8]) -> RegisteredImage {
    let (width, height) = size;
    let view = ImageView::new(PixelFormat::Rgb8, width, height, width as usize * 3, pixels);
    RegisteredImage::new(context, &view.unwrap()).unwrap()
}

/// An image of one gray.
fn image(context: &Arc<Context>, gray: u8) -> RegisteredImage {
    let pixels = vec![gray; (WIDTH * HEIGHT * 3) as usize];
    image_of(context, (WIDTH, HEIGHT), &pixels)
}

/// At half its size, so that tests are quick.
const HALF: fn() -> ScalingOptions = || ScalingOptions {
    target_size: WIDTH / 2,
    min_size: 0,
    ..ScalingOptions::default()
};

fn half(image: &RegisteredImage) -> Arc<DisplayImage> {
    process(image, &HALF()).unwrap()
}

fn hits_and_misses(context: &Context) -> (u64, u64) {
    let look_ups = context.memory().analytics().lookups(Cache::Image);
    (look_ups.hits, look_ups.misses)
}

fn held_by_images(context: &Context) -> u64 {
    let shares = context.memory().shares();
    let share = shares.iter().find(|share| share.name == IMAGE_CACHE);
    share.expect("the image cache is a consumer").bytes
}

#[test]
fn an_image_is_processed_once_also_for_another_handle_of_the_same_picture() {
    let context = context();
    let first = image(&context, 7);
    let display = half(&first);
    assert!(Arc::ptr_eq(&display, &half(&first)));
    drop(first);
    assert!(Arc::ptr_eq(&display, &half(&image(&context, 7))));
    assert_eq!(hits_and_misses(&context), (2, 1));
    assert!(!Arc::ptr_eq(&display, &half(&image(&context, 8))));
}

#[test]
fn defect_7_the_same_bytes_in_another_shape_are_another_image() {
    let context = context();
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT * 3)
        .map(|index| (index * 37 % 251) as u8)
        .collect();
    let wide = half(&image_of(&context, (WIDTH, HEIGHT), &pixels));
    let tall = half(&image_of(&context, (HEIGHT, WIDTH), &pixels));
    assert_eq!(wide.scaling().display_size(), (30, 20));
    assert_eq!(tall.scaling().display_size(), (20, 30));
    assert_eq!(hits_and_misses(&context), (0, 2));
}

#[test]
fn defect_12_pixels_and_scaling_are_found_together_or_not_at_all() {
    let context = context_with(
        Limits {
            entries: 1,
            bytes: u64::MAX,
        },
        1.0,
    );
    let first = image(&context, 1);
    let held = half(&first);
    // Evicts the first, which is held all the same.
    half(&image(&context, 2));
    let again = half(&first);
    assert!(Arc::ptr_eq(&held, &again));
    assert_eq!(again.scaling().original_size(), (WIDTH, HEIGHT));
    assert_eq!(again.pixels().len(), 30 * 20 * 3);
}

#[test]
fn defect_12_a_hit_has_the_scale_of_its_own_image_and_options() {
    let context = context();
    let (a, b) = (
        image(&context, 1),
        image_of(&context, (90, 30), &[5; 90 * 30 * 3]),
    );
    for _ in 0..2 {
        assert_eq!(half(&a).scaling().factors(), (0.5, 0.5));
        assert_eq!(half(&b).scaling().factors(), (30.0 / 90.0, 10.0 / 30.0));
        let double = ScalingOptions {
            target_size: 2 * WIDTH,
            min_size: 0,
            ..ScalingOptions::default()
        };
        assert_eq!(
            process(&a, &double).unwrap().scaling().factors(),
            (2.0, 2.0)
        );
    }
    assert_eq!(hits_and_misses(&context), (3, 3));
}

#[test]
fn ten_images_are_kept_and_the_least_recently_used_goes_first() {
    let context = context();
    let images: Vec<_> = (0..11).map(|gray| image(&context, gray)).collect();
    for image in &images[..10] {
        half(image);
    }
    half(&images[0]);
    half(&images[10]);
    assert_eq!(context.images().len(), 10);
    let (hits, misses) = hits_and_misses(&context);
    half(&images[0]);
    assert_eq!(hits_and_misses(&context), (hits + 1, misses));
    half(&images[1]);
    assert_eq!(hits_and_misses(&context), (hits + 1, misses + 1));
}

#[test]
fn defect_10_an_image_above_the_byte_budget_is_given_out_but_not_kept_and_evicts_nobody() {
    let context = context_with(
        Limits {
            entries: 10,
            bytes: 4000,
        },
        1.0,
    );
    let small = image(&context, 1);
    half(&small);
    let kept = context.images().bytes();
    assert!((1800..4000).contains(&kept), "{kept}");
    let full = ScalingOptions {
        target_size: WIDTH,
        min_size: 0,
        ..ScalingOptions::default()
    };
    let display = process(&small, &full).unwrap();
    assert_eq!(display.pixels().len(), 60 * 40 * 3);
    assert_eq!(
        (context.images().bytes(), context.images().len()),
        (kept, 1)
    );
}

#[test]
fn what_is_kept_is_given_back_when_memory_is_asked_for_except_what_somebody_holds() {
    let context = context();
    let held = half(&image(&context, 1));
    half(&image(&context, 2));
    let both = held_by_images(&context);
    assert_eq!(both, context.images().bytes());
    let released = context.memory().consumers().release(Tier::Host, u64::MAX);
    let by_images = released.iter().find(|share| share.name == IMAGE_CACHE);
    assert_eq!(by_images.unwrap().bytes, both / 2);
    assert_eq!(held_by_images(&context), both / 2);
    assert!(Arc::ptr_eq(&held, &half(&image(&context, 1))));
}

#[test]
fn optimizing_by_force_and_the_monitor_drop_what_nobody_holds() {
    let context = context();
    half(&image(&context, 1));
    assert!(context.optimize(true).optimized.freed() > 0);
    assert_eq!(held_by_images(&context), 0);
    half(&image(&context, 1));
    // What the monitor does above its threshold.
    assert!(context.memory().consumers().clear(IMAGE_CACHE) > 0);
    assert_eq!(held_by_images(&context), 0);
}

#[test]
fn what_is_released_is_made_again_with_the_same_pixels() {
    let context = context();
    let picture: Vec<u8> = (0..WIDTH * HEIGHT * 3)
        .map(|index| (index * 31 % 253) as u8)
        .collect();
    let image = image_of(&context, (WIDTH, HEIGHT), &picture);
    let before = half(&image).pixels().to_vec();
    assert!(context.images().clear() > 0);
    assert_eq!(half(&image).pixels(), before);
    assert_eq!(hits_and_misses(&context), (0, 2));
}

#[test]
fn nothing_is_kept_on_a_host_that_is_full() {
    let context = context_with(Options::default().image_cache, 0.0);
    let image = image(&context, 1);
    let held = half(&image);
    assert_eq!((context.images().len(), held_by_images(&context)), (0, 0));
    assert!(Arc::ptr_eq(&held, &half(&image)), "found while it is held");
    drop(held);
    half(&image);
    assert_eq!(hits_and_misses(&context), (1, 2));
}

#[test]
fn an_image_that_was_evicted_while_it_was_held_is_kept_again_when_it_is_asked_for() {
    let context = context();
    let image = image(&context, 1);
    let held = half(&image);
    context.images().clear();
    assert!(Arc::ptr_eq(&held, &half(&image)));
    drop(held);
    assert_eq!(context.images().len(), 1);
}

#[test]
fn ten_threads_that_ask_for_one_image_process_it_once() {
    let context = context();
    // Large enough that all of them ask before the first is done.
    let image = image_of(&context, (2000, 1500), &vec![1; 2000 * 1500 * 3]);
    let barrier = Barrier::new(10);
    let displays: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    half(&image)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        displays
            .iter()
            .all(|display| Arc::ptr_eq(display, &displays[0]))
    );
    assert_eq!(hits_and_misses(&context), (9, 1));
}
