//! Weights by their official names.

use std::fmt::Display;

use sam_mm_checkpoint::{Checkpoint, Dtype, TensorView};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

/// The tensors of a checkpoint below a prefix, and where and in which type they are wanted.
#[derive(Clone)]
pub struct Weights<'a> {
    checkpoint: &'a Checkpoint<'a>,
    prefix: String,
    device: Device,
    kind: Kind,
}

impl<'a> Weights<'a> {
    /// All tensors of a checkpoint.
    pub fn new(checkpoint: &'a Checkpoint<'a>, device: Device, kind: Kind) -> Self {
        Self {
            checkpoint,
            prefix: String::new(),
            device,
            kind,
        }
    }

    /// The tensors whose names start with `name.`.
    pub fn sub(&self, name: impl Display) -> Self {
        Self {
            prefix: format!("{}{name}.", self.prefix),
            ..self.clone()
        }
    }

    /// Element type of the tensors that are handed out.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Device of the tensors that are handed out.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The tensor of that name and shape, on [`device`](Self::device) and of [`kind`](Self::kind).
    ///
    /// # Errors
    /// When it is missing or misshaped, or memory runs out.
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        self.read(name, shape, self.kind)
    }

    /// As [`tensor`](Self::tensor), in fp32 whatever the kind: for values that are computed with before they are used.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn tensor_fp32(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        self.read(name, shape, Kind::Float)
    }

    fn read(&self, name: &str, shape: &[i64], kind: Kind) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let Some(view) = self.checkpoint.tensor(&name) else {
            return Err(Error::missing_weight(self.checkpoint.source_name(), &name));
        };
        let found: Vec<i64> = view.shape.iter().map(|&n| n as i64).collect();
        if found != shape {
            let file = self.checkpoint.source_name();
            return Err(Error::misshaped_weight(file, &name, &found, shape));
        }
        Ok(copy(&view, &found)?.f_to_device_(self.device, kind, false, false)?)
    }
}

/// The elements in memory of their own, on the CPU and of their own type.
fn copy(view: &TensorView, shape: &[i64]) -> Result<Tensor> {
    let kind = match view.dtype {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::U8 => Kind::Uint8,
        Dtype::Bool => Kind::Bool,
    };
    let bytes = view.contiguous();
    Ok(Tensor::f_from_data_size(&bytes, shape, kind)?)
}
