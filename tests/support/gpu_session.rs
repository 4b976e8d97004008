//! A context and a model on a pretended GPU, with a pretended driver, and figures that fill it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::cache::weighted_lru::Limits;
use sam_mm::context::{Context, Options};
use sam_mm::error::Error;
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::memory::config::MemoryOptions;
use sam_mm::memory::events::EventKind;
use sam_mm::memory::info::MemoryInfo;
use sam_mm::memory::probe::{Backoff, CudaEnvironment, ProbeOptions};
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use tempfile::TempDir;

use super::fake_backend::FakeBackend;
use super::fake_gpu::FakeLibrary;

pub const MIB: u64 = 1 << 20;
/// The pretended GPU.
pub const TOTAL: u64 = 800 * MIB;
/// Weights of the model in fp32.
pub const WEIGHTS: u64 = 40 * MIB;
/// An embedding.
pub const EMBEDDING: u64 = 4 * MIB;
/// What encoding takes besides, with full attention in fp32.
pub const ENCODE: u64 = 400 * MIB;
/// What decoding one object takes in fp32.
pub const DECODE: u64 = 8 * MIB;

/// The model's file: [`WEIGHTS`], [`EMBEDDING`], [`ENCODE`] and [`DECODE`], quick to compute.
pub fn checkpoint() -> String {
    format!(
        "fake-model\ninput_size=64\nmask_size=16\nparameters={}\nembedding_bytes={EMBEDDING}\n\
         encode_workspace={ENCODE}\ndecode_workspace={DECODE}\n",
        WEIGHTS / 4
    )
}

/// A context, its model and the GPU under them.
pub struct GpuSession {
    pub model: Arc<Model>,
    pub context: Arc<Context>,
    pub fake: Arc<FakeBackend>,
    /// The driver, where there is one.
    pub nvml: Option<FakeLibrary>,
    _folder: TempDir,
}

/// A GPU of [`TOTAL`] bytes that nobody else uses.
pub fn pretended_gpu() -> Arc<FakeBackend> {
    let fake = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    fake.control(&format!("memory total={TOTAL} other=0"));
    Arc::new(fake)
}

/// A driver that knows the same GPU and nobody who uses it.
pub fn pretended_driver() -> FakeLibrary {
    FakeLibrary::nvml(&[&format!(
        "gpu GPU-aaaaaaaa-0000-0000-0000-000000000001 00000000:01:00.0 {TOTAL} 0 Pretended"
    )])
}

/// Memory is looked at anew for each question, and nobody looks after it in the background. The whole GPU may be used.
pub fn memory() -> MemoryOptions {
    MemoryOptions {
        fraction: Some(1.0),
        snapshot_max_age: Some(Duration::ZERO),
        monitor_enabled: Some(false),
        ..MemoryOptions::default()
    }
}

/// Options with [`memory`]. No prediction is kept: every click decodes.
pub fn options() -> Options {
    Options {
        memory: memory(),
        prediction_cache: Limits {
            entries: 0,
            bytes: 0,
        },
        ..Options::default()
    }
}

/// Probes of nothing but these files; what failed is tried again at once.
pub fn probes(nvml: Option<&FakeLibrary>, cudart: Option<&FakeLibrary>) -> ProbeOptions {
    let path = |fake: Option<&FakeLibrary>| {
        Some(fake.map_or_else(
            || "/no such folder/lib.so".into(),
            |fake| fake.path().into(),
        ))
    };
    ProbeOptions {
        nvml_library: path(nvml),
        cudart_library: path(cudart),
        backoff: Backoff {
            first: Duration::ZERO,
            longest: Duration::ZERO,
        },
        environment: CudaEnvironment::default(),
    }
}

impl GpuSession {
    /// Without a driver: the backend alone tells figures.
    pub fn new(options: Options) -> Self {
        Self::on(pretended_gpu(), None, options)
    }

    /// With a driver.
    pub fn with_driver(options: Options) -> Self {
        Self::on(pretended_gpu(), Some(pretended_driver()), options)
    }

    pub fn on(fake: Arc<FakeBackend>, nvml: Option<FakeLibrary>, options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("model.fake");
        fs::write(&file, checkpoint()).expect("a test may write to its own folder");
        // Tests that ask the CUDA runtime bring their own probes.
        let probes = match options.probes.cudart_library {
            Some(_) => options.probes.clone(),
            None => probes(nvml.as_ref(), None),
        };
        let options = Options {
            device: DeviceRequest::Named(DeviceName::Cuda(0)),
            backend_path: Some(fake.path().to_owned()),
            probes,
            ..options
        };
        let context = Arc::new(Context::new(options, None).expect("the options are right"));
        let model = Model::load(&context, Source::File(file), Precision::Fp32)
            .expect("an empty GPU has room for the model");
        Self {
            model: Arc::new(model),
            context,
            fake,
            nvml,
            _folder: folder,
        }
    }

    /// What other processes hold from now on.
    pub fn neighbour(&self, bytes: u64) {
        self.fake
            .control(&format!("memory total={TOTAL} other={bytes}"));
    }

    /// Leaves so many bytes to us: what we hold, and what is free.
    pub fn leave(&self, bytes: u64) {
        self.neighbour(TOTAL - bytes);
    }

    /// An image of one gray. The fake backend's scores tell images apart.
    pub fn image(&self, gray: u8) -> Arc<RegisteredImage> {
        image(&self.context, gray)
    }

    pub fn click(&self, image: &RegisteredImage) -> Result<Prediction, Error> {
        click(&self.model, image)
    }

    pub fn calls(&self, function: &str) -> i64 {
        self.fake.value(&format!("calls.{function}"))
    }

    /// Waits for figures that were taken after this call.
    pub fn look(&self) -> MemoryInfo {
        loop {
            let info = self.context.memory_info();
            if !info.stale {
                return info;
            }
        }
    }

    /// A size of the fake backend, such as `reserved`.
    pub fn bytes(&self, name: &str) -> u64 {
        self.fake.value(&format!("memory.{name}")) as u64
    }

    /// What happened since the last call.
    pub fn events(&self) -> Vec<EventKind> {
        std::iter::from_fn(|| self.context.memory().events().poll())
            .map(|event| event.kind)
            .collect()
    }

    /// Frees everything, and asserts that it was.
    pub fn end(self) {
        let Self {
            model,
            context,
            fake,
            ..
        } = self;
        drop((model, context));
        fake.assert_clean();
    }
}

pub fn image(context: &Arc<Context>, gray: u8) -> Arc<RegisteredImage> {
    let pixels = [gray; 32 * 16 * 3];
    let view = ImageView::new(PixelFormat::Rgb8, 32, 16, 32 * 3, &pixels).expect("an image");
    Arc::new(RegisteredImage::new(context, &view).expect("it can be registered"))
}

pub fn click(model: &Model, image: &RegisteredImage) -> Result<Prediction, Error> {
    let prompt = Prompt {
        points: &[[10.0, 8.0]],
        labels: &[1],
        ..Prompt::default()
    };
    predict(model, image, &[prompt], true)
}

/// How the image was encoded: `chunked attention in fp32 on the GPU`.
pub fn encoded(prediction: &Prediction) -> String {
    let ran = prediction.encode_ran.as_ref().expect("it was encoded");
    ran.way.to_string()
}

/// Every logit and score.
pub fn answer(prediction: &Prediction) -> Vec<f32> {
    let masks = 0..prediction.num_masks();
    masks
        .flat_map(|mask| {
            let logits = prediction.logits(mask).expect("a mask of the result");
            let score = prediction.score(mask).expect("a mask of the result");
            logits.iter().copied().chain([score])
        })
        .collect()
}
