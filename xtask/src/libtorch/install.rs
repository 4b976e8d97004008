//! Installing libtorch out of PyTorch's package.
//!
//! A part is fetched into a folder of its own, checked, and moved into place; a stamp that is written last says which parts
//! are complete. So an interrupted installation leaves nothing that is taken for a whole one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Libtorch, VERSION, record, version};
use crate::paths;
use crate::python::Python;

pub use super::record::Check;

/// What is to be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parts {
    /// What a CPU needs.
    Cpu,
    /// And what a GPU, or importing PyTorch in Python, needs besides.
    Gpu,
}

impl Parts {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Cpu, Self::Gpu]
            .into_iter()
            .find(|parts| parts.name() == name)
    }
}

/// What the stamp says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Installed {
    parts: Parts,
    /// Tag of the Python that the package is for.
    python: String,
}

impl Installed {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != VERSION {
            return None;
        }
        Some(Self {
            parts: Parts::parse(lines.next()?)?,
            python: lines.next()?.to_owned(),
        })
    }

    fn to_text(&self) -> String {
        format!("{VERSION}\n{}\n{}\n", self.parts.name(), self.python)
    }
}

fn folder() -> PathBuf {
    paths::deps().join("libtorch")
}

fn stamp() -> PathBuf {
    folder().join("installed.txt")
}

/// libtorch with at least these parts.
pub fn ensure(parts: Parts, check: Check) -> Result<Libtorch> {
    let _lock = paths::lock_deps()?;
    match sound(check) {
        Some(installed) if installed.parts >= parts => {}
        Some(installed) => add_gpu_parts(&Python::find()?, installed)?,
        None => {
            let python = Python::find()?;
            let installed = install_cpu_parts(&python)?;
            if parts == Parts::Gpu {
                add_gpu_parts(&python, installed)?;
            }
        }
    }
    Ok(Libtorch {
        root: folder().join("torch"),
    })
}

/// The folder from which this Python can import PyTorch.
pub fn ensure_python_torch(python: &Python) -> Result<PathBuf> {
    if sound(Check::Sizes).is_some_and(|installed| installed.python != python.tag()) {
        eprintln!("the PyTorch that is installed is for another Python");
        fs::remove_file(stamp())?;
    }
    ensure(Parts::Gpu, Check::Sizes)?;
    Ok(folder())
}

/// What is installed, if all of it is as it should be; says on the terminal what is not.
fn sound(check: Check) -> Option<Installed> {
    let text = fs::read_to_string(stamp()).ok()?;
    let installed = Installed::parse(&text)?;
    match record::verify(&folder(), check) {
        Ok(()) => Some(installed),
        Err(problem) => {
            eprintln!("libtorch is installed anew: {problem:#}");
            None
        }
    }
}

fn install_cpu_parts(python: &Python) -> Result<Installed> {
    remove_leftovers()?;
    if folder().exists() {
        fs::remove_dir_all(folder())?;
    }
    let fresh = fresh_folder()?;
    let torch = vec![format!("torch=={VERSION}"), "--no-deps".to_owned()];
    python.install("Fetching libtorch (about 0.6 GB)", &torch, fresh.path())?;
    let needs = linked_requirements(fresh.path(), Parts::Cpu)?;
    if !needs.is_empty() {
        python.install("Fetching what libtorch is linked to", &needs, fresh.path())?;
    }
    check_and_move(fresh)?;
    finish(Installed {
        parts: Parts::Cpu,
        python: python.tag(),
    })
}

fn add_gpu_parts(python: &Python, installed: Installed) -> Result<()> {
    remove_leftovers()?;
    let needs = linked_requirements(&folder(), Parts::Gpu)?;
    if !needs.is_empty() {
        let fresh = fresh_folder()?;
        python.install(
            "Fetching the CUDA libraries of libtorch (about 2 GB)",
            &needs,
            fresh.path(),
        )?;
        check_and_move(fresh)?;
    }
    finish(Installed {
        parts: Parts::Gpu,
        ..installed
    })?;
    Ok(())
}

fn finish(installed: Installed) -> Result<Installed> {
    let found = version::read(&folder().join("torch"))?;
    if !version::is_compatible(&found, VERSION) {
        bail!("the package of PyTorch {VERSION} holds libtorch {found}");
    }
    fs::write(stamp(), installed.to_text())?;
    Ok(installed)
}

/// Beside the final place, so that moving is renaming.
fn fresh_folder() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("fetching-")
        .tempdir_in(paths::deps())?)
}

/// What an interrupted run could not remove.
fn remove_leftovers() -> Result<()> {
    for entry in fs::read_dir(paths::deps())?.flatten() {
        let name = entry.file_name();
        let is_leftover = ["fetching-", "download-", "python-"]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix));
        if is_leftover {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn check_and_move(fresh: tempfile::TempDir) -> Result<()> {
    record::verify(fresh.path(), Check::Contents).context("what was fetched is not whole")?;
    merge(fresh.path(), &folder())
}

/// Moves every file to the same place in another folder, over what is there.
fn merge(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if target.is_dir() && entry.file_type()?.is_dir() {
            merge(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// The packages with shared libraries that PyTorch's package asks for, at the versions it asks for.
fn linked_requirements(packages: &Path, parts: Parts) -> Result<Vec<String>> {
    let metadata = packages.join(format!("torch-{VERSION}.dist-info/METADATA"));
    let text = fs::read_to_string(&metadata)
        .with_context(|| format!("{} is missing", metadata.display()))?;
    Ok(requirements_in(&text, parts))
}

fn requirements_in(metadata: &str, parts: Parts) -> Vec<String> {
    let linked = metadata
        .lines()
        .filter_map(|line| line.strip_prefix("Requires-Dist: "))
        .filter(|line| cfg!(target_os = "linux") || !line.contains("\"Linux\""))
        .map(|line| line.split(';').next().unwrap_or(line).trim().to_owned())
        .filter(|requirement| {
            requirement.starts_with("cuda-toolkit") || requirement.starts_with("nvidia-")
        });
    match parts {
        Parts::Gpu => linked.collect(),
        // libtorch_cpu.so itself is linked to these two.
        Parts::Cpu => linked
            .filter_map(|requirement| {
                let version = requirement
                    .strip_prefix("cuda-toolkit")?
                    .split_once("==")?
                    .1;
                Some(format!("cuda-toolkit[cudart,cupti]=={version}"))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "Name: torch\nRequires-Dist: filelock\n\
        Requires-Dist: cuda-toolkit[cublas,cudart]==13.0.2; platform_system == \"Linux\"\n\
        Requires-Dist: nvidia-cudnn-cu13==9.19.0.56; platform_system == \"Linux\"\n\
        Requires-Dist: triton==3.6.0; platform_system == \"Linux\"\n";

    #[test]
    #[cfg(target_os = "linux")]
    fn a_cpu_needs_two_of_the_cuda_libraries_and_a_gpu_all() {
        assert_eq!(
            requirements_in(METADATA, Parts::Cpu),
            ["cuda-toolkit[cudart,cupti]==13.0.2"]
        );
        assert_eq!(
            requirements_in(METADATA, Parts::Gpu),
            [
                "cuda-toolkit[cublas,cudart]==13.0.2",
                "nvidia-cudnn-cu13==9.19.0.56"
            ]
        );
    }

    #[test]
    fn the_stamp_is_read_back_and_another_version_is_not_taken() {
        let installed = Installed {
            parts: Parts::Gpu,
            python: "cp312".to_owned(),
        };
        assert_eq!(Installed::parse(&installed.to_text()), Some(installed));
        assert_eq!(Installed::parse("2.10.0\ngpu\ncp312\n"), None);
        assert_eq!(Installed::parse(""), None);
    }

    #[test]
    fn merging_keeps_what_is_there_and_replaces_files() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, file, text) in [
            (from.path(), "a/new", "new"),
            (from.path(), "a/same", "from"),
            (to.path(), "a/old", "old"),
            (to.path(), "a/same", "to"),
        ] {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        merge(from.path(), to.path()).unwrap();
        let read = |name: &str| fs::read_to_string(to.path().join(name)).unwrap();
        assert_eq!(
            [read("a/new"), read("a/old"), read("a/same")],
            ["new", "old", "from"]
        );
    }
}
