//! `cargo xtask demo`: a picture becomes masks, by a C program.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::pnm::{PnmEncoder, PnmSubtype, SampleEncoding};
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
    let opened = ImageReader::open(picture).and_then(ImageReader::with_guessed_format);
    let mut reader = opened.with_context(|| format!("{} cannot be read", picture.display()))?;
    reader.no_limits();
    let decoded = reader.decode().with_context(|| {
        format!(
            "{} is no PNG, JPEG or PPM that can be read",
            picture.display()
        )
    })?;
    // Saving under this name alone would write the newer PAM.
    let file = BufWriter::new(File::create(ppm)?);
    let encoder = PnmEncoder::new(file).with_subtype(PnmSubtype::Pixmap(SampleEncoding::Binary));
    decoded.into_rgb8().write_with_encoder(encoder)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_becomes_what_the_c_program_reads() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.jpg", "two words, ünïcode.ppm"] {
            let picture = folder.path().join(name);
            image::RgbImage::from_pixel(3, 2, image::Rgb([9, 9, 9]))
                .save(&picture)
                .unwrap();
            let ppm = folder.path().join("picture.ppm");
            to_ppm(&picture, &ppm).unwrap();
            let bytes = fs::read(ppm).unwrap();
            assert!(bytes.starts_with(b"P6\n3 2 255\n"), "{name}: {bytes:?}");
            assert_eq!(bytes.len(), 11 + 18, "{name}");
        }
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.jpg");
        fs::write(&text, "words").unwrap();
        let missing = folder.path().join("missing.png");
        for path in [text.as_path(), missing.as_path(), folder.path()] {
            let error = to_ppm(path, &folder.path().join("picture.ppm")).unwrap_err();
            let words = error.to_string();
            assert!(words.contains(path.to_str().unwrap()), "{words}");
        }
    }
}
