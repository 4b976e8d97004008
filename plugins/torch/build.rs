//! Compiles the C++ shim against the libtorch that `torch-sys` links, and puts its folder into the run path.

use std::env;
use std::path::{Path, PathBuf};

/// The parts of the shim that need libtorch's headers.
const TORCH_SOURCES: [&str; 8] = [
    "attention/attention.cpp",
    "cpu_allocator.cpp",
    "failure.cpp",
    "linear.cpp",
    "memory.cpp",
    "runtime.cpp",
    "tiled_linear/tiled_linear.cpp",
    "hiera_block/hiera_block.cpp",
];
/// Instruction sets that kernels are compiled for, and what the compiler needs to be told.
const INSTRUCTION_SETS: [(&str, &[&str]); 3] = [
    ("portable", &[]),
    ("avx2", &["-mavx2", "-mfma"]),
    ("avx512", &["-mavx512f", "-mavx2", "-mfma"]),
];
/// Folders with a kernel for each of them, but where there is no file.
const KERNELS: [&str; 2] = ["attention", "tiled_linear"];

fn main() {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").map_or_else(
        |_| panic!("torch-sys tells no libtorch folder: set LIBTORCH to an unpacked libtorch 2.11"),
        PathBuf::from,
    );
    compile_kernels_of_instruction_sets();
    compile_kernels();
    compile_torch_parts(&include_folders(&lib));
    link(&lib);
}

/// `include` lies beside `lib` in every libtorch package, unless `LIBTORCH_INCLUDE` tells another root.
fn include_folders(lib: &Path) -> [PathBuf; 2] {
    let root = env::var_os("LIBTORCH_INCLUDE")
        .map_or_else(|| lib.parent().unwrap_or(lib).to_owned(), PathBuf::from);
    let include = root.join("include");
    let api = include.join("torch/csrc/api/include");
    [include, api]
}

fn compile_torch_parts(include: &[PathBuf]) {
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .files(TORCH_SOURCES.map(|file| Path::new("shim").join(file)));
    for folder in include {
        // The headers of libtorch are not warning-free; ours are held to `-Wall -Wextra` by the flags below.
        build.flag("-isystem").flag(folder.as_os_str());
    }
    build
        .flag("-Wall")
        .flag("-Wextra")
        .flag("-Wno-unused-parameter");
    // Without it `at::parallel_for`, a template of libtorch's headers, runs on one thread.
    if uses_openmp(&build) {
        build.flag("-fopenmp");
    }
    build.compile("sam_mm_torch_shim");
}

/// Whether the compiler's OpenMP is the one that libtorch runs on.
fn uses_openmp(build: &cc::Build) -> bool {
    let linux = env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux");
    linux && build.get_compiler().is_like_gnu()
}

/// Optimised in every profile: tests on real sizes would take minutes otherwise. A flag for another processor than the
/// target's is left out, and the file then compiles to nothing.
fn compile_kernels_of_instruction_sets() {
    let x86 = env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64");
    for folder in KERNELS {
        for (name, flags) in INSTRUCTION_SETS {
            let file = Path::new("shim").join(folder).join(format!("{name}.cpp"));
            if !file.is_file() {
                continue;
            }
            let mut build = cc::Build::new();
            build
                .cpp(true)
                .std("c++17")
                .opt_level(3)
                .flag_if_supported("-ffp-contract=fast")
                .file(file);
            for flag in flags.iter().filter(|_| x86) {
                build.flag_if_supported(flag);
            }
            build.compile(&format!("sam_mm_torch_{folder}_{name}"));
        }
    }
}

/// Loops over plain arrays: optimised in every profile, and on the threads of the OpenMP that libtorch runs on. Where
/// that is another one than the compiler's, they run on one thread.
fn compile_kernels() {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .flag_if_supported("-fno-math-errno")
        .flag_if_supported("-fno-trapping-math")
        .file("shim/kernels.cpp");
    if uses_openmp(&build) {
        build.flag("-fopenmp");
        println!("cargo:rustc-link-lib=gomp");
    } else {
        build.flag_if_supported("-fopenmp-simd");
    }
    build.compile("sam_mm_torch_kernels");
}

fn link(lib: &Path) {
    println!("cargo:rustc-link-search=native={}", lib.display());
    for library in ["torch_cpu", "c10"] {
        println!("cargo:rustc-link-lib={library}");
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-link-lib=dl");
        // Beside the plugin first: that is where a package puts libtorch.
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
