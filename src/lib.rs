//! sam-mm: interactive Segment Anything behind a stable C API, inside a memory budget.
//!
//! Imports run one way: `capi` → `jobs` → `context`, `model`, `predictor`, `display` → `cache`, `memory`, `image`, `mask`,
//! `backend`. The pipeline a person reads first is [`predictor`]. The C header is `include/sam_mm.h`; its contract is docs/abi.md.

pub mod backend;
pub mod cache;
mod callback;
pub mod capi;
pub mod context;
pub mod display;
pub mod error;
pub mod image;
pub mod jobs;
pub mod logging;
pub mod mask;
pub mod memory;
pub mod model;
mod panics;
pub mod placed_embeddings;
pub mod placement;
pub mod prediction;
pub mod predictor;
pub mod prompt;
pub mod registered_image;
