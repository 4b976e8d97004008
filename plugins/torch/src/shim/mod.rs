//! Safe wrappers of the C++ shim (`shim/`): what the plugin needs of libtorch beyond `tch`.

mod attention;
mod failure;
mod ffi;
pub mod hiera_block;
pub mod kernels;
mod linear;
mod memory;
mod runtime;
pub mod tiled_linear;

pub use attention::{AttentionInput, attend, has_attention_kernel};
pub use failure::{Failure, FailureKind};
pub use linear::{PackedWeight, row_products};
pub use memory::{
    AllocatorFigures, MemoryOf, Scope, allocator_settings, figures, limit_cpu, reset_peak, trim,
};
pub use runtime::{
    allow_tf32, cuda_device_count, load_cuda, num_threads, set_num_threads, version,
};
