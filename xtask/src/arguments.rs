//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The chores of sam-mm. Each command installs what it needs into `.deps`, which git ignores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Arguments {
    /// An existing libtorch 2.11 to use instead of installing one: the folder with `lib` and `include` in it.
    #[arg(long, global = true, env = "LIBTORCH", value_name = "DIR")]
    pub libtorch: Option<PathBuf>,

    #[command(subcommand)]
    pub task: Task,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Installs libtorch and checks it.
    Setup(SetupOptions),
    /// Builds the library, compiles examples/c and segments a picture.
    Demo(DemoOptions),
    /// Runs every test of the workspace.
    Test(TestOptions),
    /// Checks formatting, clippy and that the committed headers are those of the sources.
    Lint,
    /// Compares with the official implementations on the same random weights.
    Parity(ParityOptions),
    /// Measures against the official implementations and ONNX Runtime.
    Bench(BenchOptions),
    /// Measures coming back to an image: from memory, from disk, and encoding it anew.
    BenchTiers,
    /// Runs the conformance suite on a backend plugin.
    Conformance(ConformanceOptions),
    /// Plays what can happen to a session, without the hardware that it happens on.
    #[command(subcommand)]
    Simulate(Simulation),
    /// Checks memory management on a real GPU. Exit status 3: there is none, so nothing was checked.
    GpuCheck(GpuCheckOptions),
    /// Installs the libraries, the headers, the packages for CMake and pkg-config, the torch plugin and `sam-mm`.
    Install(InstallOptions),
    /// Installs the library with cargo-c and builds the C example with pkg-config alone.
    InstallCheck,
    /// Checks the links of all pages and makes the book of docs/, with the C API from the header.
    Docs,
    /// Writes the generated parts of the language bindings anew.
    #[command(subcommand)]
    Bindings(Bindings),
}

#[derive(Debug, Subcommand)]
pub enum Bindings {
    /// The raw layer of the C# binding, by csbindgen from src/capi.
    Csharp,
    /// The raw layer of the Java binding, for JNA.
    Java,
}

#[derive(Debug, Subcommand)]
pub enum Simulation {
    /// Memory running short: scenarios and random sessions on pretended GPUs.
    Memory(SimulateOptions),
    /// Annotators at work: what the caches spare them, against their budgets, and how long clicks take.
    Session(SessionOptions),
}

#[derive(Debug, Args)]
pub struct SessionOptions {
    /// Seed of all that is left to chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only the traces whose name contains this.
    #[arg(long, default_value = "")]
    pub only: String,
    /// Threads of the demo model.
    #[arg(long, default_value_t = 2)]
    pub threads: u32,
}

#[derive(Debug, Args)]
pub struct SimulateOptions {
    /// Seed of the random sessions; by default another one each time.
    #[arg(long)]
    pub seed: Option<u64>,
    /// How many random sessions.
    #[arg(long, default_value_t = 10_000)]
    pub sequences: u64,
    /// Only the scenarios whose name contains this.
    #[arg(long, default_value = "")]
    pub only: String,
}

#[derive(Debug, Args)]
pub struct GpuCheckOptions {
    /// The checkpoint to check with; without it the demo model, which takes little memory.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SetupOptions {
    /// Install what a GPU needs as well (several GB).
    #[arg(long)]
    pub gpu: bool,
}

#[derive(Debug, Args)]
pub struct InstallOptions {
    /// Where to: `bin`, `include` and `lib` will be in it.
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    pub prefix: PathBuf,
    /// Folder of the libraries within the prefix.
    #[arg(long, value_name = "DIR", default_value = "lib")]
    pub libdir: PathBuf,
    /// Leave the torch plugin out.
    #[arg(long)]
    pub without_plugin: bool,
}

#[derive(Debug, Args)]
pub struct DemoOptions {
    /// The picture to segment (PNG, JPEG, PPM); without it a scene is drawn.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// The official checkpoint file to use; without it the built-in demo model, which knows drawn scenes only.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// A point in pixels: X,Y in the object, or X,Y,0 outside of it. Repeatable.
    #[arg(long = "point", value_name = "X,Y[,LABEL]", allow_hyphen_values = true)]
    pub points: Vec<String>,
    /// A box around the object; several are several objects. Repeatable.
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", allow_hyphen_values = true)]
    pub boxes: Vec<String>,
    /// Which scene to draw.
    #[arg(long, default_value_t = 1, conflicts_with = "image")]
    pub seed: u64,
    /// Folder for the overlay.
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    pub out: PathBuf,
    /// `auto`, `cpu` or `cuda:N`.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads on the CPU; 0 leaves the choice to the backend.
    #[arg(long, default_value_t = 0)]
    pub threads: u32,
}

#[derive(Debug, Args)]
pub struct TestOptions {
    /// Run only the tests whose name contains this. `memory` stands for all that is about it, and with
    /// TEST_MEMORY_FRACTIONS=0.9,0.7,0.5 allocates under each of these fractions as well. `bindings` runs the tests of every
    /// language's package, and compares the masks they give.
    pub filter: Option<String>,
}

#[derive(Debug, Args)]
pub struct ParityOptions {
    /// Models to compare: vit_b, vit_l, vit_h, vit_t; sam2_hiera_ and sam2.1_hiera_ with tiny, small, base_plus or large
    /// after it; with --everything, also `demo`, the built-in model. [default: vit_b,vit_t,sam2.1_hiera_tiny, and
    /// demo,vit_t,sam2.1_hiera_tiny with --everything]
    #[arg(long, value_delimiter = ',')]
    pub models: Vec<String>,
    /// Compare the masks of everything in an image with those of the official generators instead.
    #[arg(long)]
    pub everything: bool,
    /// Points along a side of the grid, with --everything.
    #[arg(long, default_value_t = 8, requires = "everything")]
    pub points_per_side: u32,
    /// A picture to compare on, instead of the photographs and odd sizes that are the default. Repeatable.
    #[arg(long = "image", value_name = "FILE")]
    pub images: Vec<PathBuf>,
    /// Threads of both sides.
    #[arg(long, default_value_t = 2)]
    pub threads: u32,
}

#[derive(Debug, Args)]
pub struct BenchOptions {
    /// Models to measure: vit_b, vit_l, vit_h, vit_t; sam2_hiera_ and sam2.1_hiera_ with tiny, small, base_plus or large
    /// after it.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "vit_b,vit_t,sam2.1_hiera_tiny"
    )]
    pub models: Vec<String>,
    /// Fresh processes per side; figures are their medians.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Threads of all sides.
    #[arg(long, default_value_t = 2)]
    pub threads: u32,
}

#[derive(Debug, Args)]
pub struct ConformanceOptions {
    /// The plugin's file; without it the torch backend is built and examined.
    #[arg(long, value_name = "FILE")]
    pub backend: Option<PathBuf>,
    /// `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    pub device: String,
}
