//! The embedding of one image, and its form as bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use sam_mm_backend_abi::sdk::{BackendError, Embedding, Precision};
use tch::{Device, Kind, Tensor};
use twox_hash::XxHash3_64;

use crate::cells::PER_CELL;
use crate::error::{Error, Result};
use crate::precision::{element_size, kind_of, precision_of};
use crate::shim::Scope;

/// What the image encoder made of one image.
pub struct ImageEmbedding {
    /// A number that no other embedding of this process has.
    id: u64,
    features: Features,
    precision: Precision,
    geometry: Geometry,
    model: ModelKey,
}

/// What an image becomes, cell by cell.
pub struct Features {
    /// `(N, C)`: the cells of the embedding, row by row.
    pub cells: Tensor,
    /// Finer levels beside it, in SAM 2.
    pub high_res: Option<HighResFeatures>,
}

/// Two finer levels of features, in the order in which the mask decoder's upscaling meets them ([`crate::cells`]).
pub struct HighResFeatures {
    /// `(N, 16, C/8)`: 4×4 for each cell (`feat_s0`).
    pub s0: Tensor,
    /// `(N, 4, C/4)`: 2×2 for each cell (`feat_s1`).
    pub s1: Tensor,
}

impl Features {
    /// Of another type; the same tensors where they are of it already.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn to_kind(&self, kind: Kind) -> Result<Self> {
        self.map(|tensor| Ok(tensor.f_to_kind(kind)?))
    }

    fn map(&self, each: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let high_res = self.high_res.as_ref().map(|levels| -> Result<_> {
            Ok(HighResFeatures {
                s0: each(&levels.s0)?,
                s1: each(&levels.s1)?,
            })
        });
        Ok(Self {
            cells: each(&self.cells)?,
            high_res: high_res.transpose()?,
        })
    }

    /// The tensors, in the order in which they are exported.
    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let finer = self
            .high_res
            .iter()
            .flat_map(|levels| [&levels.s1, &levels.s0]);
        std::iter::once(&self.cells).chain(finer)
    }
}

/// Sizes of an image, `(width, height)` in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// As the caller has it.
    pub original: (u32, u32),
    /// As the encoder got it, before padding.
    pub resized: (u32, u32),
}

/// What an exported embedding must have been made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelKey {
    /// Stands for the contents of the checkpoint.
    pub fingerprint: u128,
    /// Side of the embedding, in cells.
    pub grid: u32,
    /// Channels of the embedding.
    pub channels: u32,
    /// Side of the encoder's input, in pixels.
    pub input_size: u32,
    /// Finer levels beside the cells: 2 in SAM 2, else 0.
    pub finer_levels: u32,
}

impl ModelKey {
    /// Elements of an embedding.
    pub fn elements(&self) -> usize {
        self.shapes().iter().map(|shape| count(shape)).sum()
    }

    /// The shapes of the tensors, in the order in which they are exported.
    fn shapes(&self) -> Vec<Vec<i64>> {
        let (cells, channels) = (
            i64::from(self.grid) * i64::from(self.grid),
            i64::from(self.channels),
        );
        let mut shapes = vec![vec![cells, channels]];
        let finer = [
            vec![cells, 4, channels / 4],
            vec![cells, PER_CELL as i64, channels / 8],
        ];
        shapes.extend(finer.into_iter().take(self.finer_levels as usize));
        shapes
    }
}

fn count(shape: &[i64]) -> usize {
    shape.iter().product::<i64>() as usize
}

impl ImageEmbedding {
    /// Takes the encoder's output.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(features: &Features, geometry: Geometry, model: ModelKey) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let shapes: Vec<_> = features.tensors().map(Tensor::size).collect();
        if shapes != model.shapes() {
            return Err(Error::Internal(format!(
                "an embedding of {model} cannot be of the shapes {shapes:?}"
            )));
        }
        let kind = features.cells.f_kind()?;
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            precision: precision_of(kind).ok_or_else(|| {
                Error::Internal(format!("an embedding of {kind:?} elements cannot be kept"))
            })?,
            features: features.map(|tensor| Ok(tensor.f_contiguous()?))?,
            geometry,
            model,
        })
    }

    /// A number that no other embedding of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What the encoder made of the image, each tensor contiguous.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// `(N, C)`.
    pub fn cells(&self) -> &Tensor {
        &self.features.cells
    }

    /// Sizes of the image.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The model that made it.
    pub fn model(&self) -> ModelKey {
        self.model
    }

    /// Makes an embedding of `model` on `device` from exported bytes, bit for bit.
    ///
    /// # Errors
    /// `SAM_MM_ERR_INVALID_ARGUMENT` for bytes that are damaged, no export, or of another model.
    pub fn import(bytes: &[u8], model: ModelKey, device: Device) -> Result<Self> {
        let (header, mut payload) = Header::read(bytes, &model)?;
        let size = element_size(header.stored);
        let mut tensors = Vec::new();
        for shape in model.shapes() {
            // The header was read, so the payload is as long as all shapes together.
            let (of_this, rest) = payload.split_at(count(&shape) * size);
            let tensor = Tensor::f_from_data_size(of_this, &shape, kind_of(header.stored))?;
            let tensor = tensor.f_to_kind(kind_of(header.precision))?;
            tensors.push(tensor.f_to(device)?);
            payload = rest;
        }
        let mut tensors = tensors.into_iter();
        let cells = tensors.next().expect("every embedding has cells");
        let high_res = tensors.next().zip(tensors.next());
        let features = Features {
            cells,
            high_res: high_res.map(|(s1, s0)| HighResFeatures { s0, s1 }),
        };
        Self::new(&features, header.geometry, model)
    }
}

impl Embedding for ImageEmbedding {
    fn device_bytes(&self) -> u64 {
        (self.model.elements() * element_size(self.precision)) as u64
    }

    fn export_len(&self) -> usize {
        Header::LEN + self.model.elements() * element_size(self.precision)
    }

    fn export(&self, buffer: &mut [u8]) -> Result<(), BackendError> {
        let _scope = Scope::enter().map_err(Error::from)?;
        let (head, payload) = buffer.split_at_mut(Header::LEN);
        write(&self.features, self.precision, payload)?;
        let header = Header {
            precision: self.precision,
            stored: self.precision,
            geometry: self.geometry,
        };
        head.copy_from_slice(&header.to_bytes(&self.model, payload));
        Ok(())
    }

    fn export_half(&self) -> Result<Option<Vec<u8>>, BackendError> {
        if element_size(self.precision) <= element_size(Precision::Fp16) {
            return Ok(None);
        }
        let _scope = Scope::enter().map_err(Error::from)?;
        // In host memory: the device may be what is short.
        let halved = self.features.map(|tensor| {
            let here = tensor.f_to(Device::Cpu)?;
            Ok(here.f_to_kind(kind_of(Precision::Fp16))?)
        })?;
        let elements = self.model.elements();
        let mut bytes = vec![0; Header::LEN + elements * element_size(Precision::Fp16)];
        let (head, payload) = bytes.split_at_mut(Header::LEN);
        write(&halved, Precision::Fp16, payload)?;
        if !payload.chunks_exact(2).all(is_finite_half) {
            return Ok(None);
        }
        let header = Header {
            precision: self.precision,
            stored: Precision::Fp16,
            geometry: self.geometry,
        };
        head.copy_from_slice(&header.to_bytes(&self.model, payload));
        Ok(Some(bytes))
    }
}

/// Writes the elements of all tensors, which are of `precision`, one after the other.
fn write(features: &Features, precision: Precision, mut payload: &mut [u8]) -> Result<()> {
    for tensor in features.tensors() {
        let elements = tensor.numel();
        let (of_this, rest) = payload.split_at_mut(elements * element_size(precision));
        tensor.f_copy_data_u8(of_this, elements)?;
        payload = rest;
    }
    Ok(())
}

/// Whether the two bytes of a binary16 are a finite number: its exponent is not all ones.
fn is_finite_half(bytes: &[u8]) -> bool {
    const EXPONENT: u16 = 0x7c00;
    u16::from_ne_bytes([bytes[0], bytes[1]]) & EXPONENT != EXPONENT
}

/// What stands before the elements in exported bytes. All numbers are little-endian.
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 8 | `SAMMMEMB` |
/// | 8 | 4 | version of this layout |
/// | 12 | 4 | precision (`SAM_MM_PRECISION_…`) |
/// | 16 | 16 | fingerprint of the checkpoint |
/// | 32 | 12 | grid, channels, input size |
/// | 44 | 16 | original width and height, resized width and height |
/// | 60 | 4 | finer levels |
/// | 64 | 4 | the precision that the elements are stored in, where it is a lower one; else zero |
/// | 68 | 4 | zero |
/// | 72 | 8 | XXH3 of the header before it and of the elements |
#[derive(Clone, Copy, Debug, PartialEq)]
struct Header {
    precision: Precision,
    /// What the elements are stored in.
    stored: Precision,
    geometry: Geometry,
}

impl Header {
    const MAGIC: [u8; 8] = *b"SAMMMEMB";
    const VERSION: u32 = 1;
    const CHECKED: usize = 72;
    const LEN: usize = Self::CHECKED + size_of::<u64>();

    fn to_bytes(self, model: &ModelKey, payload: &[u8]) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&Self::MAGIC);
        bytes[16..32].copy_from_slice(&model.fingerprint.to_le_bytes());
        let Geometry { original, resized } = self.geometry;
        let stored = match self.stored == self.precision {
            true => 0,
            false => self.stored.to_abi(),
        };
        let words = [
            (8, Self::VERSION),
            (12, self.precision.to_abi()),
            (32, model.grid),
            (36, model.channels),
            (40, model.input_size),
            (44, original.0),
            (48, original.1),
            (52, resized.0),
            (56, resized.1),
            (60, model.finer_levels),
            (64, stored),
        ];
        for (offset, word) in words {
            bytes[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
        }
        let checksum = checksum(&bytes[..Self::CHECKED], payload);
        bytes[Self::CHECKED..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Checks everything before anything is believed.
    fn read<'b>(bytes: &'b [u8], model: &ModelKey) -> Result<(Self, &'b [u8])> {
        let refuse = |what: String| {
            BackendError::invalid_argument(format!("these {} bytes are {what}", bytes.len()))
        };
        let Some((head, payload)) = bytes.split_first_chunk::<{ Self::LEN }>() else {
            return Err(refuse("too few for an exported embedding".into()).into());
        };
        let word = |offset: usize| {
            u32::from_le_bytes(
                head[offset..]
                    .first_chunk()
                    .copied()
                    .expect("inside of the header"),
            )
        };
        if head[..8] != Self::MAGIC {
            return Err(
                refuse("no exported embedding: they do not begin with SAMMMEMB".into()).into(),
            );
        }
        if word(8) != Self::VERSION {
            let version = word(8);
            return Err(refuse(format!(
                "an embedding of layout {version}; this version reads layout {}",
                Self::VERSION
            ))
            .into());
        }
        let found = ModelKey {
            fingerprint: u128::from_le_bytes(
                head[16..]
                    .first_chunk()
                    .copied()
                    .expect("inside of the header"),
            ),
            grid: word(32),
            channels: word(36),
            input_size: word(40),
            finer_levels: word(60),
        };
        if found != *model {
            return Err(refuse(format!(
                "an embedding of another model ({found}; this one is {model})"
            ))
            .into());
        }
        let known = |word| {
            Precision::from_abi(word)
                .ok_or_else(|| refuse(format!("an embedding of the unknown precision {word}")))
        };
        let precision = known(word(12))?;
        let stored = match word(64) {
            0 => precision,
            word => known(word)?,
        };
        let expected = model.elements() * element_size(stored);
        if payload.len() != expected {
            return Err(refuse(format!(
                "not a whole embedding: {} bytes of {stored} elements are expected, {} are there",
                expected,
                payload.len()
            ))
            .into());
        }
        let written = u64::from_le_bytes(
            head[Self::CHECKED..]
                .first_chunk()
                .copied()
                .expect("inside of the header"),
        );
        if checksum(&head[..Self::CHECKED], payload) != written {
            return Err(refuse("a damaged embedding: the checksum differs".into()).into());
        }
        let geometry = Geometry {
            original: (word(44), word(48)),
            resized: (word(52), word(56)),
        };
        geometry.check(model.input_size).map_err(refuse)?;
        Ok((
            Self {
                precision,
                stored,
                geometry,
            },
            payload,
        ))
    }
}

impl Geometry {
    fn check(&self, input_size: u32) -> Result<(), String> {
        let fits = |side: u32| (1..=input_size).contains(&side);
        if self.original.0 > 0
            && self.original.1 > 0
            && fits(self.resized.0)
            && fits(self.resized.1)
        {
            return Ok(());
        }
        Err(format!("an embedding of an impossible image: {self:?}"))
    }
}

impl std::fmt::Display for ModelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            fingerprint,
            grid,
            channels,
            input_size,
            finer_levels,
        } = self;
        write!(
            f,
            "checkpoint {fingerprint:032x}, {channels}x{grid}x{grid} and {finer_levels} finer levels from {input_size} pixels"
        )
    }
}

fn checksum(header: &[u8], payload: &[u8]) -> u64 {
    let seed = XxHash3_64::oneshot(header);
    XxHash3_64::oneshot_with_seed(seed, payload)
}
