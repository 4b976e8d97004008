//! Finds out the model from the names and shapes of its tensors, and says what such a model needs.

mod config;

pub use config::{
    Architecture, ImageEncoderConfig, MaskDecoderConfig, PromptEncoderConfig, Sam2Config,
    SamConfig, SamVitConfig, TinyVitConfig, TinyVitStageConfig, VitBlockConfig,
};
