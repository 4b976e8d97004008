//! What tells checkpoints apart: their contents, whatever they are called.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::SystemTime;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// XXH3 of the bytes of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Of a checkpoint in memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes).to_le_bytes())
    }

    /// Of a checkpoint's file, which is read once.
    ///
    /// # Errors
    /// What the system says.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        const PIECE: usize = 1 << 20;
        let mut hash = Xxh3::new();
        let mut piece = vec![0; PIECE];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(Self(hash.digest128().to_le_bytes())),
                Ok(count) => hash.update(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The contents of a checkpoint, of which the fingerprint is found in the background: a file of 2.4 GB takes a second.
#[derive(Clone)]
pub struct Contents {
    /// `None` when it could not be had.
    found: Arc<OnceLock<Option<Fingerprint>>>,
    file: Option<Arc<Seen>>,
}

/// A file as it was before a model was loaded from it.
struct Seen {
    path: PathBuf,
    state: Option<(u64, SystemTime)>,
}

impl Contents {
    /// Of a checkpoint in memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let found = OnceLock::from(Some(Fingerprint::of_bytes(bytes)));
        Self {
            found: Arc::new(found),
            file: None,
        }
    }

    /// Of a file that a model is about to be loaded from. One that changes until it was read here stays unknown: nobody
    /// could tell which of the two the model has.
    pub fn of_file(path: PathBuf) -> Self {
        Self {
            found: Arc::default(),
            file: Some(Arc::new(Seen {
                state: state_of(&path),
                path,
            })),
        }
    }

    /// Has the fingerprint found by a thread of its own.
    pub fn find_in_background(&self) {
        if self.is_ready() {
            return;
        }
        let contents = self.clone();
        // Without a thread it is found by the first who needs it.
        let _ = thread::Builder::new()
            .name("sam-mm fingerprint".to_owned())
            .spawn(move || contents.fingerprint());
    }

    /// The fingerprint; waits until it is found.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        *self.found.get_or_init(|| {
            let file = self.file.as_ref()?;
            let before = file.state?;
            let found = Fingerprint::of_reader(File::open(&file.path).ok()?).ok()?;
            (state_of(&file.path) == Some(before)).then_some(found)
        })
    }

    /// Whether it can be had without waiting.
    pub fn is_ready(&self) -> bool {
        self.found.get().is_some()
    }

    /// Whether it was looked for in vain.
    pub fn is_unknown(&self) -> bool {
        matches!(self.found.get(), Some(None))
    }
}

fn state_of(path: &std::path::Path) -> Option<(u64, SystemTime)> {
    let is = std::fs::metadata(path).ok()?;
    Some((is.len(), is.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_fingerprint_of_its_bytes_and_another_file_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let of_bytes = Contents::of_bytes(&bytes).fingerprint().unwrap();
        let contents = Contents::of_file(path.clone());
        assert!(!contents.is_ready());
        assert_eq!(contents.fingerprint(), Some(of_bytes));
        assert_ne!(Fingerprint::of_bytes(&bytes[1..]), of_bytes);
    }

    #[test]
    fn a_file_that_changed_after_it_was_loaded_has_no_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::fs::write(&path, b"as it was loaded").unwrap();
        let contents = Contents::of_file(path.clone());
        std::fs::write(&path, b"another one").unwrap();
        assert_eq!(contents.fingerprint(), None);
        assert!(contents.is_unknown());
        let missing = Contents::of_file(folder.path().join("missing"));
        assert_eq!(missing.fingerprint(), None);
    }
}
