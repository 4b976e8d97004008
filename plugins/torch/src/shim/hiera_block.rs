//! Transformer blocks of Hiera, a few windows or a tile of queries at a time from one end to the other
//! (`shim/hiera_block/`).

use core::ptr;

use tch::Tensor;

use super::failure::Failure;
use super::ffi;
use super::tiled_linear::{TiledLayer, TiledNorm, raw_norm};

/// A block of Hiera (`MultiScaleBlock`), in fp32 on the CPU.
pub struct HieraBlock<'a> {
    /// Side of the windows in tokens; 0: all tokens attend to all, and queries are not pooled.
    pub window: i64,
    /// Heads of the attention.
    pub heads: i64,
    /// Before the attention.
    pub norm1: TiledNorm<'a>,
    /// `dim` to `C`.
    pub q: &'a TiledLayer,
    /// `dim` to `2·C`: keys, then values.
    pub kv: &'a TiledLayer,
    /// `dim` to `C`, of the normed map, where queries are pooled by 2: its pooled values are the residual then. Otherwise that
    /// is the map itself.
    pub residual: Option<&'a TiledLayer>,
    /// `(2, heads, head_dim)`: key and value of a token that pads a window beyond the map.
    pub padding: &'a Tensor,
    /// After the attention, `C` to `C`.
    pub proj: &'a TiledLayer,
    /// Before the MLP.
    pub norm2: TiledNorm<'a>,
    /// First layer of the MLP, which the exact GELU follows.
    pub fc1: &'a TiledLayer,
    /// Second layer of the MLP.
    pub fc2: &'a TiledLayer,
}

impl HieraBlock<'_> {
    /// The block of a map `(H, W, dim)`, written to `out`: `(H, W, C)`, which may be the map itself, or where queries are
    /// pooled `(H / 2, W / 2, C)`. All layers are for the same kernel.
    ///
    /// # Errors
    /// When shapes do not fit, or memory runs out.
    pub fn run(&self, map: &Tensor, out: &Tensor) -> Result<(), Failure> {
        let residual = self.residual.map(TiledLayer::raw);
        let block = ffi::HieraBlock {
            window: self.window,
            heads: self.heads,
            norm1: raw_norm(self.norm1),
            q: self.q.raw(),
            kv: self.kv.raw(),
            residual: residual.as_ref().map_or(ptr::null(), ptr::from_ref),
            padding: self.padding.as_ptr(),
            proj: self.proj.raw(),
            norm2: raw_norm(self.norm2),
            fc1: self.fc1.raw(),
            fc2: self.fc2.raw(),
        };
        // SAFETY: all tensors are live; the function checks their shapes and types and only writes to `out`, which the caller
        // lends for that. The residual's layer and the kernel's name may be NULL.
        Failure::check(|error| unsafe {
            ffi::sam_mm_torch_hiera_block_run(
                &raw const block,
                map.as_ptr(),
                out.as_ptr(),
                self.q.kernel_name(),
                error,
            )
        })
    }
}
