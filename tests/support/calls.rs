//! A device, a model and calls on them, as the tests of the wrappers need them.

use sam_mm::backend::{
    BackendError, Checkpoint, Device, DeviceOptions, Embedding, MaskBuffers, Model, Operation,
    PixelData, Pixels, Plan, Precision, Prompts, SearchOptions, open,
};

use super::fake_backend::FakeBackend;

pub const CELLS: usize = 64 * 64;

pub fn open_device(fake: &FakeBackend, device: &str) -> Device {
    let search = SearchOptions {
        explicit: Some(fake.path().to_owned()),
    };
    let options = DeviceOptions {
        device: device.parse().unwrap(),
        ..Default::default()
    };
    open(&search, &options).unwrap().device
}

pub fn load(device: &Device, checkpoint: &[u8]) -> Result<Model, BackendError> {
    device.load_model(
        Checkpoint::Bytes(checkpoint),
        "the test's",
        Precision::Fp32,
        &Operation::detached(),
    )
}

pub fn model_of(fake: &FakeBackend) -> Model {
    load(&open_device(fake, "cpu"), b"any").unwrap()
}

/// 4×2 pixels of an image of 400×200, in rows of 16 bytes.
pub const IMAGE: [u8; 28] = [
    10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    11, 12,
];

pub fn pixels(data: &[u8]) -> Pixels<'_> {
    Pixels {
        width: 4,
        height: 2,
        original_width: 400,
        original_height: 200,
        row_stride: 16,
        data: PixelData::U8(data),
    }
}

pub fn encode(model: &Model, operation: &Operation) -> Result<Embedding, BackendError> {
    model.encode(&pixels(&IMAGE), &Plan::DEFAULT, operation)
}

pub const ONE_CLICK: Prompts<'static> = Prompts {
    multimask: false,
    point_counts: &[1],
    points: &[100.0, 100.0],
    labels: &[1],
    has_box: &[],
    boxes: &[],
    has_mask: &[],
    masks: &[],
};

pub fn decode(
    model: &Model,
    embedding: &Embedding,
    prompts: &Prompts<'_>,
    operation: &Operation,
) -> Result<(Vec<f32>, Vec<f32>), BackendError> {
    let masks =
        prompts.point_counts.len() * model.info().masks_per_object(prompts.multimask) as usize;
    let (mut logits, mut scores) = (vec![0.0; masks * CELLS], vec![0.0; masks]);
    let mut buffers = MaskBuffers {
        logits: &mut logits,
        scores: &mut scores,
        object_scores: None,
    };
    model.decode(embedding, prompts, &Plan::DEFAULT, operation, &mut buffers)?;
    Ok((logits, scores))
}

pub fn detached() -> Operation {
    Operation::detached()
}
