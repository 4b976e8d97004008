//! Fused passes over fp32 tensors on the CPU (`shim/kernels.h`). Each answers `None` for tensors that it is not made
//! for; the caller then has libtorch do the same in several passes.

use core::ops::Range;

use tch::{Device, Kind, Tensor};

use super::failure::Failure;
use super::ffi;
use super::runtime::num_threads;

/// The values of a dense fp32 tensor on the CPU.
fn values(tensor: &Tensor) -> Option<*mut f32> {
    let dense = tensor.device() == Device::Cpu
        && tensor.f_kind().is_ok_and(|kind| kind == Kind::Float)
        && tensor.is_contiguous();
    dense.then(|| tensor.data_ptr().cast())
}

/// The values of a tensor that is as many rows as `like`, or NULL for none.
fn values_like(tensor: Option<&Tensor>, like: &Tensor) -> Option<*const f32> {
    match tensor {
        None => Some(core::ptr::null()),
        Some(tensor) if tensor.numel() == like.numel() => {
            values(tensor).map(<*mut f32>::cast_const)
        }
        Some(_) => None,
    }
}

fn threads() -> i32 {
    num_threads() as i32
}

/// A layer norm over the last axis.
pub struct NormOf<'a> {
    /// `(C)`.
    pub weight: &'a Tensor,
    /// `(C)`.
    pub bias: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
}

impl NormOf<'_> {
    fn rows(&self, x: &Tensor) -> Option<(ffi::LayerNorm, i64)> {
        let width = self.weight.numel() as i64;
        let fits = self.bias.numel() as i64 == width && x.size().last() == Some(&width);
        let norm = ffi::LayerNorm {
            width,
            weight: values(self.weight)?,
            bias: values(self.bias)?,
            eps: self.eps as f32,
        };
        (fits && width > 0).then(|| (norm, x.numel() as i64 / width))
    }

    /// The norm of `x (…, C)`, or of its sum with `added` of the same shape, then the exact GELU.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn gelu(&self, x: &Tensor, added: Option<&Tensor>) -> Result<Option<Tensor>, Failure> {
        let (Some((norm, rows)), Some(input), Some(added)) =
            (self.rows(x), values(x), values_like(added, x))
        else {
            return Ok(None);
        };
        let out = x.f_empty_like()?;
        let Some(output) = values(&out) else {
            return Ok(None);
        };
        // SAFETY: input and output hold `rows` rows of the norm's width, and what is added too or is NULL; weight and
        // bias hold one each; all are dense fp32 on the CPU and live through the call, and `out` is not seen by anybody
        // else.
        unsafe {
            ffi::sam_mm_torch_layer_norm_gelu(
                &raw const norm,
                input,
                added,
                rows,
                output,
                threads(),
            );
        }
        Ok(Some(out))
    }

    /// The norm of `x (B, N, C)`, and the norm plus `added (N, C)`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn and_sum(&self, x: &Tensor, added: &Tensor) -> Result<Option<(Tensor, Tensor)>, Failure> {
        let (Some((norm, rows)), Some(input), Some(more)) =
            (self.rows(x), values(x), values(added))
        else {
            return Ok(None);
        };
        let more_rows = added.numel() as i64 / norm.width;
        if more_rows == 0 || !added.size().ends_with(&[norm.width]) {
            return Ok(None);
        }
        let (out, sum) = (x.f_empty_like()?, x.f_empty_like()?);
        let (Some(output), Some(sums)) = (values(&out), values(&sum)) else {
            return Ok(None);
        };
        // SAFETY: as above; `added` holds `more_rows` rows, which the function goes around in.
        unsafe {
            ffi::sam_mm_torch_layer_norm_add(
                &raw const norm,
                input,
                rows,
                more,
                more_rows,
                output,
                sums,
                threads(),
            );
        }
        Ok(Some((out, sum)))
    }
}

/// A 3×3 convolution of every channel by itself, with padding 1.
pub struct DepthwiseOf<'a> {
    /// `(3, 3, C)`.
    pub weight: &'a Tensor,
    /// `(C)`.
    pub bias: &'a Tensor,
    /// 1 or 2.
    pub stride: i64,
    /// The exact GELU follows.
    pub gelu: bool,
}

impl DepthwiseOf<'_> {
    /// The rows `wanted` of the output, from a strip `(rows, W, C)` of the input that starts at row `first`. Rows
    /// before and after the strip count as zeros.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn rows(
        &self,
        strip: &Tensor,
        first: i64,
        wanted: &Range<i64>,
    ) -> Result<Option<Tensor>, Failure> {
        let (Ok((rows, width, channels)), Some(input)) = (strip.size3(), values(strip)) else {
            return Ok(None);
        };
        let (Some(weight), Some(bias)) = (values(self.weight), values(self.bias)) else {
            return Ok(None);
        };
        let shapes_fit = self.weight.size() == [3, 3, channels] && self.bias.size() == [channels];
        if !shapes_fit || !matches!(self.stride, 1 | 2) || wanted.is_empty() || wanted.start < 0 {
            return Ok(None);
        }
        let out_width = (width - 1) / self.stride + 1;
        let out = Tensor::f_empty(
            [wanted.end - wanted.start, out_width, channels],
            (Kind::Float, Device::Cpu),
        )?;
        let Some(output) = values(&out) else {
            return Ok(None);
        };
        let conv = ffi::Depthwise {
            channels,
            weight,
            bias,
            stride: self.stride,
            first,
            rows,
            width,
            out_first: wanted.start,
            out_rows: wanted.end - wanted.start,
            out_width,
            gelu: i32::from(self.gelu),
        };
        // SAFETY: the sizes in `conv` are those of the tensors, which are dense fp32 on the CPU and live through the
        // call; `out` is not seen by anybody else.
        unsafe { ffi::sam_mm_torch_depthwise(&raw const conv, input, output, threads()) }
        Ok(Some(out))
    }
}

/// The exact GELU of `x (R, W)`, or of its sum with `added` of the same shape, times `kernels (K, W)`, to `out (K, S)`
/// from column `at`.
pub fn gelu_products(
    x: &Tensor,
    added: Option<&Tensor>,
    kernels: &Tensor,
    out: &Tensor,
    at: i64,
) -> Option<()> {
    let ((rows, width), (count, kernel_width)) = (x.size2().ok()?, kernels.size2().ok()?);
    let (out_count, stride) = out.size2().ok()?;
    let (input, kernel, output) = (values(x)?, values(kernels)?, values(out)?);
    let fits = kernel_width == width && out_count == count && at >= 0 && at + rows <= stride;
    if !fits || width == 0 {
        return None;
    }
    let products = ffi::GeluProducts {
        width,
        kernel,
        kernels: count,
        stride,
        added: values_like(added, x)?,
    };
    // SAFETY: the sizes are those of the tensors (what is added may be NULL), which are dense fp32 on the CPU and live through the call; the rows
    // from `at` on end inside of `out`, which the caller lends for writing.
    unsafe {
        let output = output.offset(at as isize);
        ffi::sam_mm_torch_gelu_products(&raw const products, input, rows, output, threads());
    }
    Some(())
}

/// The greatest of every 2×2 cells of a map `(H, W, C)` with even sides, to `out (H/2, W/2, C)`.
pub fn max_pool_2x2(map: &Tensor, out: &Tensor) -> Option<()> {
    let (height, width, channels) = map.size3().ok()?;
    let (input, output) = (values(map)?, values(out)?);
    let fits = height % 2 == 0 && width % 2 == 0;
    if !fits || out.size() != [height / 2, width / 2, channels] {
        return None;
    }
    // SAFETY: the sizes are those of the tensors, which are dense fp32 on the CPU and live through the call; the caller lends
    // `out` for writing.
    unsafe {
        ffi::sam_mm_torch_max_pool_2x2(input, height, width, channels, output, threads());
    }
    Some(())
}
