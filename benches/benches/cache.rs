//! A prediction that had been made before, through the C API as a caller has it: `sam_predict` and freeing the result.
//!
//! The image has 12 megapixels and the logits of three masks take 768 KiB, so that copying either would show. `decoded`
//! is a prompt that was not asked before, on the fake backend of the tests, whose decoder is a formula.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use sam_mm::capi::{
    cache::*, context::*, image::*, model::*, predict::*, result::*, status::SAM_MM_OK,
};
use support::fake_backend::FakeBackend;

const SIZE: (u32, u32) = (4000, 3000);
const MODEL: &[u8] = b"fake-model\nmask_size=256\n";

/// A context, its model and an image of it.
struct Session {
    context: *mut sam_mm_context,
    model: *mut sam_mm_model,
    image: *mut sam_mm_image,
}

impl Session {
    fn new(fake: &FakeBackend) -> Self {
        let backend = CString::new(fake.path().to_str().unwrap()).unwrap();
        let pixels = vec![7_u8; (SIZE.0 * SIZE.1) as usize];
        let (mut context, mut model, mut image) = (null_mut(), null_mut(), null_mut());
        let options = sam_mm_options {
            backend_path: backend.as_ptr(),
            device: c"cpu".as_ptr(),
            ..defaults(sam_mm_options_init)
        };
        let checkpoint = sam_mm_model_options {
            data: MODEL.as_ptr().cast(),
            data_len: MODEL.len() as u64,
            ..defaults(sam_mm_model_options_init)
        };
        let desc = sam_mm_image_desc {
            format: SAM_MM_FORMAT_GRAY8,
            width: SIZE.0,
            height: SIZE.1,
            data: pixels.as_ptr(),
            data_len: pixels.len() as u64,
            ..defaults(sam_mm_image_desc_init)
        };
        // SAFETY: structs of their own size whose arrays live here, and valid places.
        unsafe {
            assert_eq!(sam_mm_init(&options, &mut context, null_mut()), SAM_MM_OK);
            let loaded = sam_mm_model_load(context, &checkpoint, &mut model, null_mut());
            assert_eq!(loaded, SAM_MM_OK);
            let created = sam_mm_image_create(context, &desc, &mut image, null_mut());
            assert_eq!(created, SAM_MM_OK);
        }
        Self {
            context,
            model,
            image,
        }
    }

    fn click(&self, point: [f32; 2]) {
        let prompt = sam_mm_prompt {
            num_points: 1,
            points: point.as_ptr(),
            labels: null(),
            ..defaults(sam_mm_prompt_init)
        };
        let request = sam_mm_predict_request {
            prompts: &prompt,
            num_prompts: 1,
            ..defaults(sam_mm_predict_request_init)
        };
        let mut result = null_mut();
        // SAFETY: structs of their own size whose arrays live here, and a valid place.
        let status =
            unsafe { sam_predict(self.model, self.image, &request, &mut result, null_mut()) };
        assert_eq!(status, SAM_MM_OK);
        sam_mm_result_free(result);
    }
}

impl Session {
    /// Bytes that the prediction cache holds, and in how many entries.
    fn predictions(&self) -> (u64, u64) {
        // SAFETY: all zeros are a value of the struct.
        let mut info: sam_mm_cache_info = unsafe { MaybeUninit::zeroed().assume_init() };
        info.struct_size = size_of::<sam_mm_cache_info>() as u32;
        // SAFETY: a struct of its own size.
        let status = unsafe {
            sam_mm_cache_describe(self.context, SAM_MM_CACHE_PREDICTION, &mut info, null_mut())
        };
        assert_eq!(status, SAM_MM_OK);
        (info.bytes, info.entries)
    }
}

/// Seconds of one call, the least of some rounds.
fn seconds(rounds: usize, calls: usize, mut call: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_secs_f64() / calls as f64
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}

/// One line of JSON: a hit against decoding anew, and what 50 predictions take against the full-size masks of them, three
/// bytes a pixel, that the original keeps.
fn summary(session: &Session) {
    let mut prompt = 0_u32;
    let decoded = seconds(5, 10, || {
        prompt += 1;
        session.click([(prompt % 4000) as f32, 5.0]);
    });
    let (bytes, entries) = session.predictions();
    assert_eq!(entries, 50, "as many as are kept by default");
    session.click([100.0, 100.0]);
    let hit = seconds(20, 5000, || session.click([100.0, 100.0]));
    let masks = 50 * 3 * u64::from(SIZE.0) * u64::from(SIZE.1);
    println!(
        "{{\"ratios\":{{\"prediction_hit_vs_fake_decode\":{:.6},\"prediction_cache_vs_full_masks\":{:.5}}},\
         \"prediction_hit_ns\":{:.0},\"bytes_of_50_predictions_12_megapixels\":{bytes}}}",
        hit / decoded,
        bytes as f64 / masks as f64,
        hit * 1e9
    );
}

/// A struct of the C API with its defaults.
fn defaults<T>(init: unsafe extern "C" fn(*mut T, u32) -> i32) -> T {
    let mut value = MaybeUninit::uninit();
    // SAFETY: as many bytes are writable as the struct has, and the function fills them all.
    unsafe {
        assert_eq!(init(value.as_mut_ptr(), size_of::<T>() as u32), SAM_MM_OK);
        value.assume_init()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        sam_mm_image_free(self.image);
        sam_mm_model_free(self.model);
        sam_mm_destroy(self.context);
    }
}

fn prediction(criterion: &mut Criterion) {
    let fake = FakeBackend::new();
    let session = Session::new(&fake);
    summary(&session);
    let mut group = criterion.benchmark_group("prediction_12_megapixels");
    group.bench_function("kept", |bencher| {
        bencher.iter(|| session.click([100.0, 100.0]));
    });
    group.sample_size(10);
    let mut x = 0;
    group.bench_function("decoded", |bencher| {
        bencher.iter(|| {
            x += 1;
            session.click([(x % 4000) as f32, (x / 4000) as f32]);
        });
    });
    group.finish();
}

criterion_group!(benches, prediction);
criterion_main!(benches);
