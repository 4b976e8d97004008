//! The fake NVML and the fake CUDA runtime, compiled and steered (`tests/fake_script/README.md`).

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::c;
use super::scripted::Script;

/// A loaded copy of a fake library with a state of its own, in a folder of its own.
pub struct FakeLibrary {
    script: Script,
    path: PathBuf,
    /// Deleted with it.
    folder: Option<TempDir>,
}

impl FakeLibrary {
    /// NVML, with the commands that describe the machine.
    pub fn nvml(commands: &[&str]) -> Self {
        Self::variant("nvml", "libnvidia-ml.so.1", &[], commands)
    }

    /// NVML of a driver that lacks the second form of the memory figures.
    pub fn old_nvml(commands: &[&str]) -> Self {
        Self::variant(
            "nvml",
            "libnvidia-ml.so.1",
            &["-DFAKE_OLD_DRIVER"],
            commands,
        )
    }

    /// The CUDA runtime of versions other than 12.
    pub fn cudart(commands: &[&str]) -> Self {
        Self::variant("cudart", "libcudart.so.13", &[], commands)
    }

    /// The CUDA runtime of version 12.
    pub fn cudart_12(commands: &[&str]) -> Self {
        Self::variant("cudart", "libcudart.so.12", &["-DFAKE_CUDA_12"], commands)
    }

    fn variant(name: &str, file: &str, args: &[&str], commands: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let fake = Self::at(&install(folder.path(), name, file, args));
        commands.iter().for_each(|command| fake.control(command));
        Self {
            folder: Some(folder),
            ..fake
        }
    }

    /// Loads a copy that was put there by [`install`].
    pub fn at(path: &Path) -> Self {
        Self {
            script: Script::load(path, c"fake_control", c"fake_value"),
            path: path.to_owned(),
            folder: None,
        }
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Compiles the fake `nvml` or `cudart` into a folder, under a name that the system's loader looks for.
pub fn install(folder: &Path, name: &str, file: &str, args: &[&str]) -> PathBuf {
    let tests = c::root().join("tests");
    let sources = [
        tests.join(format!("fake_{name}/fake_{name}.c")),
        tests.join("fake_script/script.c"),
    ];
    let args = [args, &["-pthread"]].concat();
    let path = folder.join(file);
    fs::copy(c::shared_library(&sources, &args), &path)
        .expect("a test may write to its own folder");
    path
}

impl Deref for FakeLibrary {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.script
    }
}
