//! A model loaded onto a context's device.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::backend::{Checkpoint, Device, Element, ModelInfo, Precision, Resize};
use crate::callback::refuse_inside;
use crate::context::Context;
use crate::embeddings::disk::{Contents, DiskModel, backend_key};
use crate::error::Error;
use crate::image::{Image, ImageKey, ModelInput, ResizeMode, SampleType, preprocess, resized_size};
use crate::jobs::orders::{Orders, Oversight};
use crate::jobs::progress::Stage;
use crate::jobs::turnstile::{Errand, Turn};
use crate::mask::{Geometry, Upsampler};
use crate::memory::execute::foresee;
use crate::memory::plan::{Abilities, Candidate, Way, Work, ways};
use crate::memory::status::Tier;
use crate::placement::Placement;

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

/// What a model can be loaded from once more. Bytes in memory are their owner's, who may have freed them.
enum Reloadable {
    File(PathBuf),
    Demo,
    No,
}

/// A model on a device. Used from many threads at once, which take turns ([`Context::turnstile`]).
pub struct Model {
    context: Arc<Context>,
    id: u64,
    name: String,
    /// What its owner asked for; short of memory it may be run in another.
    precision: Precision,
    device_name: String,
    reloadable: Reloadable,
    primary: Arc<Placement>,
    /// The same model on the CPU beside the GPU, loaded when something has to run there.
    fallback: Mutex<Option<Arc<Placement>>>,
    /// How often the backend asked whether to go on when it encoded last; see
    /// [`Ticks`](crate::jobs::orders::Ticks).
    pub(crate) ticks_to_encode: AtomicU32,
    /// The last one made: it depends on the size of the image alone, and images of a set often share theirs.
    upsampler: Mutex<Option<Arc<Upsampler>>>,
}

impl Model {
    /// Loads a model onto the device of a context.
    pub fn load(
        context: &Arc<Context>,
        source: Source<'_>,
        precision: Precision,
    ) -> Result<Self, Error> {
        Self::load_with(context, source, precision, &Orders::default())
    }

    /// [`load`](Self::load) with orders.
    pub fn load_with(
        context: &Arc<Context>,
        source: Source<'_>,
        precision: Precision,
        orders: &Orders,
    ) -> Result<Self, Error> {
        refuse_inside("loading a model")?;
        orders.enter(Stage::Loading, 0.0)?;
        let runtime = context.runtime()?;
        orders.enter(Stage::Loading, 0.1)?;
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
        let tier = if context.memory().has_device() {
            Tier::Device
        } else {
            Tier::Host
        };
        let contents = contents_of(context, &source);
        let start = Instant::now();
        let operation = context.operation(tier, Oversight::of(orders));
        let loaded = runtime
            .device()
            .load_model(checkpoint, &name, precision, &operation);
        // What came too late is not kept either.
        orders.cancel.check()?;
        let model = loaded?;
        context.log().debug(|| {
            let (info, device) = (model.info(), runtime.device_name());
            let milliseconds = start.elapsed().as_secs_f64() * 1e3;
            format!(
                "loaded {name} on {device} in {milliseconds:.1} ms: {} {}, {} parameters in {precision}",
                info.family, info.variant, info.parameters
            )
        });
        let id = context.fresh_id();
        if let Some(contents) = contents {
            let kept = DiskModel {
                contents,
                backend: backend_key(runtime.backend_name(), runtime.backend_version()),
                precision,
                embedding_bytes: model.info().embedding_bytes,
            };
            context.embeddings().add_model(id, kept);
        }
        Ok(Self {
            context: Arc::clone(context),
            id,
            name,
            precision,
            device_name: runtime.device_name().to_owned(),
            reloadable: match source {
                Source::File(path) => Reloadable::File(path),
                Source::Demo => Reloadable::Demo,
                Source::Bytes(_) => Reloadable::No,
            },
            primary: Arc::new(Placement::new(tier, model, precision)),
            fallback: Mutex::new(None),
            ticks_to_encode: AtomicU32::new(0),
            upsampler: Mutex::new(None),
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
        self.primary.model().info()
    }

    /// How an image of this size is brought to the model's input, and from there back to its own size.
    pub(crate) fn upsampler(&self, (width, height): (u32, u32)) -> Result<Arc<Upsampler>, Error> {
        let mut last = self
            .upsampler
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(fits) = &*last
            && (fits.width(), fits.height()) == (width, height)
        {
            return Ok(Arc::clone(fits));
        }
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
        let made = Arc::new(Upsampler::new(info.mask_size, geometry, width, height)?);
        *last = Some(Arc::clone(&made));
        Ok(made)
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

    /// Every way to run a part of the work, the best first, with what each needs: none in a higher precision than
    /// `precision`. What is decoded lies in `lies_in`.
    pub(crate) fn candidates(
        &self,
        work: Work,
        num_objects: u32,
        lies_in: Tier,
        precision: Precision,
    ) -> Result<Vec<Candidate>, Error> {
        let options = self.context.options();
        let on_device = lies_in == Tier::Device;
        let abilities = Abilities {
            precision,
            lower: if options.lower_precision && on_device {
                vec![Precision::Bf16, Precision::Fp16]
            } else {
                Vec::new()
            },
            chunked: work == Work::Encode,
            device: on_device,
            cpu: !on_device || self.falls_back(),
        };
        let mut candidates = Vec::new();
        for way in ways(&abilities, num_objects) {
            candidates.extend(self.candidate(way, work)?);
        }
        Ok(candidates)
    }

    fn candidate(&self, way: Way, work: Work) -> Result<Option<Candidate>, Error> {
        let fallback = self.fallback().clone();
        match fallback {
            Some(fallback) if way.tier != self.primary.tier() => fallback.candidate(way, work),
            None if way.tier != self.primary.tier() => {
                let weights = self.info().parameters * way.plan.precision.element_size();
                let here = self.primary.candidate(way, work)?;
                Ok(here.map(|candidate| Candidate {
                    needed: candidate.needed.saturating_add(weights),
                    ..candidate
                }))
            }
            _ => self.primary.candidate(way, work),
        }
    }

    /// The precision that an image would be encoded in now: what its owner asked for, or less while memory is too short
    /// for that. What is decoded follows it: raising the precision for a click, only to lower it for the next image,
    /// would load the weights twice.
    pub(crate) fn precision_now(&self) -> Result<Precision, Error> {
        let weights = self.primary.precision();
        if weights == self.precision {
            return Ok(weights);
        }
        let candidates = self.candidates(Work::Encode, 0, self.tier(), self.precision)?;
        let way = foresee(self.context.memory(), &candidates);
        Ok(way.map_or(weights, |way| way.plan.precision))
    }

    /// Whether something computed in `precision` is what the owner asked for. The CPU beside a GPU may give more.
    pub(crate) fn is_as_asked(&self, precision: Precision) -> bool {
        precision == self.precision || precision == Precision::Fp32
    }

    /// Whether an operation may move to the CPU.
    pub(crate) fn falls_back(&self) -> bool {
        self.context.options().cpu_fallback && !matches!(self.reloadable, Reloadable::No)
    }

    /// What its weights are in now.
    pub(crate) fn weights(&self) -> Precision {
        self.primary.precision()
    }

    /// Whose memory it takes when all is well.
    pub(crate) fn tier(&self) -> Tier {
        self.primary.tier()
    }

    /// The model in the memory of a tier; on the CPU beside a GPU it is loaded the first time.
    pub(crate) fn placement(
        &self,
        tier: Tier,
        oversight: &Oversight,
    ) -> Result<Arc<Placement>, Error> {
        if tier == self.primary.tier() {
            return Ok(Arc::clone(&self.primary));
        }
        let mut fallback = self.fallback();
        if let Some(loaded) = &*fallback {
            return Ok(Arc::clone(loaded));
        }
        let loaded = Arc::new(self.load_beside(&self.context.cpu_device()?, oversight)?);
        *fallback = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    fn load_beside(&self, device: &Device, oversight: &Oversight) -> Result<Placement, Error> {
        let checkpoint = match &self.reloadable {
            Reloadable::File(path) => Checkpoint::File(path),
            Reloadable::Demo => Checkpoint::Bytes(DEMO_MODEL),
            Reloadable::No => {
                let reason = "a model loaded from memory cannot be loaded once more, on the CPU";
                return Err(Error::Unsupported(reason.to_owned()));
            }
        };
        let operation = self.context.operation(Tier::Host, oversight.clone());
        let model = device.load_model(checkpoint, &self.name, Precision::Fp32, &operation)?;
        Ok(Placement::new(Tier::Host, model, Precision::Fp32))
    }

    fn fallback(&self) -> MutexGuard<'_, Option<Arc<Placement>>> {
        self.fallback.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn to work on an image.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when its orders say so before the turn comes.
    pub(crate) fn turn(&self, image: ImageKey, orders: &Orders) -> Result<Turn, Error> {
        orders.at(Stage::Waiting, 0.05);
        let errand = Errand {
            model: self.id,
            image,
            urgency: orders.urgency,
        };
        self.context.turnstile().take(errand, &orders.cancel)
    }
}

/// What tells the checkpoint from others, where embeddings are kept on disk. The state of a file is that before it is
/// loaded.
fn contents_of(context: &Context, source: &Source<'_>) -> Option<Contents> {
    if !context.embeddings().has_disk() {
        return None;
    }
    Some(match source {
        Source::File(path) => Contents::of_file(path.clone()),
        Source::Bytes(bytes) => Contents::of_bytes(bytes),
        Source::Demo => Contents::of_bytes(DEMO_MODEL),
    })
}

impl Drop for Model {
    fn drop(&mut self) {
        let (embeddings, predictions) = (self.context.embeddings(), self.context.predictions());
        embeddings.remove_model(self.id);
        predictions.remove_where(|key| key.model == self.id);
    }
}
