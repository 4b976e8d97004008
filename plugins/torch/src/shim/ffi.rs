//! The functions of `shim/shim.h`, as they are there.

use core::ffi::{c_char, c_void};

use torch_sys::C_tensor;

pub const OUT_OF_MEMORY: i32 = 2;
pub const DEVICE_LOST: i32 = 3;
pub const MESSAGE_LEN: usize = 2048;

#[repr(C)]
pub struct Error {
    pub kind: i32,
    pub has_requested: i32,
    pub requested_bytes: u64,
    pub message: [c_char; MESSAGE_LEN],
}

impl Error {
    pub const EMPTY: Self = Self {
        kind: 0,
        has_requested: 0,
        requested_bytes: 0,
        message: [0; MESSAGE_LEN],
    };
}

#[repr(C)]
#[derive(Default)]
pub struct FailedAllocation {
    pub requested_bytes: u64,
    pub free_bytes: u64,
    pub has_free: i32,
}

#[repr(C)]
#[derive(Default)]
pub struct Memory {
    pub allocated: u64,
    pub peak_allocated: u64,
    pub reserved: u64,
    pub peak_reserved: u64,
    pub device_free: u64,
    pub device_total: u64,
    pub has_device: i32,
}

#[repr(C)]
pub struct LayerNorm {
    pub width: i64,
    pub weight: *const f32,
    pub bias: *const f32,
    pub eps: f32,
}

#[repr(C)]
pub struct TiledLayer {
    pub packed: *const C_tensor,
    pub bias: *const C_tensor,
    pub inputs: i64,
}

#[repr(C)]
pub struct TiledNorm {
    pub weight: *const C_tensor,
    pub bias: *const C_tensor,
    pub eps: f32,
}

#[repr(C)]
pub struct HieraBlock {
    pub window: i64,
    pub heads: i64,
    pub norm1: TiledNorm,
    pub q: TiledLayer,
    pub kv: TiledLayer,
    pub residual: *const TiledLayer,
    pub padding: *const C_tensor,
    pub proj: TiledLayer,
    pub norm2: TiledNorm,
    pub fc1: TiledLayer,
    pub fc2: TiledLayer,
}

#[repr(C)]
pub struct Depthwise {
    pub channels: i64,
    pub weight: *const f32,
    pub bias: *const f32,
    pub stride: i64,
    pub first: i64,
    pub rows: i64,
    pub width: i64,
    pub out_first: i64,
    pub out_rows: i64,
    pub out_width: i64,
    pub gelu: i32,
}

#[repr(C)]
pub struct GeluProducts {
    pub width: i64,
    pub kernel: *const f32,
    pub kernels: i64,
    pub stride: i64,
    pub added: *const f32,
}

unsafe extern "C" {
    pub fn sam_mm_torch_layer_norm_gelu(
        norm: *const LayerNorm,
        input: *const f32,
        added: *const f32,
        rows: i64,
        output: *mut f32,
        threads: i32,
    );
    pub fn sam_mm_torch_layer_norm_add(
        norm: *const LayerNorm,
        input: *const f32,
        rows: i64,
        added: *const f32,
        added_rows: i64,
        output: *mut f32,
        sums: *mut f32,
        threads: i32,
    );
    pub fn sam_mm_torch_depthwise(
        conv: *const Depthwise,
        input: *const f32,
        output: *mut f32,
        threads: i32,
    );
    pub fn sam_mm_torch_gelu_products(
        products: *const GeluProducts,
        input: *const f32,
        rows: i64,
        output: *mut f32,
        threads: i32,
    );

    pub fn sam_mm_torch_max_pool_2x2(
        input: *const f32,
        height: i64,
        width: i64,
        channels: i64,
        output: *mut f32,
        threads: i32,
    );

    pub fn sam_mm_torch_take_failed_allocation(out: *mut FailedAllocation) -> i32;

    pub fn sam_mm_torch_scope_enter(error: *mut Error) -> *mut c_void;
    pub fn sam_mm_torch_scope_leave(scope: *mut c_void);
    pub fn sam_mm_torch_cpu_set_limit(bytes: u64);
    pub fn sam_mm_torch_memory_read(device: i32, out: *mut Memory, error: *mut Error) -> i32;
    pub fn sam_mm_torch_memory_reset_peak(device: i32, error: *mut Error) -> i32;
    pub fn sam_mm_torch_memory_trim(device: i32, freed: *mut u64, error: *mut Error) -> i32;
    pub fn sam_mm_torch_allocator_settings(settings: *const c_char, error: *mut Error) -> i32;

    pub fn sam_mm_torch_version() -> *const c_char;
    pub fn sam_mm_torch_set_num_threads(threads: i32, error: *mut Error) -> i32;
    pub fn sam_mm_torch_num_threads() -> i32;
    pub fn sam_mm_torch_allow_tf32(allow: i32, error: *mut Error) -> i32;
    pub fn sam_mm_torch_load_cuda(error: *mut Error) -> i32;
    pub fn sam_mm_torch_cuda_device_count(count: *mut i32, error: *mut Error) -> i32;

    pub fn sam_mm_torch_attention(
        queries: *const C_tensor,
        query_row: i64,
        keys_values: *const C_tensor,
        padding: *const C_tensor,
        rel_h: *const C_tensor,
        rel_w: *const C_tensor,
        window: i64,
        query_pool: i64,
        kernel: *const c_char,
        out: *mut *mut C_tensor,
        error: *mut Error,
    ) -> i32;
    pub fn sam_mm_torch_attention_has_kernel(kernel: *const c_char) -> i32;

    pub fn sam_mm_torch_linear_packs_bf16(packs: *mut i32, error: *mut Error) -> i32;
    pub fn sam_mm_torch_linear_pack(
        weight: *const C_tensor,
        rows: i64,
        out: *mut *mut C_tensor,
        error: *mut Error,
    ) -> i32;
    pub fn sam_mm_torch_linear_run(
        x: *const C_tensor,
        packed: *const C_tensor,
        bias: *const C_tensor,
        gelu: i32,
        out: *mut *mut C_tensor,
        error: *mut Error,
    ) -> i32;

    pub fn sam_mm_torch_tiled_linear_has_kernel(kernel: *const c_char) -> i32;
    pub fn sam_mm_torch_tiled_linear_width_unit(kernel: *const c_char) -> i64;
    pub fn sam_mm_torch_tiled_linear_pack(
        weight: *const C_tensor,
        kernel: *const c_char,
        out: *mut *mut C_tensor,
        error: *mut Error,
    ) -> i32;
    pub fn sam_mm_torch_tiled_linear(
        x: *const C_tensor,
        norm: *const TiledNorm,
        count: i64,
        layers: *const TiledLayer,
        out: *const *const C_tensor,
        then: i32,
        kernel: *const c_char,
        error: *mut Error,
    ) -> i32;
    pub fn sam_mm_torch_tiled_mlp(
        x: *const C_tensor,
        norm: *const TiledNorm,
        fc1: *const TiledLayer,
        fc2: *const TiledLayer,
        kernel: *const c_char,
        error: *mut Error,
    ) -> i32;

    pub fn sam_mm_torch_hiera_block_run(
        block: *const HieraBlock,
        map: *const C_tensor,
        out: *const C_tensor,
        kernel: *const c_char,
        error: *mut Error,
    ) -> i32;
}
