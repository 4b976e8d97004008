//! Recognises what a file is when it is not a checkpoint that can be read, so that the error can say what to do.

use std::fmt;

/// A kind of file that is often found under a checkpoint's name and cannot be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignFormat {
    /// A git-lfs pointer: a few lines of text in place of the file.
    GitLfsPointer,
    /// An HTML or XML page, saved instead of the file.
    WebPage,
    /// A JSON document.
    Json,
    /// What `torch.save` wrote before PyTorch 1.6, and still does with `_use_new_zipfile_serialization=False`.
    LegacyTorch,
    /// A TorchScript archive made by `torch.jit.save`.
    TorchScript,
    /// A bare Python pickle.
    Pickle,
    /// A zip archive with something else in it, such as `.npz`.
    OtherZip,
    /// A gzip, xz, bzip2, zstd, 7z or tar file.
    Packed,
    /// An ONNX model.
    Onnx,
    /// A GGUF or GGML file.
    Gguf,
    /// An HDF5 file, such as Keras writes.
    Hdf5,
    /// A NumPy array.
    Npy,
    /// A picture.
    Picture,
    /// Text of some other kind.
    Text,
    /// Nothing that is known.
    Unknown,
}

const LEGACY_TORCH_MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

impl ForeignFormat {
    /// Recognises a file by its first bytes. Zip archives and safetensors are told apart by their readers.
    pub(crate) fn sniff(bytes: &[u8]) -> Self {
        let head = &bytes[..bytes.len().min(512)];
        let starts = |magics: &[&[u8]]| magics.iter().any(|magic| head.starts_with(magic));
        if starts(&[b"version https://git-lfs.github.com/spec/"]) {
            return Self::GitLfsPointer;
        }
        if head.len() > 2 && head[0] == 0x80 && (2..=5).contains(&head[1]) {
            let legacy = head[2..].starts_with(LEGACY_TORCH_MAGIC);
            return if legacy {
                Self::LegacyTorch
            } else {
                Self::Pickle
            };
        }
        if starts(&[
            b"\x1f\x8b",
            b"\xfd7zXZ\0",
            b"BZh",
            b"\x28\xb5\x2f\xfd",
            b"7z\xbc\xaf\x27\x1c",
            b"Rar!",
        ]) || head.get(257..262) == Some(b"ustar")
        {
            return Self::Packed;
        }
        if starts(&[b"GGUF", b"ggml", b"lmgg", b"fmgg", b"tjgg"]) {
            return Self::Gguf;
        }
        if starts(&[b"\x89HDF\r\n\x1a\n"]) {
            return Self::Hdf5;
        }
        if starts(&[b"\x93NUMPY"]) {
            return Self::Npy;
        }
        if starts(&[
            b"\x89PNG",
            b"\xff\xd8\xff",
            b"GIF8",
            b"BM",
            b"II*\0",
            b"MM\0*",
        ]) {
            return Self::Picture;
        }
        // An ONNX file is a protobuf whose first field is the IR version, a small number, followed by the producer.
        if head.len() > 4 && head[0] == 0x08 && head[1] < 0x20 && matches!(head[2], 0x12 | 0x3a) {
            return Self::Onnx;
        }
        Self::sniff_text(head)
    }

    fn sniff_text(head: &[u8]) -> Self {
        // The head may end within a character.
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or("")
            }
            Err(_) => return Self::Unknown,
        };
        if text.is_empty() || text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return Self::Unknown;
        }
        let text = text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .to_lowercase();
        if ["<!doctype", "<html", "<?xml", "<head", "<error"]
            .iter()
            .any(|tag| text.starts_with(tag))
        {
            Self::WebPage
        } else if text.starts_with('{') || text.starts_with('[') {
            Self::Json
        } else {
            Self::Text
        }
    }
}

impl fmt::Display for ForeignFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitLfsPointer => {
                "is a git-lfs pointer, not the checkpoint itself: fetch it with `git lfs pull`, or download it from \
                 its release page"
            }
            Self::WebPage => {
                "is a web page, not a checkpoint: the download gave an error or a login page; open the link in a \
                 browser to see what it says, and download again"
            }
            Self::Json => {
                "is a JSON document, not a checkpoint: weights lie beside it, in a .safetensors or .pth file"
            }
            Self::LegacyTorch => {
                "is in the format that torch.save wrote before PyTorch 1.6, which is not read here: convert it in \
                 Python with torch.save(torch.load(old, map_location=\"cpu\", weights_only=True), new)"
            }
            Self::TorchScript => {
                "is a TorchScript archive (torch.jit.save), which holds code beside its weights and is not read here: \
                 save the weights alone in Python with torch.save(torch.jit.load(old).state_dict(), new)"
            }
            Self::Pickle => {
                "is a bare Python pickle, not a file made by torch.save: it is not read, as it may hold code; save \
                 the state_dict with torch.save or as safetensors"
            }
            Self::OtherZip => {
                "is a zip archive, but not one that torch.save made: it holds no data.pkl; if the checkpoint was \
                 packed into it, unpack it first"
            }
            Self::Packed => "is a packed file: unpack it first",
            Self::Onnx => {
                "is an ONNX model: this library loads the original checkpoint it was exported from (.pth or \
                 .safetensors)"
            }
            Self::Gguf => {
                "is a GGML/GGUF file: this library loads the original checkpoint it was converted from (.pth or \
                 .safetensors)"
            }
            Self::Hdf5 => "is an HDF5 file: this library loads .pth and .safetensors checkpoints",
            Self::Npy => "is a NumPy array: this library loads .pth and .safetensors checkpoints",
            Self::Picture => "is a picture, not a checkpoint: model and image may have been exchanged",
            Self::Text => "is a text file, not a checkpoint: a download may have given a message instead of the file",
            Self::Unknown => {
                "is neither a .safetensors file nor one made by torch.save (.pth, .pt): it may be damaged, or of a \
                 kind that this library does not read"
            }
        })
    }
}
