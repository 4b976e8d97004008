//! Linear layers with weights that oneDNN packed beforehand.

use core::ptr;

use tch::{Device, Kind, Tensor};

use super::failure::Failure;
use super::ffi;

/// A weight `(outputs, inputs)` on the CPU in the layout that oneDNN multiplies fastest.
pub struct PackedWeight {
    packed: Tensor,
}

impl PackedWeight {
    /// Packs a weight for inputs of about `rows` rows. `None` for a device or an element type that is not packed, or
    /// that this processor multiplies better unpacked.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn pack(weight: &Tensor, rows: i64) -> Result<Option<Self>, Failure> {
        let kind = weight.f_kind()?;
        if weight.device() != Device::Cpu || !packs(kind)? {
            return Ok(None);
        }
        let mut packed = ptr::null_mut();
        // SAFETY: `weight` is a live tensor that the function only reads; `packed` is written on success.
        Failure::check(|error| unsafe {
            ffi::sam_mm_torch_linear_pack(weight.as_ptr(), rows, &raw mut packed, error)
        })?;
        Ok(Some(Self {
            // SAFETY: the function succeeded, so the pointer is a tensor that nobody else owns.
            packed: unsafe { Tensor::from_ptr(packed) },
        }))
    }

    /// `x Wᵀ + b`, with the exact GELU after it if wanted. `x` is `(…, inputs)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn linear(&self, x: &Tensor, bias: Option<&Tensor>, gelu: bool) -> Result<Tensor, Failure> {
        run(x, &self.packed, bias, gelu)
    }
}

/// The products `a bᵀ` of a batch: `a (B, M, K)` and `b (B, N, K)`, whose last axis need not be the dense one, to
/// `(B, M, N)`. A single fp32 pair on the CPU is left to oneDNN, which for a few dozen rows against thousands takes half the
/// time of libtorch's own product.
///
/// # Errors
/// When libtorch fails.
pub fn row_products(a: &Tensor, b: &Tensor) -> Result<Tensor, Failure> {
    let one_on_cpu = a.size()[0] == 1 && a.device() == Device::Cpu && a.f_kind()? == Kind::Float;
    if !one_on_cpu {
        return Ok(a.f_bmm(&b.f_transpose(1, 2)?)?);
    }
    let (a, b) = (a.f_squeeze_dim(0)?.f_contiguous()?, b.f_squeeze_dim(0)?);
    Ok(run(&a, &b, None, false)?.f_unsqueeze(0)?)
}

/// `x Wᵀ + b` by oneDNN, with a weight that is packed or not.
fn run(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, gelu: bool) -> Result<Tensor, Failure> {
    let mut y = ptr::null_mut();
    let bias = bias.map_or(ptr::null(), Tensor::as_ptr);
    // SAFETY: `x`, the weight and the bias are live tensors that the function only reads, or NULL where it allows it;
    // `y` is written on success.
    Failure::check(|error| unsafe {
        ffi::sam_mm_torch_linear_run(
            x.as_ptr(),
            weight.as_ptr(),
            bias,
            i32::from(gelu),
            &raw mut y,
            error,
        )
    })?;
    // SAFETY: the function succeeded, so the pointer is a tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(y) })
}

/// Whether oneDNN has fast products of that type on this processor.
fn packs(kind: Kind) -> Result<bool, Failure> {
    match kind {
        Kind::Float => Ok(true),
        Kind::BFloat16 => {
            let mut packs = 0;
            // SAFETY: `packs` is a live, writable integer.
            Failure::check(|error| unsafe {
                ffi::sam_mm_torch_linear_packs_bf16(&raw mut packs, error)
            })?;
            Ok(packs != 0)
        }
        _ => Ok(false),
    }
}
