//! The machine: system, memory, environment, GPUs.

use std::env;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use sam_mm::backend::libtorch::LIBTORCH_VARIABLE;
use sam_mm::backend::search::BACKEND_PATH_VARIABLE;
use sam_mm::memory::config::{MemoryConfig, MemoryOptions};
use sam_mm::memory::host::HostMemory;
use sam_mm::memory::probe::{DeviceProbes, ProbeOptions, Source};
use sam_mm::memory::units::Size;

use super::finding::{Finding, Verdict};

const MACHINE: &str = "This machine";
const ENVIRONMENT: &str = "Environment";
const GPUS: &str = "GPUs";

/// What SAM ViT-B takes on the CPU, weights and encoding together, in round numbers.
const COMFORTABLE_BYTES: u64 = 2 << 30;

/// More GPUs than this are not asked about.
const MOST_GPUS: u32 = 16;

pub fn look() -> Vec<Finding> {
    let mut findings = vec![system(), memory()];
    findings.extend(libtorch_variable());
    findings.extend(backend_variable());
    findings.extend(memory_settings());
    if let Some(devices) = env::var_os("CUDA_VISIBLE_DEVICES") {
        let text = format!("{} (which GPUs may be used)", devices.to_string_lossy());
        findings.push(Finding::new(
            ENVIRONMENT,
            "CUDA_VISIBLE_DEVICES",
            Verdict::Fact,
            text,
        ));
    }
    findings
}

fn system() -> Finding {
    let cores = available_parallelism()
        .map_or("an unknown number of".to_owned(), |cores| cores.to_string());
    let text = format!(
        "{} on {}, {cores} cores",
        env::consts::OS,
        env::consts::ARCH
    );
    Finding::new(MACHINE, "system", Verdict::Fact, text)
}

fn memory() -> Finding {
    let Some(host) = HostMemory::read() else {
        return Finding::new(MACHINE, "memory", Verdict::Fact, "the system does not tell");
    };
    let text = format!("{} available of {}", Size(host.available), Size(host.total));
    if host.available >= COMFORTABLE_BYTES {
        return Finding::new(MACHINE, "memory", Verdict::Good, text);
    }
    Finding::new(MACHINE, "memory", Verdict::Warning, text).advise(format!(
        "SAM ViT-B on the CPU wants about {}: end other programs, give the container more, or use MobileSAM",
        Size(COMFORTABLE_BYTES)
    ))
}

/// `SAM_MM_LIBTORCH` names a folder with libtorch in it, or one with that in `lib`.
fn libtorch_variable() -> Option<Finding> {
    let value = env::var_os(LIBTORCH_VARIABLE).filter(|value| !value.is_empty())?;
    let folder = Path::new(&value);
    let finding =
        |verdict, text: String| Finding::new(ENVIRONMENT, LIBTORCH_VARIABLE, verdict, text);
    let file = format!(
        "{}torch_cpu{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    );
    let is_there = ["", "lib", "torch/lib"]
        .iter()
        .any(|part| folder.join(part).join(&file).is_file());
    Some(if is_there {
        let version = fs::read_to_string(folder.join("build-version")).unwrap_or_default();
        let version = version.trim();
        let known = if version.is_empty() {
            String::new()
        } else {
            format!(" (version {version})")
        };
        finding(Verdict::Good, format!("{}{known}", folder.display()))
    } else if folder.is_dir() {
        finding(Verdict::Problem, format!("{} holds no {file}", folder.display())).advise(
            "name the folder of an unpacked libtorch 2.11, which is the one with `lib` in it, or that of the Python package \
             `torch` 2.11",
        )
    } else {
        finding(
            Verdict::Problem,
            format!("{} is no folder", folder.display()),
        )
        .advise("correct it, or unset it to have libtorch found by the system")
    })
}

/// `SAM_MM_BACKEND_PATH` is a list of files and folders.
fn backend_variable() -> Vec<Finding> {
    let value = env::var_os(BACKEND_PATH_VARIABLE).unwrap_or_default();
    let paths = env::split_paths(&value).filter(|path| !path.as_os_str().is_empty());
    let finding =
        |verdict, text: String| Finding::new(ENVIRONMENT, BACKEND_PATH_VARIABLE, verdict, text);
    paths
        .map(|path| {
            let shown = path.display();
            if path.is_relative() {
                finding(
                    Verdict::Warning,
                    format!("{shown} is relative and therefore not looked at"),
                )
                .advise("write the path in full")
            } else if path.exists() {
                finding(Verdict::Good, shown.to_string())
            } else {
                finding(Verdict::Warning, format!("{shown} does not exist"))
                    .advise("correct or remove it")
            }
        })
        .collect()
}

/// The four variables of memory management.
fn memory_settings() -> Vec<Finding> {
    let (config, warnings) = match MemoryConfig::from_environment(&MemoryOptions::default()) {
        Ok(read) => read,
        Err(error) => {
            return vec![Finding::new(
                ENVIRONMENT,
                "memory settings",
                Verdict::Problem,
                error.to_string(),
            )];
        }
    };
    let text = format!(
        "at most {:.0}% of a GPU, warnings from {:.0}%, critical from {:.0}%, {}",
        config.fraction * 100.0,
        config.warning_threshold * 100.0,
        config.critical_threshold * 100.0,
        if config.growth {
            "growing as needed"
        } else {
            "a strict limit"
        }
    );
    let mut findings = vec![Finding::new(
        ENVIRONMENT,
        "memory settings",
        Verdict::Fact,
        text,
    )];
    findings.extend(warnings.iter().map(|warning| {
        Finding::new(
            ENVIRONMENT,
            "memory settings",
            Verdict::Warning,
            warning.to_string(),
        )
        .advise("correct the variable; until then its default counts")
    }));
    findings
}

/// The GPUs that were found.
pub struct Gpus {
    pub findings: Vec<Finding>,
    pub count: usize,
}

pub fn gpus() -> Gpus {
    let mut findings = Vec::new();
    let mut first_failure = None;
    for ordinal in 0..MOST_GPUS {
        let reading = DeviceProbes::open(ProbeOptions::default(), ordinal).read(None);
        let Some(figures) = reading.device.filter(|_| reading.source != Source::None) else {
            if ordinal == 0 {
                let reasons = reading.failures.iter();
                first_failure = Some(
                    reasons
                        .map(|failure| failure.reason.clone())
                        .collect::<Vec<_>>()
                        .join("\n"),
                );
            }
            break;
        };
        let text = format!(
            "{}, {} free of {} (told by {})",
            reading.name.as_deref().unwrap_or("a GPU without a name"),
            Size(figures.free),
            Size(figures.total),
            reading.source
        );
        findings.push(Finding::new(
            GPUS,
            format!("cuda:{ordinal}"),
            Verdict::Good,
            text,
        ));
    }
    let count = findings.len();
    if let Ok(version) = fs::read_to_string("/proc/driver/nvidia/version") {
        let line = version.lines().next().unwrap_or_default().trim().to_owned();
        findings.push(Finding::new(GPUS, "driver", Verdict::Fact, line));
    }
    if count == 0 {
        findings.push(none_found(&first_failure.unwrap_or_default()));
    }
    Gpus { findings, count }
}

fn none_found(why: &str) -> Finding {
    let has_driver = [
        "/dev/nvidiactl",
        "/dev/nvidia0",
        "/proc/driver/nvidia/version",
    ]
    .iter()
    .any(|path| Path::new(path).exists());
    if !has_driver {
        let text = "no NVIDIA GPU, so sam-mm runs on the CPU";
        return Finding::new(GPUS, "NVIDIA", Verdict::Fact, text);
    }
    let text = format!("there is a driver of NVIDIA, and no GPU answers\n{why}");
    Finding::new(GPUS, "NVIDIA", Verdict::Warning, text.trim_end().to_owned()).advise(
        "run `nvidia-smi`: if it fails too, the driver needs to be installed anew, or the machine restarted after an update; \
         in a container, start it with access to the GPU (docker run --gpus all)",
    )
}
