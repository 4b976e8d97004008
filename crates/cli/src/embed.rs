//! `sam-mm embed`: a folder of pictures, encoded ahead of time.

use std::fs;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sam_mm::cache::embedding::Key;
use sam_mm::context::{Context, Options};
use sam_mm::embeddings::disk::DiskOptions;
use sam_mm::model::Model;
use sam_mm::predictor::encode;
use serde_json::json;

use crate::arguments::EmbedOptions;
use crate::{output, picture, session};

const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "ppm", "pgm", "pbm", "pnm"];

pub fn run(options: &EmbedOptions) -> Result<ExitCode> {
    let pictures = pictures_in(&options.pictures)?;
    ensure!(
        !pictures.is_empty(),
        "there is no picture in {} (looked for .{})",
        options.pictures.display(),
        ENDINGS.join(", .")
    );
    can_be_filled(&options.cache)?;
    session::warn_of_demo(options.checkpoint.as_deref());
    let context = session::context_with(
        &options.engine,
        Options {
            embedding_disk: Some(DiskOptions {
                folder: options.cache.clone(),
                limits: DiskOptions::LIMITS,
            }),
            embedding_compress: options.compress,
            ..Options::default()
        },
    )?;
    let model = session::load(&context, options.checkpoint.as_deref())?;
    let bar = bar(pictures.len() as u64);
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    let mut encoded = 0;
    for path in &pictures {
        bar.set_message(
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
        match embed(&context, &model, path) {
            Ok(embedded) => {
                encoded += u64::from(embedded.now);
                done.push((path, embedded.key));
            }
            // One picture that is no picture should not cost the night.
            Err(error) => failed.push((path, format!("{error:#}"))),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    context.embeddings().flush();
    let is_kept = |key| {
        let disk = context.embeddings().disk();
        disk.is_some_and(|disk| disk.touch(key, model.precision()))
    };
    let lost: Vec<_> = done.iter().filter(|(_, key)| !is_kept(*key)).collect();
    context.shut_down();
    let there = done.len() as u64 - encoded;
    for (_, error) in &failed {
        output::note(format_args!("error: {error}"));
    }
    if options.json {
        let failed: Vec<_> = failed
            .iter()
            .map(|(path, error)| json!({"picture": path, "error": error}))
            .collect();
        output::json(&json!({"encoded": encoded, "already_there": there, "failed": failed}))?;
    } else {
        output::line(format_args!(
            "{encoded} encoded, {there} already there, {} failed",
            failed.len()
        ))?;
    }
    // Keeping fails with a warning only: a tool goes on without. Here it is all that was asked for.
    if let Some((path, _)) = lost.first() {
        bail!(
            "{} holds no embedding of {} of {} pictures, such as {}: the disk is full or cannot be written to, or the cache \
             has reached its limit of {} GiB",
            options.cache.display(),
            lost.len(),
            done.len(),
            path.display(),
            DiskOptions::LIMITS.bytes >> 30
        );
    }
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Makes the folder of the cache, and a file in it that is gone at once: better now than after a night of encoding.
fn can_be_filled(cache: &Path) -> Result<()> {
    let about = || {
        format!(
            "{} cannot be used as the folder of the cache; name a folder that can be written to",
            cache.display()
        )
    };
    fs::create_dir_all(cache).with_context(about)?;
    tempfile::tempfile_in(cache).with_context(about)?;
    Ok(())
}

/// A picture whose embedding was asked for.
struct Embedded {
    key: Key,
    /// It had to be made.
    now: bool,
}

/// Makes sure that there is an embedding of a picture.
fn embed(context: &Arc<Context>, model: &Model, path: &Path) -> Result<Embedded> {
    let image = picture::register(context, &picture::read(path)?)?;
    let misses = || context.memory().report().caches.embedding.misses;
    let before = misses();
    encode(model, &image)?;
    Ok(Embedded {
        key: Key {
            image: image.key(),
            model: model.id(),
        },
        now: misses() > before,
    })
}

/// The pictures of a folder, by name.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let about = || format!("{} cannot be read as a folder", folder.display());
    let mut pictures = Vec::new();
    for entry in fs::read_dir(folder).with_context(about)? {
        let path = entry.with_context(about)?.path();
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && path.is_file() {
            pictures.push(path);
        }
    }
    pictures.sort();
    Ok(pictures)
}

fn bar(pictures: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(pictures);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} ({eta} left) {msg}") {
        bar.set_style(style);
    }
    bar
}
