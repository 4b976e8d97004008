//! Which precisions a device computes in.

use sam_mm_backend_abi::sdk::{BackendError, Precision};
use tch::{Device, Kind};

/// The kind of tensor that holds a precision.
pub fn kind_of(precision: Precision) -> Kind {
    match precision {
        Precision::Fp32 => Kind::Float,
        Precision::Fp16 => Kind::Half,
        Precision::Bf16 => Kind::BFloat16,
    }
}

/// The precision that a kind of tensor holds.
pub fn precision_of(kind: Kind) -> Option<Precision> {
    let holds = |&precision: &Precision| kind_of(precision) == kind;
    Precision::ALL.iter().copied().find(holds)
}

/// Bytes of one element.
pub fn element_size(precision: Precision) -> usize {
    kind_of(precision).elt_size_in_bytes()
}

/// Whether models may compute in `precision` on `device`.
///
/// # Errors
/// `SAM_MM_ERR_UNSUPPORTED`, with the reason.
pub fn check_supported(precision: Precision, device: Device) -> Result<(), BackendError> {
    match (precision, device) {
        (Precision::Fp32, _) | (Precision::Bf16, Device::Cuda(_)) => Ok(()),
        (Precision::Bf16, Device::Cpu) if multiplies_bf16() => Ok(()),
        (Precision::Bf16, _) => Err(BackendError::unsupported(
            "this processor has no instructions for bf16 (AVX-512 BF16): it would be slower than fp32; use fp32",
        )),
        (Precision::Fp16, Device::Cuda(_)) => Err(BackendError::unsupported(
            "fp16 overflows in the global attention of SAM on some images; use bf16, which takes as little memory",
        )),
        (Precision::Fp16, _) => Err(BackendError::unsupported(
            "processors do not compute in fp16; use fp32",
        )),
    }
}

#[cfg(target_arch = "x86_64")]
fn multiplies_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn multiplies_bf16() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_precision_has_a_kind_of_its_own() {
        for &precision in Precision::ALL {
            assert_eq!(precision_of(kind_of(precision)), Some(precision));
        }
        assert_eq!(precision_of(Kind::Int64), None);
    }

    #[test]
    fn fp32_runs_everywhere_and_fp16_nowhere() {
        for device in [Device::Cpu, Device::Cuda(0)] {
            assert_eq!(check_supported(Precision::Fp32, device), Ok(()));
            let error = check_supported(Precision::Fp16, device).unwrap_err();
            assert_eq!(error.code, sam_mm_backend_abi::abi::SAM_MM_ERR_UNSUPPORTED);
        }
    }
}
