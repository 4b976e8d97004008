//! `.safetensors` files: a length, a JSON header, and the tensors one after another.

use std::collections::BTreeMap;

use safetensors::tensor::Dtype as FileDtype;
use safetensors::{SafeTensorError, SafeTensors};

use crate::error::{LayoutProblem, Problem, shown};
use crate::tensor::{Dtype, TensorLayout, contiguous_strides};

/// Largest header that is read. That of ViT-H has some 60 KB; a limit keeps a forged one from filling the memory.
const MAX_HEADER_BYTES: u64 = 8 << 20;
const LENGTH_BYTES: usize = 8;

/// What a `.safetensors` file holds.
pub(crate) struct Contents {
    pub tensors: Vec<(String, TensorLayout)>,
    pub metadata: BTreeMap<String, String>,
}

/// Whether the bytes begin as a safetensors file does: a header length, and a brace.
pub(crate) fn recognise(bytes: &[u8]) -> bool {
    header_len(bytes).is_some_and(|len| len < 1 << 40)
        && matches!(bytes.get(LENGTH_BYTES), Some(b'{'))
}

fn header_len(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|len| u64::from_le_bytes(*len))
}

pub(crate) fn read(bytes: &[u8]) -> Result<Contents, Problem> {
    let claimed = header_len(bytes).unwrap_or(0);
    if claimed > MAX_HEADER_BYTES {
        return Err(Problem::Safetensors(format!(
            "it claims {claimed} bytes, more than the {MAX_HEADER_BYTES} that are read"
        )));
    }
    let (header, index) =
        SafeTensors::read_metadata(bytes).map_err(|error| Problem::Safetensors(reason(&error)))?;
    let data = LENGTH_BYTES + header;
    let mut tensors = Vec::new();
    for (name, info) in index.tensors() {
        let (start, end) = info.data_offsets;
        let layout = dtype(info.dtype).and_then(|dtype| {
            let strides = contiguous_strides(&info.shape);
            let shape = info.shape.clone().into_boxed_slice();
            TensorLayout::place(dtype, shape, strides, 0, data + start..data + end)
        });
        let layout = layout.map_err(|problem| Problem::Tensor {
            tensor: shown(&name),
            problem,
        })?;
        tensors.push((name, layout));
    }
    let metadata = index.metadata().clone().unwrap_or_default();
    Ok(Contents {
        tensors,
        metadata: metadata.into_iter().collect(),
    })
}

fn reason(error: &SafeTensorError) -> String {
    match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            "its tensors end elsewhere than the file does, which was cut short or added to"
                .to_owned()
        }
        other => shown(&other.to_string()),
    }
}

fn dtype(dtype: FileDtype) -> Result<Dtype, LayoutProblem> {
    Ok(match dtype {
        FileDtype::F32 => Dtype::F32,
        FileDtype::F16 => Dtype::F16,
        FileDtype::BF16 => Dtype::BF16,
        FileDtype::F64 => Dtype::F64,
        FileDtype::I64 => Dtype::I64,
        FileDtype::I32 => Dtype::I32,
        FileDtype::U8 => Dtype::U8,
        FileDtype::BOOL => Dtype::Bool,
        other => return Err(LayoutProblem::Dtype(format!("{other:?}"))),
    })
}
