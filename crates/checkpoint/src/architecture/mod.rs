//! Finds out the model from the names and shapes of its tensors, and says what such a model needs.

mod check;
mod config;
mod decoder;
mod describe;
mod detect;
mod expected;
mod hiera;
mod hints;
mod look_alike;
mod sam2;
mod shapes;
mod tiny_vit;
mod vit;

pub use check::CheckReport;
pub use config::{
    Architecture, HieraBlockConfig, HieraConfig, HieraStageConfig, ImageEncoderConfig,
    MaskDecoderConfig, PromptEncoderConfig, Sam2Config, Sam2DecoderConfig, SamConfig, SamVitConfig,
    TinyVitConfig, TinyVitStageConfig, VitBlockConfig,
};
pub use expected::ExpectedTensor;
