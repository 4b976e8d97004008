//! The values that cross the border, as safe Rust types for both sides.

use core::fmt;
use core::str::FromStr;

use crate::abi;
use crate::error::{BackendError, Result};
use crate::layout::zeroed;

/// Declares an enum with its numbers at the border.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$doc:meta])* $variant:ident = $value:path, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number at the border.
            pub const fn to_abi(self) -> $repr {
                match self { $(Self::$variant => $value,)+ }
            }

            /// The value of a number; `None` for one that this version does not know.
            pub const fn from_abi(number: $repr) -> Option<Self> {
                match number { $($value => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }
    };
}

numbered! {
    /// Number format of weights and computation.
    Precision: u32 {
        /// IEEE 754 binary32.
        Fp32 = abi::SAM_MM_PRECISION_FP32, "fp32";
        /// IEEE 754 binary16.
        Fp16 = abi::SAM_MM_PRECISION_FP16, "fp16";
        /// bfloat16.
        Bf16 = abi::SAM_MM_PRECISION_BF16, "bf16";
    }
}

impl Precision {
    /// Bytes of a number.
    pub const fn element_size(self) -> u64 {
        match self {
            Self::Fp32 => 4,
            Self::Fp16 | Self::Bf16 => 2,
        }
    }
}

numbered! {
    /// How attention scores of the image encoder are computed.
    Attention: u32 {
        /// All scores of a layer at once.
        Full = abi::SAM_MM_ATTENTION_FULL, "full attention";
        /// The scores of some queries at a time: a lower memory peak, the same result within rounding.
        Chunked = abi::SAM_MM_ATTENTION_CHUNKED, "chunked attention";
    }
}

numbered! {
    /// Element of the pixels that `encode` takes.
    Element: u32 {
        /// `u8`, 0–255.
        U8 = abi::SAM_MM_ELEMENT_U8, "u8";
        /// `f32`, 0–1.
        F32 = abi::SAM_MM_ELEMENT_F32, "f32";
    }
}

numbered! {
    /// How an image is brought to the model's input.
    Resize: u32 {
        /// The longer side becomes `input_size`, the aspect stays (SAM).
        LongestSide = abi::SAM_MM_RESIZE_LONGEST_SIDE, "longest side";
        /// Both sides become `input_size` (SAM 2).
        Stretch = abi::SAM_MM_RESIZE_STRETCH, "stretch";
    }
}

numbered! {
    /// Severity of a log line.
    LogLevel: i32 {
        /// Something failed.
        Error = abi::SAM_MM_LOG_ERROR, "error";
        /// Something is not as it should be, and work goes on.
        Warn = abi::SAM_MM_LOG_WARN, "warning";
        /// Rare events worth knowing.
        Info = abi::SAM_MM_LOG_INFO, "info";
        /// What happens inside, for finding a fault.
        Debug = abi::SAM_MM_LOG_DEBUG, "debug";
    }
}

/// A device by name: `cpu` or `cuda:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceName {
    /// The processor.
    Cpu,
    /// The CUDA device of this ordinal, as `CUDA_VISIBLE_DEVICES` numbers them.
    Cuda(u32),
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = BackendError;

    /// # Errors
    /// `SAM_MM_ERR_INVALID_ARGUMENT` for anything but `cpu`, `cuda` (which is `cuda:0`) and `cuda:N`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            _ => {}
        }
        name.strip_prefix("cuda:")
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self::Cuda)
            .ok_or_else(|| {
                BackendError::invalid_argument(format!(
                    "device is {name:?}; it must be \"cpu\" or \"cuda:N\" with N the number of a CUDA device"
                ))
            })
    }
}

/// Whether and how well a backend can run on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// 0: cannot; larger is better.
    pub score: u32,
    /// Why it cannot and what to do about it, or what was found.
    pub reason: String,
}

/// How a device is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Which device.
    pub device: DeviceName,
    /// Threads for work on the CPU; `None` leaves the backend's default.
    pub num_threads: Option<u32>,
    /// Most bytes of device memory the backend's allocator may hold; `None` for no limit.
    pub memory_limit_bytes: Option<u64>,
    /// TF32 matrix products are allowed where the device has them.
    pub allow_tf32: bool,
}

impl DeviceConfig {
    /// `device` with the backend's own choice for everything else.
    pub fn new(device: DeviceName) -> Self {
        Self {
            device,
            num_threads: None,
            memory_limit_bytes: None,
            allow_tf32: false,
        }
    }
}

/// Memory figures of a device. What could not be had is `None`, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemInfo {
    /// The device as a whole.
    pub device: Option<DeviceMemory>,
    /// The backend's allocator.
    pub allocator: Option<AllocatorMemory>,
    /// Largest number of bytes in live tensors since the device was opened.
    pub peak_allocated: Option<u64>,
}

/// Bytes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes the device has.
    pub total: u64,
    /// Bytes free for any process.
    pub free: u64,
}

/// Bytes of the backend's allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocatorMemory {
    /// Bytes in live tensors.
    pub allocated: u64,
    /// Bytes held, live or kept for reuse.
    pub reserved: u64,
}

impl MemInfo {
    /// The struct of the border.
    pub fn to_abi(&self) -> abi::sam_mm_backend_mem_info {
        let mut wire: abi::sam_mm_backend_mem_info = zeroed();
        if let Some(device) = self.device {
            wire.known |= abi::SAM_MM_MEM_DEVICE;
            (wire.total, wire.free) = (device.total, device.free);
        }
        if let Some(allocator) = self.allocator {
            wire.known |= abi::SAM_MM_MEM_ALLOCATOR;
            (wire.allocated, wire.reserved) = (allocator.allocated, allocator.reserved);
        }
        if let Some(peak) = self.peak_allocated {
            wire.known |= abi::SAM_MM_MEM_PEAK;
            wire.peak_allocated = peak;
        }
        wire
    }

    /// From the struct of the border; bits that this version does not know are left aside.
    pub fn from_abi(wire: &abi::sam_mm_backend_mem_info) -> Self {
        let known = |bit: u32| wire.known & bit != 0;
        Self {
            device: known(abi::SAM_MM_MEM_DEVICE).then_some(DeviceMemory {
                total: wire.total,
                free: wire.free,
            }),
            allocator: known(abi::SAM_MM_MEM_ALLOCATOR).then_some(AllocatorMemory {
                allocated: wire.allocated,
                reserved: wire.reserved,
            }),
            peak_allocated: known(abi::SAM_MM_MEM_PEAK).then_some(wire.peak_allocated),
        }
    }
}

/// What a loaded model is and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// `"sam"`, `"mobile_sam"`, `"sam2"`.
    pub family: String,
    /// Variant within the family, such as `"vit_b"`, or a description of a size that has no name.
    pub variant: String,
    /// How an image is brought to the model's input.
    pub resize: Resize,
    /// Side of the square input, in pixels.
    pub input_size: u32,
    /// Element that `encode` takes.
    pub input_element: Element,
    /// Side of the square low-resolution logits, in cells; `input_size` is a multiple of it.
    pub mask_size: u32,
    /// Masks per object with multimask output.
    pub multimask_count: u32,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of one image embedding in the model's precision.
    pub embedding_bytes: u64,
    /// Bytes of device memory the weights take.
    pub weight_bytes: u64,
    /// Bytes that a change of precision needs in passing, beside the larger of the old and the new weights; `None` when all
    /// new weights are made beside all old ones.
    pub precision_change_bytes: Option<u64>,
}

impl ModelInfo {
    /// Masks per object: `multimask_count` with multimask output, one without.
    pub fn masks_per_object(&self, multimask: bool) -> u32 {
        if multimask { self.multimask_count } else { 1 }
    }

    /// Checks what the rest of the code relies on.
    ///
    /// # Errors
    /// `SAM_MM_ERR_INTERNAL`, because a backend that says such a thing has a defect.
    pub fn check(&self) -> Result<()> {
        let wrong = if self.mask_size == 0
            || self.input_size == 0
            || !self.input_size.is_multiple_of(self.mask_size)
        {
            format!(
                "input_size {} must be a positive multiple of mask_size {}",
                self.input_size, self.mask_size
            )
        } else if self.input_size > MAX_INPUT_SIZE {
            format!(
                "input_size {} is larger than {MAX_INPUT_SIZE}",
                self.input_size
            )
        } else if self.multimask_count == 0 || self.multimask_count > MAX_MULTIMASK_COUNT {
            format!(
                "multimask_count {} must be 1 to {MAX_MULTIMASK_COUNT}",
                self.multimask_count
            )
        } else {
            return Ok(());
        };
        Err(BackendError::internal(format!(
            "the backend describes an impossible model: {wrong}"
        )))
    }
}

/// Largest `input_size` a model may have. A bound on what a defective plugin can make the host allocate.
pub const MAX_INPUT_SIZE: u32 = 16_384;
/// Largest `multimask_count` a model may have, as a bound like [`MAX_INPUT_SIZE`].
pub const MAX_MULTIMASK_COUNT: u32 = 64;

/// How an operation is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Attention of the image encoder.
    pub attention: Attention,
    /// Precision the operation computes in.
    pub precision: Precision,
    /// Objects in one `decode`; 0 when only the encoder is asked about.
    pub num_objects: u32,
}

impl Plan {
    /// Full attention in single precision.
    pub const DEFAULT: Self = Self {
        attention: Attention::Full,
        precision: Precision::Fp32,
        num_objects: 0,
    };

    /// The struct of the border.
    pub fn to_abi(self) -> abi::sam_mm_backend_plan {
        abi::sam_mm_backend_plan {
            attention: self.attention.to_abi(),
            precision: self.precision.to_abi(),
            num_objects: self.num_objects,
            ..zeroed()
        }
    }

    /// From the struct of the border.
    ///
    /// # Errors
    /// `SAM_MM_ERR_UNSUPPORTED` for an attention or precision that this version does not know.
    pub fn from_abi(wire: &abi::sam_mm_backend_plan) -> Result<Self> {
        Ok(Self {
            attention: Attention::from_abi(wire.attention).ok_or_else(|| {
                BackendError::unsupported(format!(
                    "plan.attention is {}, which is not known here",
                    wire.attention
                ))
            })?,
            precision: known_precision(wire.precision, "plan.precision")?,
            num_objects: wire.num_objects,
        })
    }
}

/// The precision of a number of the border, named `argument` in messages.
///
/// # Errors
/// `SAM_MM_ERR_UNSUPPORTED` for one that this version does not know.
pub fn known_precision(number: u32, argument: &str) -> Result<Precision> {
    Precision::from_abi(number).ok_or_else(|| {
        BackendError::unsupported(format!("{argument} is {number}, which is not known here"))
    })
}

/// Memory that a plan needs on the device, over and above the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of the embedding that `encode` leaves behind.
    pub embedding_bytes: u64,
    /// Peak bytes of intermediate tensors in `encode`.
    pub encode_workspace_bytes: u64,
    /// Peak bytes of intermediate tensors in `decode`.
    pub decode_workspace_bytes: u64,
}

impl Estimate {
    /// The struct of the border.
    pub fn to_abi(self) -> abi::sam_mm_backend_estimate {
        abi::sam_mm_backend_estimate {
            embedding_bytes: self.embedding_bytes,
            encode_workspace_bytes: self.encode_workspace_bytes,
            decode_workspace_bytes: self.decode_workspace_bytes,
            ..zeroed()
        }
    }

    /// From the struct of the border.
    pub fn from_abi(wire: &abi::sam_mm_backend_estimate) -> Self {
        Self {
            embedding_bytes: wire.embedding_bytes,
            encode_workspace_bytes: wire.encode_workspace_bytes,
            decode_workspace_bytes: wire.decode_workspace_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_reads_back_as_written() {
        for name in ["cpu", "cuda:0", "cuda:17"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse::<DeviceName>().unwrap(), DeviceName::Cuda(0));
    }

    #[test]
    fn a_device_that_is_no_device_is_refused_with_its_name() {
        for name in [
            "",
            "CPU",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda: 1",
            "cuda:99999999999",
            "auto",
            "cpu\n",
        ] {
            let error = name.parse::<DeviceName>().unwrap_err();
            assert!(error.message.contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn figures_that_were_not_had_stay_unknown() {
        let figures = MemInfo {
            device: Some(DeviceMemory { total: 8, free: 0 }),
            ..Default::default()
        };
        assert_eq!(MemInfo::from_abi(&figures.to_abi()), figures);
        assert_eq!(
            MemInfo::from_abi(&MemInfo::default().to_abi()),
            MemInfo::default()
        );
    }

    #[test]
    fn a_plan_survives_the_border_and_an_unknown_one_is_refused() {
        let plan = Plan {
            attention: Attention::Chunked,
            precision: Precision::Bf16,
            num_objects: 4,
        };
        assert_eq!(Plan::from_abi(&plan.to_abi()).unwrap(), plan);
        let unknown = abi::sam_mm_backend_plan {
            attention: 7,
            ..plan.to_abi()
        };
        assert_eq!(
            Plan::from_abi(&unknown).unwrap_err().code,
            abi::SAM_MM_ERR_UNSUPPORTED
        );
    }
}
