//! The embedding of one image, and its form as bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use sam_mm_backend_abi::sdk::{BackendError, Embedding, Precision};
use tch::{Device, Tensor};
use twox_hash::XxHash3_64;

use crate::error::{Error, Result};
use crate::precision::{element_size, kind_of, precision_of};
use crate::shim::Scope;

/// What the image encoder made of one image.
pub struct ImageEmbedding {
    /// A number that no other embedding of this process has.
    id: u64,
    /// `(N, C)`, contiguous: the cells of the embedding, row by row.
    cells: Tensor,
    precision: Precision,
    geometry: Geometry,
    model: ModelKey,
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
}

impl ModelKey {
    fn elements(&self) -> usize {
        self.grid as usize * self.grid as usize * self.channels as usize
    }
}

impl ImageEmbedding {
    /// Takes the encoder's output `(N, C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(cells: &Tensor, geometry: Geometry, model: ModelKey) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let kind = cells.f_kind()?;
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            precision: precision_of(kind).ok_or_else(|| {
                Error::Internal(format!("an embedding of {kind:?} elements cannot be kept"))
            })?,
            cells: cells.f_contiguous()?,
            geometry,
            model,
        })
    }

    /// A number that no other embedding of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// `(N, C)`.
    pub fn cells(&self) -> &Tensor {
        &self.cells
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
        let (header, payload) = Header::read(bytes, &model)?;
        let cells = Tensor::f_from_data_size(
            payload,
            &[
                i64::from(model.grid) * i64::from(model.grid),
                i64::from(model.channels),
            ],
            kind_of(header.stored),
        )?;
        let cells = cells.f_to_kind(kind_of(header.precision))?;
        Self::new(&cells.f_to(device)?, header.geometry, model)
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
        self.cells
            .f_copy_data_u8(payload, self.model.elements())
            .map_err(Error::from)?;
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
        let cells = self.cells.f_to(Device::Cpu).map_err(Error::from)?;
        let halved = cells.f_to_kind(kind_of(Precision::Fp16));
        let halved = halved.map_err(Error::from)?;
        let elements = self.model.elements();
        let mut bytes = vec![0; Header::LEN + elements * element_size(Precision::Fp16)];
        let (head, payload) = bytes.split_at_mut(Header::LEN);
        halved
            .f_copy_data_u8(payload, elements)
            .map_err(Error::from)?;
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
/// | 60 | 4 | the precision that the elements are stored in, where it is a lower one; else zero |
/// | 64 | 8 | XXH3 of the header before it and of the elements |
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
    const CHECKED: usize = 64;
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
            (60, stored),
            (12, self.precision.to_abi()),
            (32, model.grid),
            (36, model.channels),
            (40, model.input_size),
            (44, original.0),
            (48, original.1),
            (52, resized.0),
            (56, resized.1),
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
        let stored = match word(60) {
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
        let stored = u64::from_le_bytes(
            head[Self::CHECKED..]
                .first_chunk()
                .copied()
                .expect("inside of the header"),
        );
        if checksum(&head[..Self::CHECKED], payload) != stored {
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
        } = self;
        write!(
            f,
            "checkpoint {fingerprint:032x}, {channels}x{grid}x{grid} from {input_size} pixels"
        )
    }
}

fn checksum(header: &[u8], payload: &[u8]) -> u64 {
    let seed = XxHash3_64::oneshot(header);
    XxHash3_64::oneshot_with_seed(seed, payload)
}
