//! Shared libraries that a plugin stands on and that must not be in a process twice: above all libtorch.
//!
//! Two versions of libtorch in one process share symbol names and crash. So the plugin's file is read before it is
//! loaded: it says what it requires, and that is held against what the process has.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sam_mm_backend_abi::abi::SAM_MM_BACKEND_REQUIRES_MARKER;
use thiserror::Error;

use super::loader::{self, LoadError};

/// The variable that names a folder of libtorch.
pub const LIBTORCH_VARIABLE: &str = "SAM_MM_LIBTORCH";

/// A library and the version of it that a plugin was built against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Such as `libtorch`.
    pub library: String,
    /// Such as `2.11.0`.
    pub version: String,
}

/// Another version of what a plugin requires is in the process.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{} needs {library} {required}, but this process has loaded {} from {}. Two versions of {library} in one process \
     crash. Run sam-mm in a process of its own, or use the same version in both",
    plugin.display(), name_version(library, found.as_deref()), loaded.display()
)]
pub struct Conflict {
    /// The plugin's file.
    pub plugin: PathBuf,
    /// The library, such as `libtorch`.
    pub library: String,
    /// The version the plugin was built against.
    pub required: String,
    /// The version in the process, where it could be found out.
    pub found: Option<String>,
    /// The file in the process.
    pub loaded: PathBuf,
}

impl Conflict {
    /// The same in a few words, for a line among others.
    pub fn brief(&self) -> String {
        let found = name_version(&self.library, self.found.as_deref());
        format!(
            "needs {} {}, conflicts with {found} from {}",
            self.library,
            self.required,
            self.loaded.display()
        )
    }
}

fn name_version(library: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{library} {version}"),
        None => format!("a {library} of unknown version"),
    }
}

/// What loading depends on besides the plugin's file.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `SAM_MM_LIBTORCH`: a folder of libtorch, its `lib` folder, or the folder that a Python package `torch` is in.
    pub libtorch: Option<PathBuf>,
    /// Folders that the system's loader looks into first.
    pub loader_path: Vec<PathBuf>,
}

impl Settings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let variable = if cfg!(target_os = "macos") {
            "DYLD_LIBRARY_PATH"
        } else {
            "LD_LIBRARY_PATH"
        };
        Self {
            libtorch: env::var_os(LIBTORCH_VARIABLE)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            loader_path: env::var_os(variable)
                .map(|value| env::split_paths(&value).collect())
                .unwrap_or_default(),
        }
    }
}

/// Makes sure that what a plugin requires can be loaded without harm, and loads it where the user said it is.
pub(super) fn prepare(plugin: &Path, settings: &Settings) -> Result<(), LoadError> {
    let unreadable = |error| LoadError::Unusable(format!("cannot be read: {error}"));
    let requirements = requirements(File::open(plugin).map_err(unreadable)?).map_err(unreadable)?;
    for requirement in requirements {
        let loaded = loaded_files(&requirement.library);
        for file in &loaded {
            check_loaded(plugin, &requirement, file, settings)?;
        }
        if loaded.is_empty() && requirement.library == "libtorch" {
            preload(&requirement, settings)?;
        }
    }
    Ok(())
}

/// A library in the process must be of the required version, or the very file that the plugin would load.
fn check_loaded(
    plugin: &Path,
    requirement: &Requirement,
    loaded: &Path,
    settings: &Settings,
) -> Result<(), Box<Conflict>> {
    let found = version_beside(loaded);
    let fits = match &found {
        Some(found) => same_release(found, &requirement.version),
        None => would_load(plugin, loaded, settings),
    };
    if fits {
        return Ok(());
    }
    Err(Box::new(Conflict {
        plugin: plugin.to_owned(),
        library: requirement.library.clone(),
        required: requirement.version.clone(),
        found,
        loaded: loaded.to_owned(),
    }))
}

/// Whether the system's loader, looking for the file's name on behalf of the plugin, would come to this file.
fn would_load(plugin: &Path, loaded: &Path, settings: &Settings) -> bool {
    let (Some(name), Ok(loaded)) = (loaded.file_name(), loaded.canonicalize()) else {
        return false;
    };
    let given = settings
        .libtorch
        .iter()
        .map(|folder| library_folder(folder));
    let beside = plugin.parent().map(Path::to_owned);
    let first = given
        .chain(settings.loader_path.iter().cloned())
        .chain(beside)
        .map(|folder| folder.join(name));
    first.filter_map(|path| path.canonicalize().ok()).next() == Some(loaded)
}

/// Loads libtorch from the folder the user named, so that the plugin's needs are met by files already in the process.
fn preload(requirement: &Requirement, settings: &Settings) -> Result<(), LoadError> {
    let Some(folder) = &settings.libtorch else {
        return Ok(());
    };
    let refuse = |reason: String| {
        Err(LoadError::Unusable(format!(
            "{LIBTORCH_VARIABLE} is {}: {reason}",
            folder.display()
        )))
    };
    if folder.is_relative() {
        return refuse("a relative path depends on the working directory; write it in full".into());
    }
    let libraries = library_folder(folder);
    let main = libraries.join(file_name("torch_cpu"));
    if !main.is_file() {
        return refuse(format!(
            "there is no {} in it, in its lib or its torch/lib folder",
            file_name("torch_cpu")
        ));
    }
    if let Some(found) =
        version_beside(&main).filter(|found| !same_release(found, &requirement.version))
    {
        return refuse(format!(
            "it holds libtorch {found}, but the plugin was built against {}",
            requirement.version
        ));
    }
    // Not `libtorch`: it is empty but for needing the CUDA parts, which take seconds and may be broken. A plugin opens
    // those when a GPU is asked for.
    for name in ["c10", "torch_cpu"] {
        let file = libraries.join(file_name(name));
        if !file.is_file() {
            continue;
        }
        // SAFETY: the user named this libtorch to be loaded; it is never unloaded.
        match unsafe { loader::open(&file) } {
            Ok(library) => std::mem::forget(library),
            Err(error) => {
                return refuse(format!("{} {}", file_name(name), loader::describe(&error)));
            }
        }
    }
    Ok(())
}

/// The folder of the shared libraries, given libtorch's folder, the one that it is in as `torch`, or that very one.
fn library_folder(folder: &Path) -> PathBuf {
    let inner = ["lib", "torch/lib"].map(|inner| folder.join(inner));
    let holds = |inner: &PathBuf| inner.join(file_name("torch_cpu")).is_file();
    inner
        .into_iter()
        .find(holds)
        .unwrap_or_else(|| folder.to_owned())
}

fn file_name(library: &str) -> String {
    format!(
        "{}{library}{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    )
}

/// `2.11.0+cu128` and `2.11.0` are one release: the part after `+` names the build, not the ABI.
fn same_release(a: &str, b: &str) -> bool {
    let release = |version: &str| version.split('+').next().unwrap_or_default().to_owned();
    release(a) == release(b)
}

/// The version of libtorch that a library file belongs to, from what lies beside it.
fn version_beside(library: &Path) -> Option<String> {
    let resolved = library.canonicalize().ok()?;
    let root = resolved.parent()?.parent()?;
    wheel_version(root)
        .or_else(|| archive_version(root))
        .or_else(|| distribution_version(root))
}

/// A Python package: `torch/lib/libtorch_cpu.so`, `torch/version.py` with `__version__ = '2.11.0+cpu'`.
fn wheel_version(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("version.py")).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let is_version = name.split(':').next()?.trim() == "__version__";
        is_version
            .then(|| plain_version(value.trim().trim_matches(['\'', '"'])))
            .flatten()
    })
}

/// An archive of libtorch: `libtorch/lib/libtorch_cpu.so`, `libtorch/build-version`.
fn archive_version(root: &Path) -> Option<String> {
    plain_version(fs::read_to_string(root.join("build-version")).ok()?.trim())
}

/// A Python package whose `version.py` is gone: `torch-2.11.0+cpu.dist-info` beside `torch`.
fn distribution_version(root: &Path) -> Option<String> {
    let entries = fs::read_dir(root.parent()?).ok()?;
    let mut versions = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        plain_version(name.strip_prefix("torch-")?.strip_suffix(".dist-info")?)
    });
    versions.next()
}

fn plain_version(text: &str) -> Option<String> {
    let starts = text.starts_with(|c: char| c.is_ascii_digit());
    (starts && text.chars().all(is_plain)).then(|| text.to_owned())
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_')
}

/// Longest `library=version` after a marker.
const LONGEST_REQUIREMENT: usize = 128;

/// What a plugin's file says it requires: texts of the form `sam-mm-backend-requires:library=version;`.
///
/// # Errors
/// When the file cannot be read.
pub fn requirements(mut file: impl Read) -> io::Result<Vec<Requirement>> {
    const CHUNK: usize = 1 << 20;
    let marker = SAM_MM_BACKEND_REQUIRES_MARKER.as_bytes();
    let overlap = marker.len() + LONGEST_REQUIREMENT;
    let mut found: Vec<Requirement> = Vec::new();
    let mut window = Vec::with_capacity(CHUNK + overlap);
    loop {
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        for start in (0..window.len()).filter(|&start| window[start..].starts_with(marker)) {
            match parse_requirement(&window[start + marker.len()..]) {
                Some(requirement) if !found.contains(&requirement) => found.push(requirement),
                _ => {}
            }
        }
        if read == 0 {
            return Ok(found);
        }
        // A text that the chunk's end cuts is whole in the next window.
        window.drain(..window.len().saturating_sub(overlap));
    }
}

/// `library=version;` at the start of `bytes`. The marker alone also stands in hosts, followed by anything.
fn parse_requirement(bytes: &[u8]) -> Option<Requirement> {
    let end = bytes
        .iter()
        .take(LONGEST_REQUIREMENT)
        .position(|&byte| byte == b';')?;
    let (library, version) = std::str::from_utf8(&bytes[..end]).ok()?.split_once('=')?;
    let plain = |text: &str| !text.is_empty() && text.chars().all(is_plain);
    (plain(library) && plain(version)).then(|| Requirement {
        library: library.to_owned(),
        version: version.to_owned(),
    })
}

/// Files in this process that belong to a library, by the names it is known under.
fn loaded_files(library: &str) -> Vec<PathBuf> {
    let stems: &[&str] = match library {
        "libtorch" => &["torch_cpu", "torch", "c10"],
        other => &[other.strip_prefix("lib").unwrap_or(other)],
    };
    let belongs = |path: &PathBuf| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        stems.iter().any(|stem| {
            let full = file_name(stem);
            // A version may follow: `libtorch_cpu.so.2.11`.
            name == full
                || name
                    .strip_prefix(&full)
                    .is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let mut files: Vec<PathBuf> = loaded_libraries(stems)
        .into_iter()
        .filter(belongs)
        .collect();
    files.sort();
    files.dedup();
    files
}

/// Every file mapped into this process.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn loaded_libraries(_stems: &[&str]) -> Vec<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let maps = fs::read("/proc/self/maps").unwrap_or_default();
    let paths = maps.split(|&byte| byte == b'\n').filter_map(|line| {
        // Address, rights, offset, device and inode hold no slash; a path is absolute.
        let path = &line[line.iter().position(|&byte| byte == b'/')?..];
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        Some(PathBuf::from(OsStr::from_bytes(path)))
    });
    paths.collect()
}

/// Every image that the dynamic loader has.
#[cfg(target_os = "macos")]
pub(crate) fn loaded_libraries(_stems: &[&str]) -> Vec<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;
    unsafe extern "C" {
        fn _dyld_image_count() -> u32;
        fn _dyld_get_image_name(index: u32) -> *const std::ffi::c_char;
    }
    // SAFETY: these may be called from any thread; a name is NULL or NUL-terminated and lives as long as its image.
    unsafe {
        (0.._dyld_image_count())
            .map(|index| _dyld_get_image_name(index))
            .filter(|name| !name.is_null())
            .map(|name| PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes())))
            .collect()
    }
}

/// The modules of the process with one of these names.
#[cfg(windows)]
pub(crate) fn loaded_libraries(stems: &[&str]) -> Vec<PathBuf> {
    stems
        .iter()
        .filter_map(|stem| windows::loaded_module(&file_name(stem)))
        .collect()
}

/// Systems whose libraries cannot be listed: nothing is known, so nothing conflicts.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    windows
)))]
pub(crate) fn loaded_libraries(_stems: &[&str]) -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(windows)]
pub(super) mod windows;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_found_from_libtorch_s_folder_its_lib_folder_and_the_one_above() {
        let above = tempfile::tempdir().unwrap();
        let libtorch = above.path().join("torch");
        let libraries = libtorch.join("lib");
        fs::create_dir_all(&libraries).unwrap();
        fs::write(libraries.join(file_name("torch_cpu")), "").unwrap();
        for named in [above.path(), &libtorch, &libraries] {
            assert_eq!(library_folder(named), libraries, "{}", named.display());
        }
    }
}
