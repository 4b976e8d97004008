//! The zip archives that `torch.save` has written since PyTorch 1.6: a pickle of the objects, and beside it one entry per
//! storage, uncompressed, so that tensors can be borrowed from the file.
//!
//! ```text
//! archive/data.pkl      the objects; tensors refer to storages by key
//! archive/byteorder     "little" (absent before PyTorch 2.1)
//! archive/data/0        the elements of storage "0"
//! archive/data/1        …
//! ```

mod archive;
mod pickle;
mod state_dict;

use archive::Archive;
use pickle::{ElementType, TensorObject};

use crate::error::{LayoutProblem, Problem, shown};
use crate::foreign::ForeignFormat;
use crate::tensor::TensorLayout;

/// Whether the bytes begin as a zip archive does.
pub(crate) fn recognise(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Reads the names and places of all tensors of the state dict.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<(String, TensorLayout)>, Problem> {
    let archive = Archive::read(bytes)?;
    if archive.is_torchscript() {
        return Err(Problem::Foreign(ForeignFormat::TorchScript));
    }
    if !archive.has_pickle() {
        return Err(Problem::Foreign(ForeignFormat::OtherZip));
    }
    let objects = pickle::Objects::read(archive.pickle()?)?;
    let tensors = state_dict::find(&objects)?;
    tensors
        .into_iter()
        .map(|(name, tensor)| match place(&archive, tensor) {
            Ok(layout) => Ok((name.to_owned(), layout)),
            Err(problem) => Err(Problem::Tensor {
                tensor: shown(name),
                problem,
            }),
        })
        .collect()
}

/// Axes that are read. PyTorch itself stops at 64; weights have at most five.
const MAX_AXES: usize = 16;

fn place(archive: &Archive<'_>, tensor: &TensorObject<'_>) -> Result<TensorLayout, LayoutProblem> {
    let dtype = match tensor.element {
        ElementType::Read(dtype) => dtype,
        ElementType::Other(name) => return Err(LayoutProblem::Dtype(name.to_owned())),
        ElementType::Untyped => return Err(LayoutProblem::Dtype("untyped".to_owned())),
    };
    if tensor.shape.len() > MAX_AXES {
        return Err(LayoutProblem::TooManyAxes {
            axes: tensor.shape.len(),
            limit: MAX_AXES,
        });
    }
    let key = tensor.storage.key;
    let range = archive
        .storage(key)
        .ok_or_else(|| LayoutProblem::NoStorage(shown(key)))?;
    let claimed = tensor.storage.len;
    let held = match tensor.storage.element {
        ElementType::Read(dtype) => range.len() / dtype.size(),
        ElementType::Other(_) | ElementType::Untyped => range.len(),
    };
    if usize::try_from(claimed).is_ok_and(|claimed| claimed > held) {
        return Err(LayoutProblem::ShortStorage {
            key: shown(key),
            claimed,
            held,
        });
    }
    let unsigned = |what, values: &[i64]| {
        let convert =
            |&value| usize::try_from(value).map_err(|_| LayoutProblem::Negative { what, value });
        values.iter().map(convert).collect::<Result<Box<[_]>, _>>()
    };
    let offset = unsigned("offset", &[tensor.offset])?[0];
    unsigned("storage size", &[claimed])?;
    let shape = unsigned("size", &tensor.shape)?;
    let strides = unsigned("stride", &tensor.strides)?;
    TensorLayout::place(dtype, shape, strides, offset, range)
}
