//! An opened checkpoint: tensors by name, borrowed from the mapped file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use crate::error::{CheckpointError, Problem, Result, shown};
use crate::fingerprint::Fingerprint;
use crate::foreign::ForeignFormat;
use crate::names;
use crate::safetensors_file;
use crate::source::Source;
use crate::tensor::{TensorLayout, TensorView};
use crate::torch_file;

/// How many times the bytes of the file its tensors may claim together by sharing storage (tied weights are shared in
/// good files). A consumer that copies every tensor then needs memory in proportion to the file.
const MAX_SHARING: u128 = 16;
/// Room for files so small that the proportion says nothing.
const SHARING_FLOOR: u128 = 1 << 20;

/// Container that a checkpoint was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A zip archive made by `torch.save` (`.pth`, `.pt`).
    Torch,
    /// A `.safetensors` file.
    Safetensors,
}

/// An opened checkpoint.
///
/// Tensors are named as in the official files: wrappers such as `{"state_dict": …}` are opened, and prefixes such as
/// `module.`, `model.` or `sam.` that stand before all names of a model are taken off.
pub struct Checkpoint<'a> {
    source: Source<'a>,
    name: String,
    format: Format,
    tensors: BTreeMap<String, TensorLayout>,
    metadata: BTreeMap<String, String>,
    fingerprint: OnceLock<Fingerprint>,
}

impl Checkpoint<'static> {
    /// Opens a file by mapping it into memory. Only what is touched is read from the disk.
    ///
    /// The file must not be changed while the checkpoint is open: another process that rewrites it in place changes
    /// the tensors, and one that cuts it short ends this process when a lost page is read. Replacing it by renaming
    /// another file over it is safe.
    ///
    /// # Errors
    /// When the file cannot be opened, is not a checkpoint, is damaged, or asks for code to be run.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let source =
            Source::map(path).map_err(|error| CheckpointError::new(&name, Problem::Open(error)))?;
        Self::read(source, name)
    }
}

impl<'a> Checkpoint<'a> {
    /// Reads a checkpoint from bytes in memory, borrowed or owned. `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], but for opening.
    pub fn from_bytes(bytes: impl Into<Cow<'a, [u8]>>, name: impl Into<String>) -> Result<Self> {
        Self::read(Source::Memory(bytes.into()), name.into())
    }

    fn read(source: Source<'a>, name: String) -> Result<Self> {
        let contents = Contents::read(&source).map_err(|p| CheckpointError::new(&name, p))?;
        Ok(Self {
            source,
            name,
            format: contents.format,
            tensors: contents.tensors,
            metadata: contents.metadata,
            fingerprint: OnceLock::new(),
        })
    }

    /// The path as it was given, or the name given for bytes in memory.
    pub fn source_name(&self) -> &str {
        &self.name
    }

    /// The container it was read from.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.tensors.get(name).map(|layout| self.view(layout))
    }

    /// All tensors with their names, in alphabetical order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, TensorView<'_>)> {
        self.tensors
            .iter()
            .map(|(name, layout)| (name.as_str(), self.view(layout)))
    }

    /// Text metadata of a `.safetensors` file; empty for other files.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// A number that stands for the contents: names, types, shapes, all elements, and the metadata. The same model
    /// saved as `.pth` and as `.safetensors` without metadata has the same fingerprint.
    ///
    /// Reads all tensors at the first call (XXH3, 128 bits; not made to withstand forgery) and remembers the result.
    pub fn fingerprint(&self) -> Fingerprint {
        *self.fingerprint.get_or_init(|| Fingerprint::of(self))
    }

    fn view<'s>(&'s self, layout: &'s TensorLayout) -> TensorView<'s> {
        TensorView {
            dtype: layout.dtype,
            shape: &layout.shape,
            strides: &layout.strides,
            bytes: &self.source[layout.range.clone()],
        }
    }
}

impl fmt::Debug for Checkpoint<'_> {
    /// Without the bytes, of which there may be gigabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("source_name", &self.name)
            .field("format", &self.format)
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

struct Contents {
    format: Format,
    tensors: BTreeMap<String, TensorLayout>,
    metadata: BTreeMap<String, String>,
}

impl Contents {
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.is_empty() {
            return Err(Problem::Empty);
        }
        let (format, tensors, metadata) = if torch_file::recognise(bytes) {
            (Format::Torch, torch_file::read(bytes)?, BTreeMap::new())
        } else if safetensors_file::recognise(bytes) {
            let contents = safetensors_file::read(bytes)?;
            (Format::Safetensors, contents.tensors, contents.metadata)
        } else {
            return Err(Problem::Foreign(ForeignFormat::sniff(bytes)));
        };
        if tensors.is_empty() {
            return Err(Problem::NoStateDict("holds no tensors".to_owned()));
        }
        refuse_amplification(&tensors, bytes.len())?;
        Ok(Self {
            format,
            tensors: by_name(names::strip_prefix(tensors)?)?,
            metadata,
        })
    }
}

fn refuse_amplification(tensors: &[(String, TensorLayout)], held: usize) -> Result<(), Problem> {
    let claimed = tensors.iter().map(|(_, t)| t.element_bytes() as u128).sum();
    if claimed > held as u128 * MAX_SHARING + SHARING_FLOOR {
        return Err(Problem::Amplified { claimed, held });
    }
    Ok(())
}

fn by_name(
    tensors: Vec<(String, TensorLayout)>,
) -> Result<BTreeMap<String, TensorLayout>, Problem> {
    let mut map = BTreeMap::new();
    for (name, layout) in tensors {
        if map.contains_key(&name) {
            return Err(Problem::DuplicateTensor(shown(&name)));
        }
        map.insert(name, layout);
    }
    Ok(map)
}
