//! Element types, tensor views, and the check that a tensor's layout fits the bytes it claims.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use half::{bf16, f16};

use crate::error::LayoutProblem;

/// Element type of a tensor. All are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    BF16,
    /// IEEE 754 binary64.
    F64,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 8-bit unsigned integer.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether elements are real numbers, as weights are.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16 | Self::F64)
    }

    /// Name as PyTorch writes it, such as `float32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F64 => "float64",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::U8 => "uint8",
            Self::Bool => "bool",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tensor of a checkpoint, borrowed from the mapped file.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Element type.
    pub dtype: Dtype,
    /// Length of every axis; empty for a scalar.
    pub shape: &'a [usize],
    /// Elements from one index to the next along every axis. Elements never overlap.
    pub strides: &'a [usize],
    /// Bytes from the first element to the last one that the strides reach. For a contiguous tensor these are exactly
    /// its elements in row-major order. Not aligned to the element type.
    pub bytes: &'a [u8],
}

impl<'a> TensorView<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Whether [`bytes`](Self::bytes) holds the elements in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape
            .iter()
            .zip(self.strides)
            .rev()
            .all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected *= size;
                fits
            })
            || self.is_empty()
    }

    /// The elements in row-major order: borrowed when they lie so in the file, copied together otherwise.
    pub fn contiguous(&self) -> Cow<'a, [u8]> {
        if self.is_contiguous() {
            return Cow::Borrowed(self.bytes);
        }
        let element = self.dtype.size();
        let mut packed = Vec::with_capacity(self.len() * element);
        let mut index = vec![0; self.shape.len()];
        let mut offset = 0;
        for _ in 0..self.len() {
            packed.extend_from_slice(&self.bytes[offset * element..][..element]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                offset += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                offset -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        Cow::Owned(packed)
    }

    /// The elements in row-major order as `f32`, whatever their type.
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = self.contiguous();
        match self.dtype {
            Dtype::F32 => convert(&bytes, f32::from_le_bytes),
            Dtype::F16 => convert(&bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => convert(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Dtype::F64 => convert(&bytes, |b| f64::from_le_bytes(b) as f32),
            Dtype::I64 => convert(&bytes, |b| i64::from_le_bytes(b) as f32),
            Dtype::I32 => convert(&bytes, |b| i32::from_le_bytes(b) as f32),
            Dtype::U8 | Dtype::Bool => convert(&bytes, |[b]: [u8; 1]| f32::from(b)),
        }
    }
}

fn convert<const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks();
    elements.iter().map(|&bytes| element(bytes)).collect()
}

/// Where a tensor lies in the file. Checked once, when the file is opened.
#[derive(Clone, Debug)]
pub(crate) struct TensorLayout {
    pub dtype: Dtype,
    pub shape: Box<[usize]>,
    pub strides: Box<[usize]>,
    /// Bytes of the file from the first element to the last.
    pub range: Range<usize>,
}

impl TensorLayout {
    /// Places a tensor whose first element is `offset` elements into the storage that takes up `storage` in the file.
    ///
    /// Refuses whatever would read outside of the storage, and elements that share bytes: such a tensor can claim any
    /// size while its file stays small.
    pub fn place(
        dtype: Dtype,
        shape: Box<[usize]>,
        strides: Box<[usize]>,
        offset: usize,
        storage: Range<usize>,
    ) -> Result<Self, LayoutProblem> {
        if shape.len() != strides.len() {
            return Err(LayoutProblem::RankMismatch {
                axes: shape.len(),
                strides: strides.len(),
            });
        }
        let too_large = || LayoutProblem::TooLarge {
            shape: shape.to_vec(),
        };
        let held = storage.len() / dtype.size();
        let count = product(&shape).ok_or_else(too_large)?;
        let span = if count == 0 {
            0
        } else {
            span(&shape, &strides).ok_or_else(too_large)?
        };
        let end = offset.checked_add(span).ok_or_else(too_large)?;
        if end > held {
            return Err(LayoutProblem::OutsideStorage { end, held });
        }
        if count > 0 && overlaps(&shape, &strides) {
            return Err(LayoutProblem::Overlapping {
                shape: shape.to_vec(),
                strides: strides.to_vec(),
            });
        }
        let start = storage.start + offset * dtype.size();
        Ok(Self {
            dtype,
            shape,
            strides,
            range: start..start + span * dtype.size(),
        })
    }

    /// Bytes of the elements themselves, gaps between them not counted.
    pub fn element_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}

fn product(shape: &[usize]) -> Option<usize> {
    // A zero anywhere makes the product 0, yet the other factors must not overflow when a consumer multiplies them.
    shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size.max(1)))
        .filter(|&n| n <= isize::MAX as usize / 8)
        .map(|n| if shape.contains(&0) { 0 } else { n })
}

/// Elements from the first to the last one reached, both included.
fn span(shape: &[usize], strides: &[usize]) -> Option<usize> {
    shape
        .iter()
        .zip(strides)
        .try_fold(1usize, |reach, (&size, &stride)| {
            reach.checked_add((size - 1).checked_mul(stride)?)
        })
}

/// Whether two elements may share a place. Sorted by stride, every axis must step over all that the finer ones reach.
fn overlaps(shape: &[usize], strides: &[usize]) -> bool {
    let mut axes: Vec<_> = shape
        .iter()
        .zip(strides)
        .filter(|(size, _)| **size > 1)
        .collect();
    axes.sort_by_key(|(_, stride)| **stride);
    let mut reach = 1;
    for (&size, &stride) in axes {
        if stride < reach {
            return true;
        }
        reach += (size - 1) * stride;
    }
    false
}

/// Row-major strides of a shape whose product is known to be in range.
pub(crate) fn contiguous_strides(shape: &[usize]) -> Box<[usize]> {
    let mut strides = vec![1usize; shape.len()].into_boxed_slice();
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
    }
    strides
}
