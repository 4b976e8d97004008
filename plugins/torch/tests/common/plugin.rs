//! The plugin through the loader, as the library uses it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sam_mm::backend::{
    BackendError, Checkpoint, Device, DeviceName, Element, Embedding, MaskBuffers, Model,
    Operation, PixelData, Pixels, Plan, Plugin, Precision, Prompts, Resize, libtorch,
};

use sam_mm_backend_abi::sdk::DeviceConfig;

use super::formula;

/// Memory figures and limits are those of the process: tests that look at them take turns.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn plugin() -> Arc<Plugin> {
    Plugin::load(&super::plugin(), &libtorch::Settings::default()).unwrap()
}

/// The CPU with its allocator held to so many bytes; peaks start anew.
pub fn cpu(memory_limit_bytes: Option<u64>) -> Device {
    let config = DeviceConfig {
        memory_limit_bytes,
        ..DeviceConfig::new(DeviceName::Cpu)
    };
    Device::open(&plugin(), &config).unwrap()
}

/// `models/sam_demo.safetensors`.
pub fn demo_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/sam_demo.safetensors")
}

/// `models/sam2_demo.safetensors`: SAM 2 with random weights.
pub fn sam2_demo_path() -> PathBuf {
    demo_path().with_file_name("sam2_demo.safetensors")
}

pub fn demo_bytes() -> Vec<u8> {
    std::fs::read(demo_path()).unwrap()
}

pub fn load(device: &Device, checkpoint: Checkpoint<'_>) -> Result<Model, BackendError> {
    load_in(device, checkpoint, Precision::Fp32)
}

pub fn load_in(
    device: &Device,
    checkpoint: Checkpoint<'_>,
    precision: Precision,
) -> Result<Model, BackendError> {
    let operation = Operation::detached();
    device.load_model(checkpoint, "the test's", precision, &operation)
}

/// Encodes the image of the formula: three quarters as high as the model's input is wide, or for a model that stretches
/// images as large as its input.
pub fn encode(
    model: &Model,
    plan: &Plan,
    operation: &Operation,
) -> Result<Embedding, BackendError> {
    let info = model.info();
    let width = info.input_size;
    let height = match info.resize {
        Resize::LongestSide => width * 3 / 4,
        Resize::Stretch => width,
    };
    let rgb = formula::image(i64::from(width), i64::from(height));
    let values: Vec<f32> = rgb.iter().map(|&value| f32::from(value) / 255.0).collect();
    let pixels = Pixels {
        width,
        height,
        original_width: 2 * width,
        original_height: 2 * height,
        row_stride: 3 * width as usize,
        data: match info.input_element {
            Element::U8 => PixelData::U8(&rgb),
            Element::F32 => PixelData::F32(&values),
        },
    };
    model.encode(&pixels, plan, operation)
}

/// The logits and scores of `objects` clicks, three masks each.
pub fn decode(
    model: &Model,
    embedding: &Embedding,
    objects: usize,
    operation: &Operation,
) -> Result<(Vec<f32>, Vec<f32>), BackendError> {
    decode_in(model, embedding, objects, Precision::Fp32, operation)
}

/// [`decode`] with a model of that precision.
pub fn decode_in(
    model: &Model,
    embedding: &Embedding,
    objects: usize,
    precision: Precision,
    operation: &Operation,
) -> Result<(Vec<f32>, Vec<f32>), BackendError> {
    let info = model.info();
    let side = info.mask_size as usize;
    let masks = objects * info.multimask_count as usize;
    let span = info.input_size as f32;
    let points: Vec<f32> = (0..objects)
        .flat_map(|object| [span * (0.2 + 0.05 * object as f32), span * 0.6])
        .collect();
    let prompts = Prompts {
        multimask: true,
        point_counts: &vec![1; objects],
        points: &points,
        labels: &vec![1; objects],
        ..Default::default()
    };
    let (mut logits, mut scores) = (vec![f32::NAN; masks * side * side], vec![f32::NAN; masks]);
    let mut buffers = MaskBuffers {
        logits: &mut logits,
        scores: &mut scores,
        object_scores: None,
    };
    let plan = Plan {
        precision,
        ..Plan::DEFAULT
    };
    model.decode(embedding, &prompts, &plan, operation, &mut buffers)?;
    Ok((logits, scores))
}

/// Bytes of live tensors, and the most there have been since the device was opened.
pub fn allocated(device: &Device) -> (u64, u64) {
    let info = device.mem_info().unwrap();
    (
        info.allocator.unwrap().allocated,
        info.peak_allocated.unwrap(),
    )
}
