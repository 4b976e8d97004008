//! A whole backend in safe Rust: the mask of a point is where the image is at least as bright as at that point.
//!
//! It knows nothing of neural networks, but keeps the contract in full. As a plugin:
//! `cargo build -p sam-mm-backend-abi --example sam_mm_threshold` makes `libsam_mm_threshold.so`.
#![allow(missing_docs)]

use sam_mm_backend_abi::sdk::{
    AllocatorMemory, Backend, BackendError, Checkpoint, CheckpointSource, Device, DeviceConfig,
    DeviceName, Element, Embedding, Estimate, LogLevel, MasksMut, MemInfo, Model, ModelInfo,
    ObjectPrompt, Operation, PixelData, Pixels, Plan, Precision, Probe, Prompts, Resize, Result,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

sam_mm_backend_abi::export_backend!(Threshold);

const INPUT_SIZE: u32 = 64;
const MASK_SIZE: u32 = 32;
const CELLS: usize = (MASK_SIZE * MASK_SIZE) as usize;
/// Cells of one brightness map, as bytes.
const EXPORT_LEN: usize = CELLS * size_of::<f32>();
/// Added to the brightness per mask of a multimask answer: each mask is a little larger than the one before.
const SLACK: [f32; 3] = [0.0, 0.1, 0.2];

pub struct Threshold;

impl Backend for Threshold {
    type Device = Processor;
    const NAME: &'static str = "threshold";
    const VERSION: &'static str = "1.0";

    fn probe(device: DeviceName) -> Result<Probe> {
        Ok(match device {
            DeviceName::Cpu => Probe {
                score: 1,
                reason: "runs anywhere".into(),
            },
            other => Probe {
                score: 0,
                reason: format!("there is no code for {other}; use \"cpu\""),
            },
        })
    }

    fn open(config: &DeviceConfig) -> Result<Processor> {
        match config.device {
            DeviceName::Cpu => Ok(Processor {
                live_bytes: Arc::default(),
            }),
            other => Err(BackendError::device_unavailable(format!(
                "{other} is not supported; use \"cpu\""
            ))),
        }
    }
}

pub struct Processor {
    live_bytes: Arc<AtomicU64>,
}

impl Device for Processor {
    type Model = Bright;

    fn mem_info(&self) -> Result<MemInfo> {
        let allocated = self.live_bytes.load(Ordering::Relaxed);
        Ok(MemInfo {
            allocator: Some(AllocatorMemory {
                allocated,
                reserved: allocated,
            }),
            ..Default::default()
        })
    }

    fn trim(&self) -> Result<u64> {
        Ok(0)
    }

    fn load_model(&self, checkpoint: &Checkpoint<'_>, operation: &Operation<'_>) -> Result<Bright> {
        if let CheckpointSource::Path(path) = checkpoint.source {
            std::fs::metadata(path)
                .map_err(|error| BackendError::io(format!("{}: {error}", checkpoint.name)))?;
        }
        single_precision(checkpoint.precision)?;
        operation.log(
            LogLevel::Info,
            &format!(
                "{} is not looked at: this model has no weights",
                checkpoint.name
            ),
        );
        Ok(Bright {
            live_bytes: Arc::clone(&self.live_bytes),
        })
    }
}

/// The model: nothing to learn.
pub struct Bright {
    live_bytes: Arc<AtomicU64>,
}

impl Bright {
    fn map(&self, cells: Vec<f32>, extent: [f32; 2]) -> Brightness {
        let live_bytes = Arc::clone(&self.live_bytes);
        live_bytes.fetch_add(EXPORT_LEN as u64, Ordering::Relaxed);
        Brightness {
            cells,
            extent,
            live_bytes,
        }
    }
}

fn single_precision(precision: Precision) -> Result<()> {
    match precision {
        Precision::Fp32 => Ok(()),
        other => Err(BackendError::unsupported(format!(
            "this model computes in fp32 only, not in {other}"
        ))),
    }
}

impl Model for Bright {
    type Embedding = Brightness;

    fn info(&self) -> ModelInfo {
        ModelInfo {
            family: "threshold".into(),
            variant: format!("{INPUT_SIZE} pixels"),
            resize: Resize::LongestSide,
            input_size: INPUT_SIZE,
            input_element: Element::U8,
            mask_size: MASK_SIZE,
            multimask_count: SLACK.len() as u32,
            parameters: 0,
            embedding_bytes: EXPORT_LEN as u64,
            weight_bytes: 0,
            precision_change_bytes: None,
        }
    }

    fn set_precision(&mut self, precision: Precision, _: &Operation<'_>) -> Result<()> {
        single_precision(precision)
    }

    fn estimate(&self, plan: &Plan) -> Result<Estimate> {
        single_precision(plan.precision)?;
        Ok(Estimate {
            embedding_bytes: EXPORT_LEN as u64,
            ..Default::default()
        })
    }

    fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        plan: &Plan,
        operation: &Operation<'_>,
    ) -> Result<Brightness> {
        single_precision(plan.precision)?;
        operation.check_cancelled()?;
        operation.before_allocate(EXPORT_LEN as u64)?;
        let PixelData::U8(_) = pixels.data else {
            unreachable!("the SDK hands over what `info` asks for")
        };
        let scale = (INPUT_SIZE / MASK_SIZE) as usize;
        let mut cells = vec![0.0; CELLS];
        for (y, row) in pixels
            .rows_u8()
            .into_iter()
            .flatten()
            .enumerate()
            .step_by(scale)
        {
            for (x, rgb) in row.chunks_exact(3).enumerate().step_by(scale) {
                let sum: f32 = rgb.iter().map(|&channel| f32::from(channel)).sum();
                cells[y / scale * MASK_SIZE as usize + x / scale] = sum / (3.0 * 255.0);
            }
        }
        // Cells per pixel of the original image: the longer side fills the input.
        let longest = pixels.original_width.max(pixels.original_height) as f32;
        Ok(self.map(cells, [MASK_SIZE as f32 / longest; 2]))
    }

    fn decode(
        &mut self,
        embedding: &Brightness,
        prompts: &Prompts<'_>,
        plan: &Plan,
        operation: &Operation<'_>,
        masks: &mut MasksMut<'_>,
    ) -> Result<()> {
        single_precision(plan.precision)?;
        for (object, prompt) in prompts.objects.iter().enumerate() {
            operation.check_cancelled()?;
            let seed = embedding.seed(prompt);
            for (mask, slack) in SLACK
                .iter()
                .enumerate()
                .take(masks.masks_per_object as usize)
            {
                let bar = seed - slack;
                let logits = masks.mask_mut(object, mask);
                for (index, (logit, brightness)) in
                    logits.iter_mut().zip(&embedding.cells).enumerate()
                {
                    let earlier = prompt.mask.map_or(0.0, |mask| mask[index].clamp(-1.0, 1.0));
                    // Exactly at the bar counts as inside; a mask is where logits exceed 0.
                    *logit = brightness - bar + 1e-3 + 0.1 * earlier;
                }
                *masks.score_mut(object, mask) = 1.0 - slack;
            }
        }
        Ok(())
    }

    fn import_embedding(&mut self, bytes: &[u8], _: &Operation<'_>) -> Result<Brightness> {
        let (magic, rest) = bytes.split_at_checked(MAGIC.len()).unwrap_or_default();
        if magic != MAGIC || rest.len() != EXPORT_LEN + 8 {
            return Err(BackendError::invalid_argument(format!(
                "these {} bytes are no exported embedding of this model",
                bytes.len()
            )));
        }
        let mut floats = rest
            .chunks_exact(4)
            .map(|raw| f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]));
        let extent = [floats.next().unwrap_or(0.0), floats.next().unwrap_or(0.0)];
        Ok(self.map(floats.collect(), extent))
    }
}

const MAGIC: &[u8] = b"threshold/1\0";

/// The brightness of each cell, 0–1.
pub struct Brightness {
    cells: Vec<f32>,
    /// Cells per pixel of the original image, across and down.
    extent: [f32; 2],
    live_bytes: Arc<AtomicU64>,
}

impl Brightness {
    /// Brightness at the foreground points (the darkest of them), or at the middle of the box.
    fn seed(&self, prompt: &ObjectPrompt<'_>) -> f32 {
        let middle = prompt
            .bbox
            .map(|[x0, y0, x1, y1]| [(x0 + x1) / 2.0, (y0 + y1) / 2.0]);
        let foreground = prompt
            .points
            .iter()
            .zip(prompt.labels)
            .filter(|(_, label)| **label == 1);
        foreground
            .map(|(&point, _)| point)
            .chain(middle)
            .map(|point| self.at(point))
            .fold(1.0, f32::min)
    }

    fn at(&self, point: [f32; 2]) -> f32 {
        let cell = |axis: usize| {
            (point[axis] * self.extent[axis]).clamp(0.0, (MASK_SIZE - 1) as f32) as usize
        };
        self.cells[cell(1) * MASK_SIZE as usize + cell(0)]
    }
}

impl Drop for Brightness {
    fn drop(&mut self) {
        self.live_bytes
            .fetch_sub(EXPORT_LEN as u64, Ordering::Relaxed);
    }
}

impl Embedding for Brightness {
    fn device_bytes(&self) -> u64 {
        EXPORT_LEN as u64
    }

    fn export_len(&self) -> usize {
        MAGIC.len() + 8 + EXPORT_LEN
    }

    fn export(&self, buffer: &mut [u8]) -> Result<()> {
        let floats = self
            .extent
            .iter()
            .chain(&self.cells)
            .flat_map(|value| value.to_le_bytes());
        for (slot, byte) in buffer.iter_mut().zip(MAGIC.iter().copied().chain(floats)) {
            *slot = byte;
        }
        Ok(())
    }
}
