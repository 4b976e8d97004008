//! sam-mm: interactive Segment Anything behind a stable C API, inside a memory budget.
//!
//! Imports run one way: `capi` → `prefetch`, `everything` → `context`, `model`, `predictor`, `display` → `embeddings`, `cache`,
//! `memory`, `image`, `mask`, `backend`. What goes with a call through all of these, how soon it is wanted and who may stop it,
//! is in [`jobs`], and known to all. The pipeline a person reads first is [`predictor`]. The C header is `include/sam_mm.h`;
//! its contract is docs/abi.md.

pub mod backend;
pub mod cache;
mod callback;
pub mod capi;
pub mod context;
pub mod display;
pub mod embeddings;
pub mod error;
pub mod everything;
pub mod image;
pub mod jobs;
pub mod logging;
pub mod mask;
pub mod memory;
pub mod model;
mod panics;
pub mod placement;
pub mod prediction;
pub mod predictor;
pub mod prefetch;
pub mod prompt;
pub mod registered_image;
