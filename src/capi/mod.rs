//! sam-mm: interactive Segment Anything that stays inside its memory budget.
//!
//! Errors     Functions return a status, SAM_MM_OK (0) or SAM_MM_ERR_...; the last argument, which may be NULL,
//!            receives an error with words, to be freed with sam_mm_error_free.
//! Outputs    come last, are cleared on entry and written on success only.
//! Structs    start with struct_size. sam_mm_..._init(&s, sizeof s) fills one with its defaults; for one that a
//!            function fills, set struct_size alone.
//! Handles    are keys, not addresses: NULL, freed or foreign ones are refused. Free them in any order.
//! Borrowed   text and arrays are valid until the object they were asked from is freed.
//! Threads    `[any thread]`: from any thread, also at once on the same handle. `[callback]`: a function of yours.
//! Callbacks  may ask questions. Loading, encoding and predicting, which might wait for themselves, are refused there;
//!            submitting them as jobs is not.
//! Pixels     are those of the original image: (0, 0) is the outer corner of the first, (width, height) of the last.
//!
//! The whole contract is docs/abi.md; a complete program is examples/c/segment.c.

// The comment above heads the generated header. In Rust terms: one file per section of that header, and the only place
// that touches callers' pointers. Every function is: check arguments, turn handles into objects, call the safe core,
// turn the result into a code.

mod arrays;
mod call;
mod exit;
mod handle;
mod mask_forms;
mod strings;
mod structs;

pub mod cache;
pub mod context;
pub mod display;
pub mod error;
pub mod everything;
pub mod image;
pub mod job;
pub mod log;
pub mod memory;
pub mod memory_events;
pub mod memory_options;
pub mod memory_report;
pub mod model;
pub mod predict;
pub mod prefetch;
pub mod progress;
pub mod result;
pub mod status;
pub mod version;
