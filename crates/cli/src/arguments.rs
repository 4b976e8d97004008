//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::prompts::{Bounds, Point};

/// Interactive Segment Anything that stays inside its memory budget.
#[derive(Debug, Parser)]
#[command(name = "sam-mm", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub task: Task,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Looks at this machine: backends, GPUs, libtorch, memory; tries the demo model; says what to do about what is wrong.
    ///
    /// Exit status 0: sam-mm works here. 1: it does not, and the lines with an arrow say what would help.
    Doctor(DoctorOptions),
    /// Tells what a checkpoint file is, and what memory it needs.
    Info(InfoOptions),
    /// Makes masks of what points and boxes point at in a picture.
    Segment(SegmentOptions),
    /// Finds all masks in a picture, without being pointed at any.
    Everything(EverythingOptions),
    /// Encodes the pictures of a folder into a cache on disk, so that a tool that uses it need not.
    Embed(EmbedOptions),
    /// Times encoding and clicking on this machine.
    Bench(BenchOptions),
}

/// What the work is done with.
#[derive(Debug, Args)]
pub struct EngineOptions {
    /// `auto` (the first usable GPU, else the CPU), `cpu` or `cuda:N`.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// File or folder of the backend plugin; without it one is searched for.
    #[arg(long, value_name = "PATH")]
    pub backend: Option<PathBuf>,
    /// Threads on the CPU; 0 leaves the choice to the backend.
    #[arg(long, default_value_t = 0)]
    pub threads: u32,
    /// Tell what the library does; twice for all of it.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Args)]
pub struct DoctorOptions {
    #[command(flatten)]
    pub engine: EngineOptions,
    /// Print everything as JSON, for a report.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InfoOptions {
    /// The checkpoint file (.pth, .pt or .safetensors); without it the demo model that is built in.
    pub checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub engine: EngineOptions,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A form of masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A gray PNG of the picture's size for each object: 255 in the mask, 0 outside.
    Mask,
    /// The picture with masks and prompts drawn over it, as PNG.
    Overlay,
    /// COCO's JSON with run-length encodings, as pycocotools reads it.
    Coco,
    /// COCO's JSON with polygons.
    Polygons,
}

#[derive(Debug, Args)]
pub struct SegmentOptions {
    /// The picture (PNG, JPEG, BMP, PPM).
    pub image: PathBuf,
    /// A point in pixels: X,Y in the object, or X,Y,0 outside of it. Repeatable; all points belong to one object.
    #[arg(long = "point", value_name = "X,Y[,LABEL]", allow_hyphen_values = true)]
    pub points: Vec<Point>,
    /// A box around an object. One box belongs to the object of the points; several are an object each.
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", allow_hyphen_values = true)]
    pub boxes: Vec<Bounds>,
    /// The checkpoint file; without it the demo model, which knows drawn scenes only.
    #[arg(short, long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// What to write, separated by commas.
    #[arg(
        short,
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "mask,overlay"
    )]
    pub write: Vec<Form>,
    /// Folder to write to.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Points of outlines may be left out that lie no farther than this from them, in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 0.0)]
    pub tolerance: f64,
    #[command(flatten)]
    pub engine: EngineOptions,
    /// Print what was found as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct EverythingOptions {
    /// The picture (PNG, JPEG, BMP, PPM).
    pub image: PathBuf,
    /// The checkpoint file; without it the demo model, which knows drawn scenes only.
    #[arg(short, long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// What to write, separated by commas.
    #[arg(
        short,
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "overlay,coco"
    )]
    pub write: Vec<Form>,
    /// Folder to write to.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Points along each side of the grid; more find smaller objects, and take longer.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub points_per_side: u32,
    /// Masks stay whose predicted IoU is above this, 0 to 1; without it what suits the model.
    #[arg(long, value_name = "SHARE")]
    pub min_iou: Option<f64>,
    /// Masks stay whose stability is not below this, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    pub min_stability: f64,
    /// Layers of crops that are looked at besides the whole picture, 0 to 5.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub crop_layers: u32,
    /// Regions and holes of fewer pixels are removed.
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    pub min_area: u64,
    /// Points of outlines may be left out that lie no farther than this from them, in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 0.0)]
    pub tolerance: f64,
    #[command(flatten)]
    pub engine: EngineOptions,
    /// Print what was found as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct EmbedOptions {
    /// The folder of pictures; those in folders within it are left alone.
    pub pictures: PathBuf,
    /// The folder of the cache, which a tool names as `embedding_disk_folder`.
    #[arg(long, value_name = "DIR")]
    pub cache: PathBuf,
    /// The checkpoint file; without it the demo model.
    #[arg(short, long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Keep embeddings in half precision, in half the bytes.
    #[arg(long)]
    pub compress: bool,
    #[command(flatten)]
    pub engine: EngineOptions,
    /// Print what was done as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BenchOptions {
    /// The checkpoint file; without it the demo model.
    #[arg(short, long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The picture; without it a drawn scene of 1024 × 768 pixels.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// How often each is timed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    #[command(flatten)]
    pub engine: EngineOptions,
    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
}
