//! Where plugins are looked for. Reads folders, loads nothing.

use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::trail::{Outcome, Trail};

/// The variable that names plugins or folders of plugins.
pub const BACKEND_PATH_VARIABLE: &str = "SAM_MM_BACKEND_PATH";

/// Folder of plugins within a folder of data or libraries.
const BACKENDS_FOLDER: [&str; 2] = ["sam_mm", "backends"];

/// What the caller says about the search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchOptions {
    /// A plugin's file, or a folder of plugins. When given, nothing else is looked at: a path with a mistake in it
    /// should be an error, not another backend.
    pub explicit: Option<PathBuf>,
}

/// Why a path was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Named in the options.
    Explicit,
    /// Named in `SAM_MM_BACKEND_PATH`.
    Environment,
    /// Beside our own library.
    Library,
    /// The user's folder of plugins.
    User,
    /// A folder of plugins of the system.
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "named in the options",
            Self::Environment => "from SAM_MM_BACKEND_PATH",
            Self::Library => "beside the sam_mm library",
            Self::User => "user folder",
            Self::System => "system folder",
        })
    }
}

/// A plugin's file that may be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Absolute path.
    pub path: PathBuf,
    /// Why it was looked at.
    pub origin: Origin,
}

impl Candidate {
    /// The `<name>` of `libsam_mm_<name>.so`: of several files with one name the first that loads counts. `None` for
    /// a file that was named and does not follow the pattern.
    pub fn short_name(&self) -> Option<String> {
        plugin_name(self.path.file_name()?)
    }
}

/// What the search depends on besides the options.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `SAM_MM_BACKEND_PATH`.
    pub variable: Option<OsString>,
    /// The file that holds our own code.
    pub own_library: Option<PathBuf>,
    /// The user's folder for data.
    pub user_data: Option<PathBuf>,
    /// Folders of libraries of the system.
    pub system_libraries: Vec<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        Self {
            variable: env::var_os(BACKEND_PATH_VARIABLE),
            own_library: super::loader::own_library(),
            user_data: user_data(),
            system_libraries: if cfg!(unix) {
                vec!["/usr/local/lib".into(), "/usr/lib".into()]
            } else {
                Vec::new()
            },
        }
    }
}

fn user_data() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else {
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))
    }
}

/// The files that may be plugins, in the order they are to be tried. Paths that lead nowhere go into the trail.
pub fn candidates(
    options: &SearchOptions,
    around: &Surroundings,
    trail: &mut Trail,
) -> Vec<Candidate> {
    let mut search = Search {
        own: around.own_library.clone(),
        found: Vec::new(),
        trail,
    };
    match &options.explicit {
        Some(path) => search.explicit(path),
        None => {
            search.variable(around.variable.as_deref());
            for (folder, origin) in folders(around) {
                search.folder(&folder, origin);
            }
        }
    }
    search.found
}

/// The folders that are always looked into.
fn folders(around: &Surroundings) -> Vec<(PathBuf, Origin)> {
    let within = |folder: &Path| folder.join(BACKENDS_FOLDER[0]).join(BACKENDS_FOLDER[1]);
    let mut folders = Vec::new();
    let mut add = |folder: PathBuf, origin| {
        if !folders.iter().any(|(known, _)| *known == folder) {
            folders.push((folder, origin));
        }
    };
    // Where the library was installed as a link, both the link's folder and the file's count.
    let resolved = around
        .own_library
        .as_ref()
        .and_then(|library| library.canonicalize().ok());
    for library in around.own_library.iter().chain(&resolved) {
        let Some(folder) = library.parent() else {
            continue;
        };
        add(folder.to_owned(), Origin::Library);
        add(within(folder), Origin::Library);
        if let Some(prefix) = folder.parent() {
            add(within(&prefix.join("lib")), Origin::Library);
        }
    }
    around
        .user_data
        .iter()
        .for_each(|folder| add(within(folder), Origin::User));
    around
        .system_libraries
        .iter()
        .for_each(|folder| add(within(folder), Origin::System));
    folders
}

struct Search<'a> {
    own: Option<PathBuf>,
    found: Vec<Candidate>,
    trail: &'a mut Trail,
}

impl Search<'_> {
    fn explicit(&mut self, path: &Path) {
        // A caller that names a relative path means the working directory; it is never looked into unasked.
        match std::path::absolute(path) {
            Ok(path) => self.file_or_folder(path, Origin::Explicit),
            Err(error) => {
                self.trail
                    .record(path, Origin::Explicit, Outcome::Failed(error.to_string()))
            }
        }
    }

    fn variable(&mut self, value: Option<&OsStr>) {
        for path in value.map(env::split_paths).into_iter().flatten() {
            if path.as_os_str().is_empty() {
                continue;
            }
            if path.is_relative() {
                let reason = "refused, because a relative path depends on the working directory; write it in full";
                self.trail
                    .record(path, Origin::Environment, Outcome::Failed(reason.into()));
                continue;
            }
            self.file_or_folder(path, Origin::Environment);
        }
    }

    /// A path that was named: a mistake in it is worth a line in any case.
    fn file_or_folder(&mut self, path: PathBuf, origin: Origin) {
        if path.is_dir() {
            self.folder(&path, origin);
        } else {
            self.add(Candidate { path, origin });
        }
    }

    fn folder(&mut self, folder: &Path, origin: Origin) {
        match plugins_in(folder) {
            Ok(files) if files.is_empty() => {
                let reason = format!("no file {DLL_PREFIX}sam_mm_*{DLL_SUFFIX} in this folder");
                self.trail.record(folder, origin, Outcome::Failed(reason));
            }
            Ok(files) => files
                .into_iter()
                .for_each(|path| self.add(Candidate { path, origin })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.trail
                    .record(folder, origin, Outcome::Failed("no such folder".into()));
            }
            Err(error) => self
                .trail
                .record(folder, origin, Outcome::Failed(error.to_string())),
        }
    }

    fn add(&mut self, candidate: Candidate) {
        let same = |a: &Path, b: &Path| {
            a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
        };
        if self
            .own
            .as_deref()
            .is_some_and(|own| same(own, &candidate.path))
        {
            let reason = "this is the sam_mm library itself, not a plugin";
            self.trail.record(
                candidate.path,
                candidate.origin,
                Outcome::Skipped(reason.into()),
            );
        } else if !self
            .found
            .iter()
            .any(|known| same(&known.path, &candidate.path))
        {
            self.found.push(candidate);
        }
    }
}

/// Files of the pattern, sorted by name so that the order does not depend on the file system.
fn plugins_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().and_then(plugin_name).is_some() && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The `<name>` of `libsam_mm_<name>.so`, `sam_mm_<name>.dll` or `libsam_mm_<name>.dylib`.
fn plugin_name(file: &OsStr) -> Option<String> {
    let name = file
        .to_str()?
        .strip_prefix(DLL_PREFIX)?
        .strip_prefix("sam_mm_")?
        .strip_suffix(DLL_SUFFIX)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}
