//! Attention on the CPU without a matrix of scores (`shim/attention/`).

use core::ptr;
use std::ffi::CStr;

use tch::Tensor;

use super::failure::Failure;
use super::ffi;

/// Queries, keys and values on a grid of tokens `(H, W)`; contiguous fp32 on the CPU.
pub struct AttentionInput<'a> {
    /// `(rows, W / query_pool, heads, head_dim)`: the queries of some rows of their grid.
    pub queries: &'a Tensor,
    /// The row of their grid that the first of them is.
    pub query_row: i64,
    /// How much coarser the grid of queries is; it divides H, W and the window. 1 with relative positions.
    pub query_pool: i64,
    /// `(H, W, 2, heads, head_dim)`.
    pub keys_values: &'a Tensor,
    /// `(2, heads, head_dim)`: key and value of tokens that pad windows beyond the grid.
    pub padding: &'a Tensor,
    /// `(2·side − 1, head_dim)` relative positions along rows and columns; none: without.
    pub rel_pos: Option<(&'a Tensor, &'a Tensor)>,
    /// Side of the windows in tokens; 0: all tokens attend to all.
    pub window: i64,
}

/// Whether this processor can run [`attend`] with the kernel of that name (`portable`, `avx2`, `avx512`), or with any.
pub fn has_attention_kernel(kernel: Option<&CStr>) -> bool {
    let name = kernel.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: the name is NULL or NUL-terminated, and the function only reads it.
    unsafe { ffi::sam_mm_torch_attention_has_kernel(name) != 0 }
}

/// Attends, and returns `(rows, W / query_pool, heads · head_dim)`. Without the name of a kernel, the best one is taken.
///
/// # Errors
/// When shapes do not fit, the processor has no such kernel, or memory runs out.
pub fn attend(input: &AttentionInput<'_>, kernel: Option<&CStr>) -> Result<Tensor, Failure> {
    let mut out = ptr::null_mut();
    let rel_pos = input.rel_pos.map(|(h, w)| (h.as_ptr(), w.as_ptr()));
    let (rel_h, rel_w) = rel_pos.unwrap_or((ptr::null(), ptr::null()));
    // SAFETY: all tensors are live and only read, their shapes and types are checked by the function, relative
    // positions may be NULL, the kernel's name is NULL or NUL-terminated, and `out` is written on success.
    Failure::check(|error| unsafe {
        ffi::sam_mm_torch_attention(
            input.queries.as_ptr(),
            input.query_row,
            input.keys_values.as_ptr(),
            input.padding.as_ptr(),
            rel_h,
            rel_w,
            input.window,
            input.query_pool,
            kernel.map_or(ptr::null(), CStr::as_ptr),
            &raw mut out,
            error,
        )
    })?;
    // SAFETY: the function succeeded, so the pointer is a tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(out) })
}
