//! What can be wrong with a checkpoint. Every error names the file, says what was found in it, and what to do.

use std::error::Error;
use std::fmt;
use std::io;

use crate::foreign::ForeignFormat;
use crate::tensor::Dtype;

/// Result of reading a checkpoint.
pub type Result<T, E = CheckpointError> = std::result::Result<T, E>;

/// A checkpoint that cannot be used: which one, and why.
#[derive(Debug)]
pub struct CheckpointError {
    file: Box<str>,
    problem: Box<Problem>,
}

impl CheckpointError {
    pub(crate) fn new(file: &str, problem: impl Into<Problem>) -> Self {
        Self {
            file: file.into(),
            problem: Box::new(problem.into()),
        }
    }

    /// The file, or the name given for bytes in memory.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.problem)
    }
}

impl Error for CheckpointError {
    // The text above already holds the problem, so the chain goes on with what lies beneath it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}

/// What is wrong with a checkpoint. Texts go on from the name of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be opened or mapped.
    #[error("cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// The file has no bytes.
    #[error("is empty (0 bytes): the download did not finish; fetch it again")]
    Empty,
    /// The file is of another kind.
    #[error("{0}")]
    Foreign(ForeignFormat),
    /// The zip archive around a `.pth` file is damaged.
    #[error("{0}")]
    Archive(#[from] ArchiveProblem),
    /// The pickle in a `.pth` file is damaged, hostile, or holds more than tensors.
    #[error("{0}")]
    Pickle(#[from] PickleProblem),
    /// The header of a `.safetensors` file is damaged.
    #[error("is damaged: its safetensors header cannot be used ({0}); fetch it again")]
    Safetensors(String),
    /// A tensor does not fit the bytes it claims.
    #[error("cannot be read: its tensor `{tensor}` {problem}")]
    Tensor {
        /// Name of the tensor, made safe to print.
        tensor: String,
        /// What is wrong with it.
        problem: LayoutProblem,
    },
    /// There is no dictionary of tensors in the file.
    #[error("{0}")]
    NoStateDict(String),
    /// Two tensors have the same name.
    #[error("holds two tensors named `{0}`: it is damaged or forged")]
    DuplicateTensor(String),
    /// All tensors together claim far more bytes than the file has.
    #[error(
        "is damaged or forged: its tensors share storage so that they claim {claimed} bytes in a file of {held} bytes"
    )]
    Amplified {
        /// Bytes that all tensors claim together.
        claimed: u128,
        /// Bytes of the file.
        held: usize,
    },
    /// The tensors are not those of a model that is known.
    #[error("{0}")]
    Architecture(#[from] ArchitectureProblem),
    /// The model is known, but the file lacks tensors of it, or has some in other shapes.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
}

/// What is wrong with the zip archive around a `.pth` file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// The directory at the end of the archive is missing or damaged.
    #[error(
        "is cut short or damaged: the zip directory that ends such a file cannot be read in its {len} bytes ({reason}); \
         fetch it again"
    )]
    Directory {
        /// Bytes of the file.
        len: usize,
        /// What the zip reader said.
        reason: String,
    },
    /// More entries than any checkpoint has.
    #[error(
        "claims to hold {count} zip entries, more than the {limit} that are read: it is damaged or forged"
    )]
    TooManyEntries {
        /// Entries claimed.
        count: usize,
        /// Largest number read.
        limit: usize,
    },
    /// Two entries of one name.
    #[error("holds two zip entries named `{0}`: it is damaged or forged")]
    DuplicateEntry(String),
    /// An entry lies outside of the file.
    #[error(
        "is cut short or damaged: its zip entry `{0}` does not lie within the file; fetch it again"
    )]
    EntryOutsideFile(String),
    /// An entry is compressed or encrypted, which `torch.save` never does.
    #[error(
        "has a compressed or encrypted zip entry (`{0}`): torch.save stores entries as they are; unpack the archive and \
         pack it without compression (zip -0), or save it again with torch.save"
    )]
    NotStored(String),
    /// More than one `data.pkl`.
    #[error("holds more than one data.pkl (`{0}` and `{1}`): it is damaged or forged")]
    SeveralPickles(String, String),
    /// The tensors are of the other byte order.
    #[error(
        "was saved on a machine of byte order `{0}`, and only little-endian files are read: load and save it again on a \
         little-endian machine"
    )]
    ByteOrder(String),
}

/// What is wrong with the pickle in a `.pth` file. Nothing in the file was run, whichever it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleProblem {
    /// The pickle refers to a Python object that is not on the list.
    #[error(
        "refers to the Python object `{global}`, which no file of tensors needs; nothing in it was run. If you trust \
         its origin, load it in Python and save the tensors alone: torch.save(model.state_dict(), path)"
    )]
    ForbiddenGlobal {
        /// Module and name, such as `posix.system`, made safe to print.
        global: String,
    },
    /// Ends within an instruction, or without the one that ends it.
    #[error("is damaged: its data.pkl ends early, after {position} bytes; fetch it again")]
    Truncated {
        /// Bytes read.
        position: usize,
    },
    /// An instruction that is not understood, or not supported in checkpoints.
    #[error(
        "is damaged, or was written in another way than by torch.save: its data.pkl has {what} at byte {position}; \
         nothing in it was run"
    )]
    Invalid {
        /// What was met.
        what: String,
        /// Where in `data.pkl`.
        position: usize,
    },
    /// More than any checkpoint needs.
    #[error(
        "is damaged or forged: its data.pkl has more than {limit} {what}; nothing in it was run"
    )]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// Largest number read.
        limit: usize,
    },
}

/// Why a tensor does not fit the bytes it claims.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutProblem {
    /// An element type that no weight has.
    #[error(
        "has elements of type {0}; float32, float16, bfloat16, float64, int64, int32, uint8 and bool are read. A \
         quantised model cannot be loaded: use the original checkpoint"
    )]
    Dtype(String),
    /// A size, stride or offset below zero.
    #[error("has a negative {what} ({value}): the file is damaged or forged")]
    Negative {
        /// Which figure.
        what: &'static str,
        /// Its value.
        value: i64,
    },
    /// Sizes whose product no memory can hold.
    #[error("has a shape too large for any memory, {shape:?}: the file is damaged or forged")]
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
    },
    /// As many strides as axes are needed.
    #[error("has {axes} axes and {strides} strides: the file is damaged or forged")]
    RankMismatch {
        /// Axes.
        axes: usize,
        /// Strides.
        strides: usize,
    },
    /// More axes than any weight has.
    #[error("has {axes} axes, more than the {limit} that are read")]
    TooManyAxes {
        /// Axes.
        axes: usize,
        /// Largest number read.
        limit: usize,
    },
    /// Reaches past the end of its storage.
    #[error("reaches element {end} of a storage that has {held}: the file is damaged or forged")]
    OutsideStorage {
        /// One past the last element reached.
        end: usize,
        /// Elements of the storage.
        held: usize,
    },
    /// Elements share bytes, as in a tensor made by `expand`.
    #[error(
        "has elements that share bytes (shape {shape:?}, strides {strides:?}); if it was made by expand(), save it after \
         contiguous()"
    )]
    Overlapping {
        /// Shape.
        shape: Vec<usize>,
        /// Strides, in elements.
        strides: Vec<usize>,
    },
    /// The storage is not in the file.
    #[error("refers to storage `{0}`, which is not in the file: the file is damaged or forged")]
    NoStorage(String),
    /// The storage has fewer bytes than it is said to have.
    #[error(
        "refers to storage `{key}`, which is said to hold {claimed} elements and holds {held}: the file is damaged or \
         forged"
    )]
    ShortStorage {
        /// Key of the storage.
        key: String,
        /// Elements claimed.
        claimed: i64,
        /// Elements held.
        held: usize,
    },
}

/// Why the model of a checkpoint cannot be told, or cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureProblem {
    /// A model that resembles SAM or is often taken for it.
    #[error("holds {model}, not a model that can be run here: {advice}")]
    LookAlike {
        /// Name of the model.
        model: &'static str,
        /// What to load instead.
        advice: &'static str,
    },
    /// Nothing that is known.
    #[error(
        "holds no Segment Anything model: there are other tensors in it ({count}: {first}). A checkpoint of SAM \
         (sam_vit_b_01ec64.pth, sam_vit_l_0b3195.pth, sam_vit_h_4b8939.pth), MobileSAM (mobile_sam.pt) or SAM 2 \
         (sam2.1_hiera_tiny.pt and its sisters), or one fine-tuned from them, is needed"
    )]
    Unknown {
        /// Tensors in the file.
        count: usize,
        /// The first names, made safe to print.
        first: String,
    },
    /// A property that neither shapes nor metadata tell.
    #[error(
        "holds {found}, but {what} cannot be told: {reason}. Save it as .safetensors with {keys} in its metadata"
    )]
    Undetermined {
        /// What was found.
        found: &'static str,
        /// The property.
        what: &'static str,
        /// Why it cannot be told.
        reason: String,
        /// Metadata keys that would tell.
        keys: &'static str,
    },
    /// Tensors without which the model cannot be told are missing.
    #[error(
        "holds {found}, but is incomplete: {missing} is missing, and nothing else tells {what}"
    )]
    Incomplete {
        /// What was found.
        found: &'static str,
        /// The tensors that were looked for.
        missing: String,
        /// The property they tell.
        what: &'static str,
    },
    /// A tensor in a shape that no such model has.
    #[error("holds {found}, but its tensor `{tensor}` has the shape {shape:?}, and {wanted}")]
    Shape {
        /// What was found.
        found: &'static str,
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// What is needed.
        wanted: String,
    },
    /// Metadata that is not a number, or says other than the shapes.
    #[error("says `{key}` = `{value}` in its metadata, but {reason}")]
    Metadata {
        /// Key.
        key: &'static str,
        /// Value, made safe to print.
        value: String,
        /// What speaks against it.
        reason: String,
    },
}

/// A checkpoint of a known model that lacks tensors, or has some in other shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Description of the model that was found.
    pub found: String,
    /// Tensors that such a model has.
    pub expected: usize,
    /// Names and shapes of the missing ones.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Those in another shape.
    pub misshaped: Vec<Misshaped>,
    /// Those whose elements are not real numbers.
    pub mistyped: Vec<(String, Dtype)>,
    /// Those that are no part of the model.
    pub unexpected: Vec<String>,
}

impl Mismatch {
    /// Whether all tensors that the model needs are there and fit.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.misshaped.is_empty() && self.mistyped.is_empty()
    }

    fn complaints(&self) -> impl Iterator<Item = String> {
        let missing = self
            .missing
            .iter()
            .map(|(name, shape)| format!("`{name}` {shape:?}"));
        let misshaped = self
            .misshaped
            .iter()
            .map(|t| format!("`{}` is {:?}, must be {:?}", t.name, t.found, t.wanted));
        let mistyped = self
            .mistyped
            .iter()
            .map(|(name, dtype)| format!("`{name}` is {dtype}"));
        let complaint =
            |count, what, list| (count > 0).then(|| format!("{} {what} ({list})", are(count)));
        [
            complaint(self.missing.len(), "missing", listed(missing)),
            complaint(self.misshaped.len(), "of another shape", listed(misshaped)),
            complaint(self.mistyped.len(), "not of a real type", listed(mistyped)),
        ]
        .into_iter()
        .flatten()
    }
}

/// A tensor whose shape is not the one the model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshaped {
    /// Name of the tensor.
    pub name: String,
    /// Shape in the file.
    pub found: Vec<usize>,
    /// Shape the model needs.
    pub wanted: Vec<usize>,
}

impl Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complaints: Vec<_> = self.complaints().collect();
        write!(
            f,
            "holds {} and does not fit it: of {} tensors {}",
            self.found,
            self.expected,
            complaints.join(", ")
        )?;
        if self.unexpected.is_empty() {
            return Ok(());
        }
        let first = self
            .unexpected
            .iter()
            .map(|name| format!("`{}`", shown(name)));
        let count = are(self.unexpected.len());
        write!(f, "; {count} no part of it ({})", listed(first))
    }
}

fn are(count: usize) -> String {
    match count {
        1 => "1 is".to_owned(),
        n => format!("{n} are"),
    }
}

/// Entries of a list that a message names.
pub(crate) const LISTED: usize = 5;

/// The first entries of a list, with a mark when there are more.
pub(crate) fn listed(mut items: impl Iterator<Item = String>) -> String {
    let first: Vec<_> = items.by_ref().take(LISTED).collect();
    let more = if items.next().is_some() { ", …" } else { "" };
    first.join(", ") + more
}

/// Text from a file, made safe to print: control characters escaped, cut when long.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut safe: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        safe.push('…');
    }
    safe
}
