//! Python's lists of installed files: `RECORD` has the size and the hash of each.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Every file is there with its size: finds what was deleted or cut off, in a moment.
    Sizes,
    /// Every byte is as it was packaged.
    Contents,
}

/// Checks every package installed in a folder.
pub fn verify(folder: &Path, check: Check) -> Result<()> {
    let mut packages = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("{} is missing", folder.display()))? {
        let record = entry?.path().join("RECORD");
        if record.is_file() {
            verify_record(folder, &record, check)?;
            packages += 1;
        }
    }
    if packages == 0 {
        bail!("{} holds no packages", folder.display());
    }
    Ok(())
}

fn verify_record(folder: &Path, record: &Path, check: Check) -> Result<()> {
    for line in fs::read_to_string(record)?.lines() {
        let Some(entry) = Entry::parse(line) else {
            continue;
        };
        let file = folder.join(&entry.path);
        let size = fs::metadata(&file)
            .with_context(|| format!("{} is missing", file.display()))?
            .len();
        if size != entry.size {
            bail!(
                "{} has {size} bytes instead of {}",
                file.display(),
                entry.size
            );
        }
        if check == Check::Contents && sha256(&file)? != entry.sha256 {
            bail!("{} is damaged: its SHA-256 is another", file.display());
        }
    }
    Ok(())
}

/// One line of a `RECORD`.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    /// As URL-safe base64 without padding.
    sha256: String,
    size: u64,
}

impl Entry {
    /// `path,sha256=…,size`. Lines without a hash are of files that installing makes; paths that lead out of the folder
    /// are of scripts, which are not used.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.rsplitn(3, ',');
        let size = fields.next()?.parse().ok()?;
        let sha256 = fields.next()?.strip_prefix("sha256=")?.to_owned();
        let path = fields.next()?.trim_matches('"');
        if path.starts_with("..") || path.starts_with('/') {
            return None;
        }
        Some(Self {
            path: path.into(),
            sha256,
            size,
        })
    }
}

fn sha256(file: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(URL_SAFE_NO_PAD.encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with one package of one file, which holds `content` and is recorded with that of `recorded`.
    fn installed(content: &str, recorded: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("p-1.dist-info")).unwrap();
        fs::write(folder.path().join("lib.so"), content).unwrap();
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(recorded));
        let record = format!(
            "lib.so,sha256={hash},{}\n../../bin/tool,sha256=x,1\np-1.dist-info/RECORD,,\n",
            recorded.len()
        );
        fs::write(folder.path().join("p-1.dist-info/RECORD"), record).unwrap();
        folder
    }

    #[test]
    fn a_sound_package_passes_both_checks() {
        let folder = installed("abc", "abc");
        verify(folder.path(), Check::Sizes).unwrap();
        verify(folder.path(), Check::Contents).unwrap();
    }

    #[test]
    fn a_truncated_file_is_found_by_its_size() {
        let error = verify(installed("ab", "abc").path(), Check::Sizes).unwrap_err();
        assert!(
            error.to_string().contains("2 bytes instead of 3"),
            "{error}"
        );
    }

    #[test]
    fn a_changed_file_of_the_same_size_is_found_by_its_contents() {
        let folder = installed("abd", "abc");
        verify(folder.path(), Check::Sizes).unwrap();
        let error = verify(folder.path(), Check::Contents).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    #[test]
    fn a_missing_file_and_an_empty_folder_are_refused() {
        let folder = installed("abc", "abc");
        fs::remove_file(folder.path().join("lib.so")).unwrap();
        assert!(verify(folder.path(), Check::Sizes).is_err());
        assert!(verify(tempfile::tempdir().unwrap().path(), Check::Sizes).is_err());
    }
}
