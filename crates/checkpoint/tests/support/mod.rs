//! Builds checkpoints by hand: pickles instruction by instruction, and the zip archives around them.
#![allow(dead_code, reason = "every test program uses a part of it")]

pub mod model;

use std::io::{Cursor, Write};
use std::path::PathBuf;

use sam_mm_checkpoint::{Checkpoint, CheckpointError};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Path of a committed test file.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// Bytes of a committed file made by `torch.save`.
pub fn torch_file(name: &str) -> Vec<u8> {
    std::fs::read(data(&format!("torch/{name}.pth"))).unwrap()
}

/// What opening bytes says when it fails.
pub fn refusal(bytes: &[u8]) -> String {
    match Checkpoint::from_bytes(bytes, "model.pth") {
        Ok(checkpoint) => panic!("it was read, with {} tensors", checkpoint.len()),
        Err(error) => named(&error),
    }
}

/// The text of an error, which must name the file.
pub fn named(error: &CheckpointError) -> String {
    let text = error.to_string();
    assert_eq!(error.file(), "model.pth");
    assert!(text.contains("model.pth"), "{text}");
    text
}

/// A zip archive of uncompressed entries.
pub fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A checkpoint with that pickle and one storage, `"0"`.
pub fn archive(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    zipped(&[
        ("archive/data.pkl", pickle),
        ("archive/byteorder", b"little"),
        ("archive/data/0", storage),
    ])
}

/// A tensor as the file claims it to be.
#[derive(Clone)]
pub struct Claim {
    pub name: &'static str,
    pub storage_class: &'static str,
    pub storage: &'static str,
    pub storage_len: i64,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

impl Claim {
    /// A 2 × 3 tensor of `float32`, sound over a storage of 24 bytes.
    pub fn sound() -> Self {
        Self {
            name: "weight",
            storage_class: "FloatStorage",
            storage: "0",
            storage_len: 6,
            offset: 0,
            shape: vec![2, 3],
            strides: vec![3, 1],
        }
    }

    /// A checkpoint of this tensor over a storage of that many bytes.
    pub fn archive(&self, storage_bytes: usize) -> Vec<u8> {
        archive(
            &state_dict(std::slice::from_ref(self)),
            &vec![0; storage_bytes],
        )
    }
}

/// The pickle of a dictionary of tensors.
pub fn state_dict(tensors: &[Claim]) -> Vec<u8> {
    let mut pickle = Pickle::new();
    pickle.op(b"}(");
    for tensor in tensors {
        pickle.text(tensor.name).tensor(tensor);
    }
    pickle.op(b"u").end()
}

/// A pickle of protocol 2, written instruction by instruction.
pub struct Pickle(Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    /// Instructions, written as they are.
    pub fn op(&mut self, instructions: &[u8]) -> &mut Self {
        self.0.extend_from_slice(instructions);
        self
    }

    /// `GLOBAL`: a Python object by module and name.
    pub fn global(&mut self, module: &str, name: &str) -> &mut Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    /// `BINUNICODE`
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.op(b"X")
            .op(&(text.len() as u32).to_le_bytes())
            .op(text.as_bytes())
    }

    /// `LONG1` of eight bytes
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.op(&[0x8a, 8]).op(&value.to_le_bytes())
    }

    /// A tuple of integers.
    pub fn ints(&mut self, values: &[i64]) -> &mut Self {
        self.op(b"(");
        for &value in values {
            self.int(value);
        }
        self.op(b"t")
    }

    /// A tensor through `_rebuild_tensor_v2`.
    pub fn tensor(&mut self, tensor: &Claim) -> &mut Self {
        self.global("torch._utils", "_rebuild_tensor_v2").op(b"((");
        self.text("storage")
            .global("torch", tensor.storage_class)
            .text(tensor.storage)
            .text("cpu");
        self.int(tensor.storage_len).op(b"tQ").int(tensor.offset);
        self.ints(&tensor.shape).ints(&tensor.strides);
        self.op(b"\x89")
            .global("collections", "OrderedDict")
            .op(b")RtR")
    }

    /// `STOP`, and all bytes.
    pub fn end(&mut self) -> Vec<u8> {
        self.op(b".");
        std::mem::take(&mut self.0)
    }
}
