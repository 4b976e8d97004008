//! `cargo xtask demo`: a picture becomes masks, by a C program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, ImageReader};

use crate::arguments::DemoOptions;
use crate::artifacts::{self, Artifacts};
use crate::{c_example, libtorch, process};

pub fn run(options: &DemoOptions, existing: Option<&Path>) -> Result<()> {
    let libtorch = libtorch::ensure(existing)?;
    let artifacts = artifacts::build(&libtorch)?;
    let program = compile(&artifacts)?;
    fs::create_dir_all(&options.out)
        .with_context(|| format!("{} cannot be made", options.out.display()))?;
    let overlay = options.out.join("overlay.png");
    let scratch = tempfile::tempdir()?;

    let mut command = Command::new(program);
    add_input(&mut command, options, scratch.path())?;
    command.arg("--overlay").arg(&overlay);
    libtorch.set_for_callers(&mut command);
    // Its last line is the JSON, so nothing is printed after it.
    let report = process::output(&mut command)?;
    compress(&overlay)?;
    print!("{report}");
    Ok(())
}

fn compile(artifacts: &Artifacts) -> Result<PathBuf> {
    let program = artifacts
        .folder()
        .join(format!("segment{}", std::env::consts::EXE_SUFFIX));
    c_example::compile(&program, &c_example::flags_for_tree(artifacts.folder()))?;
    Ok(program)
}

fn add_input(command: &mut Command, options: &DemoOptions, scratch: &Path) -> Result<()> {
    match &options.image {
        Some(image) => {
            let picture = scratch.join("picture.ppm");
            to_ppm(image, &picture)?;
            command.arg("--image").arg(picture);
            if options.checkpoint.is_none() {
                eprintln!(
                    "note: the built-in model was trained on drawn scenes, not on photographs; name a checkpoint with \
                     --checkpoint FILE (the README says where they are)"
                );
            }
        }
        None => {
            command.args(["--seed", &options.seed.to_string()]);
        }
    }
    if let Some(checkpoint) = &options.checkpoint {
        command.arg("--checkpoint").arg(checkpoint);
    }
    for point in &options.points {
        command.args(["--point", point]);
    }
    for corners in &options.boxes {
        command.args(["--box", corners]);
    }
    command.args(["--device", &options.device]);
    command.args(["--threads", &options.threads.to_string()]);
    Ok(())
}

/// Decodes a picture into the plain format that the C program reads.
fn to_ppm(picture: &Path, ppm: &Path) -> Result<()> {
    let mut reader = ImageReader::open(picture)
        .with_context(|| format!("{} cannot be opened", picture.display()))?
        .with_guessed_format()?;
    reader.no_limits();
    let decoded = reader.decode().with_context(|| {
        format!(
            "{} is no PNG, JPEG or PPM that can be read",
            picture.display()
        )
    })?;
    decoded.into_rgb8().save(ppm)?;
    Ok(())
}

/// The C program stores pixels as they are; this packs them.
fn compress(file: &Path) -> Result<()> {
    let picture = image::open(file)?.into_rgb8();
    let mut packed = Vec::new();
    PngEncoder::new_with_quality(&mut packed, CompressionType::Best, FilterType::Adaptive)
        .write_image(
            &picture,
            picture.width(),
            picture.height(),
            image::ExtendedColorType::Rgb8,
        )?;
    fs::write(file, packed)?;
    Ok(())
}
