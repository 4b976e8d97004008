//! Linear layers over rows of tokens in tiles, with what comes before and after them (`shim/tiled_linear/`).

use core::ptr;
use std::ffi::CStr;

use tch::{Device, Kind, Tensor};

use super::failure::Failure;
use super::ffi;

/// Whether this processor has the kernel of that name (`avx2`, `avx512`), or any.
pub fn has_tiled_linear_kernel(kernel: Option<&CStr>) -> bool {
    // SAFETY: the name is NULL or NUL-terminated, and the function only reads it.
    unsafe { ffi::sam_mm_torch_tiled_linear_has_kernel(name_of(kernel)) != 0 }
}

/// A layer norm before a layer: `(inputs)` each, fp32 on the CPU.
#[derive(Clone, Copy)]
pub struct TiledNorm<'a> {
    /// Multiplied by.
    pub weight: &'a Tensor,
    /// Added.
    pub bias: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
}

/// What becomes of the outputs of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// They are written.
    Nothing = 0,
    /// Their exact GELU, x·Φ(x), is written.
    Gelu = 1,
    /// They are added to what is there.
    Sum = 2,
}

/// `y = x Wᵀ + b` in fp32 on the CPU, with the weight as the kernel reads it.
pub struct TiledLayer {
    packed: Tensor,
    bias: Tensor,
    inputs: i64,
    /// The kernel it was packed for; the best one of this processor when there is no name.
    kernel: Option<&'static CStr>,
}

impl TiledLayer {
    /// Packs a weight `(outputs, inputs)` with its bias `(outputs)`. `None` where there is no kernel: for the processor, the
    /// device, the type, or a number of inputs or outputs that fills no whole vectors.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn pack(
        weight: &Tensor,
        bias: &Tensor,
        kernel: Option<&'static CStr>,
    ) -> Result<Option<Self>, Failure> {
        let unit = width_unit(kernel);
        let (outputs, inputs) = weight.size2()?;
        let dense = |tensor: &Tensor| {
            tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && tensor.is_contiguous()
        };
        let fits = unit > 0 && outputs % unit == 0 && inputs % unit == 0;
        if !fits || !dense(weight) || !dense(bias) || bias.size() != [outputs] {
            return Ok(None);
        }
        let mut packed = ptr::null_mut();
        // SAFETY: `weight` is a live tensor that the function only reads; `packed` is written on success.
        Failure::check(|error| unsafe {
            ffi::sam_mm_torch_tiled_linear_pack(
                weight.as_ptr(),
                name_of(kernel),
                &raw mut packed,
                error,
            )
        })?;
        Ok(Some(Self {
            // SAFETY: the function succeeded, so the pointer is a tensor that nobody else owns.
            packed: unsafe { Tensor::from_ptr(packed) },
            bias: bias.shallow_clone(),
            inputs,
            kernel,
        }))
    }

    /// Whether a layer in fp32 with so many inputs or outputs can be packed on this processor.
    pub fn takes(width: i64) -> bool {
        let unit = width_unit(None);
        unit > 0 && width % unit == 0
    }

    /// How many outputs it has.
    pub fn outputs(&self) -> i64 {
        self.bias.numel() as i64
    }

    /// The layer of the rows of `x (…, inputs)`, or of their norm, to `out (…, outputs)`.
    ///
    /// # Errors
    /// When shapes do not fit, or memory runs out.
    pub fn run(
        &self,
        norm: Option<TiledNorm<'_>>,
        x: &Tensor,
        out: &Tensor,
        then: Then,
    ) -> Result<(), Failure> {
        run_all(norm, &[self], x, &[out], then)
    }

    /// Of the kernel that it was packed for, or NULL.
    pub(super) fn kernel_name(&self) -> *const core::ffi::c_char {
        name_of(self.kernel)
    }

    pub(super) fn raw(&self) -> ffi::TiledLayer {
        ffi::TiledLayer {
            packed: self.packed.as_ptr(),
            bias: self.bias.as_ptr(),
            inputs: self.inputs,
        }
    }
}

/// Several layers (one to three) of the same rows of `x (…, inputs)`, or of their norm, which is then made once; each to its
/// output `(…, outputs)`.
///
/// # Errors
/// When shapes do not fit, or memory runs out.
pub fn run_all(
    norm: Option<TiledNorm<'_>>,
    layers: &[&TiledLayer],
    x: &Tensor,
    out: &[&Tensor],
    then: Then,
) -> Result<(), Failure> {
    assert_eq!(layers.len(), out.len(), "a layer has one output");
    let norm = norm.map(raw_norm);
    let raw: Vec<_> = layers.iter().map(|layer| layer.raw()).collect();
    let out: Vec<_> = out.iter().map(|out| out.as_ptr()).collect();
    let kernel = layers.first().and_then(|layer| layer.kernel);
    // SAFETY: all tensors are live; the function checks their number, shapes and types, only reads the input, the weights and
    // the norm, and writes to the outputs, which the caller lends for that. The norm and the kernel's name may be NULL.
    Failure::check(|error| unsafe {
        ffi::sam_mm_torch_tiled_linear(
            x.as_ptr(),
            norm.as_ref().map_or(ptr::null(), ptr::from_ref),
            raw.len() as i64,
            raw.as_ptr(),
            out.as_ptr(),
            then as i32,
            name_of(kernel),
            error,
        )
    })
}

/// `x += fc2(gelu(fc1(norm(x))))` for the rows of `x (…, width)`, in place.
///
/// # Errors
/// When shapes do not fit, or memory runs out.
pub fn mlp(
    norm: Option<TiledNorm<'_>>,
    fc1: &TiledLayer,
    fc2: &TiledLayer,
    x: &Tensor,
) -> Result<(), Failure> {
    let norm = norm.map(raw_norm);
    let (first, second) = (fc1.raw(), fc2.raw());
    // SAFETY: as above; `x` is what is written to.
    Failure::check(|error| unsafe {
        ffi::sam_mm_torch_tiled_mlp(
            x.as_ptr(),
            norm.as_ref().map_or(ptr::null(), ptr::from_ref),
            &raw const first,
            &raw const second,
            name_of(fc1.kernel),
            error,
        )
    })
}

/// What inputs and outputs have to be multiples of; 0 without the kernel.
fn width_unit(kernel: Option<&CStr>) -> i64 {
    // SAFETY: the name is NULL or NUL-terminated, and the function only reads it.
    unsafe { ffi::sam_mm_torch_tiled_linear_width_unit(name_of(kernel)) }
}

pub(super) fn raw_norm(norm: TiledNorm<'_>) -> ffi::TiledNorm {
    ffi::TiledNorm {
        weight: norm.weight.as_ptr(),
        bias: norm.bias.as_ptr(),
        eps: norm.eps as f32,
    }
}

fn name_of(kernel: Option<&CStr>) -> *const core::ffi::c_char {
    kernel.map_or(ptr::null(), CStr::as_ptr)
}
