//! Linear layers and norms with random weights: for the kernels of tiles, and in fp64 by libtorch.

use std::ffi::CStr;

use sam_mm_torch::shim::tiled_linear::{TiledLayer, TiledNorm, has_tiled_linear_kernel};
use tch::{Device, Kind, Tensor};

const EPS: f64 = 1e-6;

/// Those of the processor, and the one that is chosen when none is named. Only a processor that has none may give none.
pub fn kernels() -> Vec<Option<&'static CStr>> {
    let named = [c"avx2", c"avx512"].map(Some);
    let kernels: Vec<_> = [None].into_iter().chain(named).collect();
    let kernels: Vec<_> = kernels
        .into_iter()
        .filter(|&kernel| has_tiled_linear_kernel(kernel))
        .collect();
    #[cfg(target_arch = "x86_64")]
    assert_eq!(
        kernels.contains(&Some(c"avx2")),
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    );
    kernels
}

pub fn random(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

/// In fp64.
pub fn wide(tensor: &Tensor) -> Tensor {
    tensor.to_kind(Kind::Double)
}

/// A layer of its own, in fp32.
pub struct Layer {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Layer {
    pub fn random(inputs: i64, outputs: i64) -> Self {
        Self {
            weight: random(&[outputs, inputs]) / (inputs as f64).sqrt(),
            bias: random(&[outputs]),
        }
    }

    pub fn pack(&self, kernel: Option<&'static CStr>) -> TiledLayer {
        let packed = TiledLayer::pack(&self.weight, &self.bias, kernel).unwrap();
        packed.expect("it fills whole vectors")
    }

    /// In fp64, as is `x`.
    pub fn of(&self, x: &Tensor) -> Tensor {
        x.linear(&wide(&self.weight), Some(wide(&self.bias)))
    }
}

/// A layer norm, in fp32.
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    pub fn random(width: i64) -> Self {
        Self {
            weight: random(&[width]) + 1.0,
            bias: random(&[width]),
        }
    }

    pub fn tiled(&self) -> TiledNorm<'_> {
        TiledNorm {
            weight: &self.weight,
            bias: &self.bias,
            eps: EPS,
        }
    }

    /// In fp64.
    pub fn of(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (wide(&self.weight), wide(&self.bias));
        wide(x).layer_norm(self.weight.size(), Some(weight), Some(bias), EPS, false)
    }
}

/// The largest difference, as a part of the largest value.
pub fn difference(ours: &Tensor, theirs: &Tensor) -> f64 {
    let theirs = wide(theirs);
    let apart = (wide(ours) - &theirs).abs().max();
    apart.double_value(&[]) / theirs.abs().max().double_value(&[])
}
