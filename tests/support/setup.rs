//! A context on the fake backend with a model and images.

use std::sync::Arc;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::error::Error;
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;

use super::fake_backend::FakeBackend;

pub const WIDTH: u32 = 200;
pub const HEIGHT: u32 = 100;

pub struct Setup {
    pub fake: FakeBackend,
    pub context: Arc<Context>,
    pub model: Arc<Model>,
}

impl Setup {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        Self::on(DeviceName::Cpu, FakeBackend::new(), options)
    }

    pub fn on(device: DeviceName, fake: FakeBackend, options: Options) -> Self {
        let options = Options {
            device: DeviceRequest::Named(device),
            backend_path: Some(fake.path().to_owned()),
            ..options
        };
        let context = Arc::new(Context::new(options, None).unwrap());
        let model = Arc::new(Model::load(&context, Source::Demo, Precision::Fp32).unwrap());
        Self {
            fake,
            context,
            model,
        }
    }

    /// An image of one gray. The fake backend's scores tell images apart.
    pub fn image(&self, gray: u8) -> Arc<RegisteredImage> {
        Arc::new(self.image_of(gray, (WIDTH, HEIGHT)))
    }

    pub fn image_of(&self, gray: u8, (width, height): (u32, u32)) -> RegisteredImage {
        let pixels = vec![gray; (width * height) as usize];
        let view = ImageView::new(PixelFormat::Gray8, width, height, width as usize, &pixels);
        RegisteredImage::new(&self.context, &view.unwrap()).unwrap()
    }

    pub fn click(&self, image: &RegisteredImage) -> Result<Prediction, Error> {
        self.click_at(image, [60.0, 40.0])
    }

    pub fn click_at(&self, image: &RegisteredImage, point: [f32; 2]) -> Result<Prediction, Error> {
        let prompt = Prompt {
            points: &[point],
            labels: &[1],
            ..Prompt::default()
        };
        predict(&self.model, image, &[prompt], true)
    }

    pub fn calls(&self, function: &str) -> i64 {
        self.fake.value(&format!("calls.{function}"))
    }
}
