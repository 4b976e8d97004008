//! The folder that embeddings are kept in, shared with other processes.
//!
//! An entry is a file of its own. It is written under another name and then renamed, so that no process ever sees half of
//! one, and its checksum tells what a crash of the machine, or anybody else, made of it since. Files are not synced: what
//! a power failure takes costs an encoding, where syncing would cost every encoding a wait.
//!
//! Which entry was used last is told by the time of its file, so that it survives the process. Every process bounds the
//! folder by what it finds there; one that finds a file gone takes it for freed.

use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::entry::{self, EntryId, HEADER};
use crate::cache::weighted_lru::Limits;
use crate::image::ImageKey;

/// What another process is writing is younger than this.
const ABANDONED: Duration = Duration::from_secs(600);
/// The folder is looked at again after this share of its limit was written: others write to it as well.
const LOOK_AGAIN: u64 = 16;
/// Where something has to leave, so large a share of the limit leaves: looking at a large folder takes longer than writing
/// an entry, and is not to be done for each.
const LEAVE_AT_ONCE: u64 = 32;

/// Entries of the folder, within its limits as far as this process knows.
pub struct Folder {
    path: PathBuf,
    limits: Limits,
    known: Mutex<Option<Usage>>,
}

/// What a folder holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Bytes written since the folder was looked at.
    written: u64,
}

struct Found {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Folder {
    /// The folder for this layout inside of `parent`, which is made when something is written.
    pub fn new(parent: &Path, limits: Limits) -> Self {
        Self {
            path: parent.join(format!("sam_mm_embeddings_v{}", entry::VERSION)),
            limits,
            known: Mutex::new(None),
        }
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is held at most.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What is held, as this process knows it.
    pub fn usage(&self) -> Usage {
        *self.known().get_or_insert_with(|| total(&self.list()))
    }

    /// The payload of an entry, which becomes the most recently used; at most `most` bytes of it. Whatever is wrong with
    /// its file, it is not there, and a file of ours that is damaged goes.
    pub fn load(&self, id: &EntryId, most: u64) -> Option<Vec<u8>> {
        let path = self.path.join(id.file_name());
        let mut file = open(&path)?;
        match read(&mut file, id, most) {
            Ok(payload) => {
                mark_used(&file);
                Some(payload)
            }
            Err(Unreadable::Ours) => {
                drop(file);
                self.remove_file(&path);
                None
            }
            Err(Unreadable::Foreign) => None,
        }
    }

    /// Whether there is a file with the header of an entry; if so, that becomes the most recently used.
    pub fn touch(&self, id: &EntryId) -> bool {
        let Some(mut file) = open(&self.path.join(id.file_name())) else {
            return false;
        };
        let mut header = [0; HEADER];
        let got = read_some(&mut file, &mut header);
        let is = file.metadata();
        let (Ok(HEADER), Ok(is)) = (got, is) else {
            return false;
        };
        let there = id.is_head_of(&header, is.len().saturating_sub(HEADER as u64));
        if there {
            mark_used(&file);
        }
        there
    }

    /// Keeps an entry, and makes room for it. One larger than the whole folder may be is not kept.
    ///
    /// # Errors
    /// What the system says. Then nothing of the entry is left behind.
    pub fn store(&self, id: &EntryId, payload: &[u8]) -> io::Result<()> {
        let bytes = HEADER as u64 + payload.len() as u64;
        if self.limits.entries == 0 || bytes > self.limits.bytes {
            return Ok(());
        }
        fs::create_dir_all(&self.path)?;
        self.make_room(bytes);
        let name = id.file_name();
        let (unfinished, file) = self.create_unfinished(&name)?;
        let target = self.path.join(&name);
        let before = fs::symlink_metadata(&target).ok();
        let done = write(file, &id.header(payload), payload)
            .and_then(|()| fs::rename(&unfinished, &target));
        if let Err(error) = done {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        let mut known = self.known();
        if let Some(known) = known.as_mut() {
            if let Some(before) = before {
                known.without(before.len());
            }
            known.entries += 1;
            known.bytes += bytes;
            known.written += bytes;
        }
        Ok(())
    }

    /// Drops an entry.
    pub fn remove(&self, id: &EntryId) {
        self.remove_file(&self.path.join(id.file_name()));
    }

    /// Drops all entries but those of the image `keep`, and tells the bytes of their files.
    pub fn clear(&self, keep: Option<ImageKey>) -> u64 {
        let mut freed = 0;
        for found in self.list() {
            if keep.is_some_and(|keep| image_in(&found.path) == Some(*keep.as_bytes())) {
                continue;
            }
            if fs::remove_file(&found.path).is_ok() {
                freed += found.bytes;
            }
        }
        *self.known() = Some(total(&self.list()));
        freed
    }

    fn make_room(&self, bytes: u64) {
        let usage = self.usage();
        let within = |usage: &Usage, limits: Limits| {
            usage.bytes + bytes <= limits.bytes && usage.entries < limits.entries as u64
        };
        if within(&usage, self.limits) && usage.written <= self.limits.bytes / LOOK_AGAIN {
            return;
        }
        let mut found = self.list();
        let mut usage = total(&found);
        found.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        let all_of_it = within(&usage, self.limits);
        let lower = Limits {
            entries: self.limits.entries - self.limits.entries / LEAVE_AT_ONCE as usize,
            bytes: (self.limits.bytes - self.limits.bytes / LEAVE_AT_ONCE).max(bytes),
        };
        for oldest in found {
            if all_of_it || within(&usage, lower) {
                break;
            }
            let gone = match fs::remove_file(&oldest.path) {
                Ok(()) => true,
                Err(error) => error.kind() == ErrorKind::NotFound,
            };
            if gone {
                usage.without(oldest.bytes);
            }
        }
        *self.known() = Some(usage);
    }

    /// The entries that are there now. What somebody began to write and never finished goes.
    fn list(&self) -> Vec<Found> {
        let Ok(files) = fs::read_dir(&self.path) else {
            return Vec::new();
        };
        let mut entries = Vec::new();
        for file in files.flatten() {
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            // Of a link this is what is known of the link itself.
            let Ok(is) = file.metadata() else { continue };
            let (true, Ok(used)) = (is.is_file(), is.modified()) else {
                continue;
            };
            if entry::is_entry_name(name) {
                entries.push(Found {
                    path: file.path(),
                    bytes: is.len(),
                    used,
                });
            } else if entry::is_unfinished_name(name)
                && used.elapsed().is_ok_and(|age| age > ABANDONED)
            {
                let _ = fs::remove_file(file.path());
            }
        }
        entries
    }

    /// A file that nobody else writes to: no other thread by its number, no other process by the attempt.
    fn create_unfinished(&self, name: &str) -> io::Result<(PathBuf, File)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let digest = name.strip_suffix(entry::SUFFIX).unwrap_or(name);
        let process = u64::from(std::process::id());
        loop {
            let number = process << 32 | (NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff);
            let unfinished = format!("{digest}.{number:x}{}", entry::UNFINISHED);
            let path = self.path.join(unfinished);
            match File::create_new(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn remove_file(&self, path: &Path) {
        let bytes = fs::symlink_metadata(path).map_or(0, |is| is.len());
        if fs::remove_file(path).is_ok()
            && let Some(known) = self.known().as_mut()
        {
            known.without(bytes);
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Usage>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Usage {
    fn without(&mut self, bytes: u64) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

fn total(found: &[Found]) -> Usage {
    Usage {
        entries: found.len() as u64,
        bytes: found.iter().map(|entry| entry.bytes).sum(),
        written: 0,
    }
}

/// Why a file is not the entry.
enum Unreadable {
    /// It was one once.
    Ours,
    Foreign,
}

/// Nothing is reserved before the header is checked against the length that the file really has.
fn read(file: &mut File, id: &EntryId, most: u64) -> Result<Vec<u8>, Unreadable> {
    let is = file.metadata().map_err(|_| Unreadable::Foreign)?;
    if !is.is_file() {
        return Err(Unreadable::Foreign);
    }
    let mut header = [0; HEADER];
    let got = read_some(file, &mut header).map_err(|_| Unreadable::Foreign)?;
    if !entry::is_ours(&header[..got]) {
        return Err(Unreadable::Foreign);
    }
    let payload_len = is.len().saturating_sub(HEADER as u64);
    if got < HEADER || payload_len > most || !id.is_head_of(&header, payload_len) {
        return Err(Unreadable::Ours);
    }
    let len = usize::try_from(payload_len).map_err(|_| Unreadable::Ours)?;
    let mut payload = Vec::new();
    // No memory is no reason to drop the file.
    payload
        .try_reserve_exact(len)
        .map_err(|_| Unreadable::Foreign)?;
    payload.resize(len, 0);
    let got = read_some(file, &mut payload).map_err(|_| Unreadable::Foreign)?;
    if got < len || !entry::is_intact(&header, &payload) {
        return Err(Unreadable::Ours);
    }
    Ok(payload)
}

/// Fills as much of a buffer as the file has.
fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn write(mut file: File, header: &[u8], payload: &[u8]) -> io::Result<()> {
    file.write_all(header)?;
    file.write_all(payload)?;
    mark_used(&file);
    Ok(())
}

/// Where that is not allowed, the order of use is that of writing.
fn mark_used(file: &File) {
    let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
}

/// Opens a regular file; anything else is as if it were not there. Opening a pipe in its place would wait for whoever writes
/// to it.
fn open(path: &Path) -> Option<File> {
    let is_file = |file: fs::Metadata| file.is_file().then_some(());
    fs::metadata(path).ok().and_then(is_file)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // It may have become a pipe in between.
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path).ok()?;
    file.metadata().ok().and_then(is_file)?;
    Some(file)
}

fn image_in(path: &Path) -> Option<[u8; 16]> {
    let mut header = [0; HEADER];
    let got = read_some(&mut open(path)?, &mut header).ok()?;
    (got == HEADER).then_some(())?;
    entry::image_of(&header)
}

#[cfg(test)]
mod tests;
