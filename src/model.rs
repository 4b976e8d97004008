//! A model loaded onto a context's device.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::{self, Attention, Checkpoint, Element, ModelInfo, Plan, Precision, Resize};
use crate::context::Context;
use crate::error::Error;
use crate::image::{Image, ModelInput, ResizeMode, SampleType, preprocess, resized_size};
use crate::mask::{Geometry, Upsampler};

/// The demo model: the SAM architecture in small, trained on drawn scenes. See models/README.md.
pub static DEMO_MODEL: &[u8] = include_bytes!("../models/sam_demo.safetensors");

/// Where a model comes from.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// A checkpoint file.
    File(PathBuf),
    /// The bytes of one.
    Bytes(&'a [u8]),
    /// The demo model that is built in.
    Demo,
}

/// A model on a device. Used from many threads at once, which take turns.
pub struct Model {
    context: Arc<Context>,
    id: u64,
    name: String,
    precision: Precision,
    device_name: String,
    model: backend::Model,
    /// Held while an image is encoded, so that threads asking for the same image encode it once.
    encoding: Mutex<()>,
}

impl Model {
    /// Loads a model onto the device of a context.
    pub fn load(
        context: &Arc<Context>,
        source: Source<'_>,
        precision: Precision,
    ) -> Result<Self, Error> {
        let runtime = context.runtime()?;
        let (checkpoint, name) = match &source {
            Source::File(path) => (Checkpoint::File(path), path.to_string_lossy().into_owned()),
            Source::Bytes(bytes) => (
                Checkpoint::Bytes(bytes),
                format!("a checkpoint of {} bytes in memory", bytes.len()),
            ),
            Source::Demo => (
                Checkpoint::Bytes(DEMO_MODEL),
                "the built-in demo model".to_owned(),
            ),
        };
        let model =
            runtime
                .device()
                .load_model(checkpoint, &name, precision, &context.operation())?;
        Ok(Self {
            context: Arc::clone(context),
            id: context.fresh_id(),
            name,
            precision,
            device_name: runtime.device_name().to_owned(),
            model,
            encoding: Mutex::new(()),
        })
    }

    /// The context.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Its number within the context, never used twice.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it was loaded from.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Precision of the weights.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The device it is on.
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// What it is and needs.
    pub fn info(&self) -> Arc<ModelInfo> {
        self.model.info()
    }

    /// How an image of this size is brought to the model's input, and from there back to its own size.
    pub(crate) fn upsampler(&self, (width, height): (u32, u32)) -> Result<Upsampler, Error> {
        let info = self.info();
        let geometry = match info.resize {
            Resize::LongestSide => {
                let (resized_width, resized_height) =
                    resized_size(width, height, ResizeMode::LongestSide, info.input_size);
                Geometry::LongestSide {
                    input_size: info.input_size,
                    resized_width,
                    resized_height,
                }
            }
            Resize::Stretch => Geometry::Stretch,
        };
        Ok(Upsampler::new(info.mask_size, geometry, width, height)?)
    }

    /// An image as the model's encoder takes it.
    pub(crate) fn input(&self, image: &Image) -> Result<ModelInput, Error> {
        let info = self.info();
        let mode = match info.resize {
            Resize::LongestSide => ResizeMode::LongestSide,
            Resize::Stretch => ResizeMode::Stretch,
        };
        let samples = match info.input_element {
            Element::U8 => SampleType::U8,
            Element::F32 => SampleType::F32,
        };
        Ok(preprocess(image, mode, samples, info.input_size)?)
    }

    /// How its operations are run.
    pub(crate) fn plan(&self, num_objects: u32) -> Plan {
        Plan {
            attention: Attention::Full,
            precision: self.precision,
            num_objects,
        }
    }

    /// The backend's side of it.
    pub(crate) fn backend(&self) -> &backend::Model {
        &self.model
    }

    /// Waits for a turn to encode.
    pub(crate) fn encoding_turn(&self) -> MutexGuard<'_, ()> {
        self.encoding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.context
            .embeddings()
            .remove_where(|key| key.model == self.id);
    }
}
