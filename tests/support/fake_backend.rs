//! The fake backend of `tests/fake_backend`, compiled and steered.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::c;
use super::scripted::Script;

/// A loaded copy of the fake backend with a state of its own, in a folder of its own.
pub struct FakeBackend {
    folder: TempDir,
    path: PathBuf,
    script: Script,
}

/// Compiles a variant, such as `["FAKE_MISSING=encode"]`; the same variant is compiled once.
pub fn compile(defines: &[&str]) -> PathBuf {
    let folder = c::root().join("tests/fake_backend");
    let parts = ["backend", "control", "embedding", "masks", "model"];
    let sources = parts.map(|part| folder.join(format!("fake_{part}.c")));
    let defines = defines.iter().map(|define| format!("-D{define}"));
    let args: Vec<String> = defines.chain(["-pthread".to_owned()]).collect();
    c::shared_library(&sources, &args)
}

/// Puts a variant into a folder as the plugin `name`.
pub fn install(folder: &Path, name: &str, defines: &[&str]) -> PathBuf {
    let path = folder.join(plugin_file_name(name));
    fs::create_dir_all(folder).expect("a test may write to its own folder");
    fs::copy(compile(defines), &path).expect("a test may write to its own folder");
    path
}

/// The file name that the search looks for.
pub fn plugin_file_name(name: &str) -> String {
    format!(
        "{}sam_mm_{name}{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    )
}

impl FakeBackend {
    /// The backend as it should be.
    pub fn new() -> Self {
        Self::variant(&[])
    }

    /// A variant that can be loaded.
    pub fn variant(defines: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = install(folder.path(), "fake", defines);
        let script = Script::load(&path, c"fake_backend_control", c"fake_backend_value");
        Self {
            folder,
            path,
            script,
        }
    }

    /// The plugin's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the plugin's file, where nothing else is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command of `tests/fake_backend/README.md`.
    pub fn control(&self, command: &str) {
        self.script.control(command);
    }

    /// A number of `tests/fake_backend/README.md`.
    pub fn value(&self, name: &str) -> i64 {
        self.script.value(name)
    }

    /// [`value`](Self::value) for a closure that outlives this.
    pub fn reader(&self) -> impl Fn(&str) -> i64 + Send + Sync + 'static {
        let script = self.script;
        move |name| script.value(name)
    }

    /// Waits until `count` calls of a function are blocked.
    pub fn wait_until_blocked(&self, function: &str, count: i64) {
        self.script.wait_until_blocked(function, count);
    }

    /// Asserts that everything was freed and the host kept its side of the contract.
    pub fn assert_clean(&self) {
        for name in [
            "live.devices",
            "live.models",
            "live.embeddings",
            "memory.allocated",
            "memory.host",
            "violations",
        ] {
            assert_eq!(self.value(name), 0, "{name}");
        }
    }
}
