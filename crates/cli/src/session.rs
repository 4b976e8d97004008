//! A context and a model, set up as the command line says.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use sam_mm::backend::Precision;
use sam_mm::context::{Context, Options};
use sam_mm::logging::Level;
use sam_mm::model::{Model, Source};

use crate::arguments::EngineOptions;
use crate::output;

/// A context; nothing is loaded yet.
pub fn context(options: &EngineOptions) -> Result<Arc<Context>> {
    context_with(options, Options::default())
}

/// [`context`] with further settings.
pub fn context_with(options: &EngineOptions, further: Options) -> Result<Arc<Context>> {
    let level = match options.verbose {
        0 => Level::Warn,
        1 => Level::Info,
        _ => Level::Debug,
    };
    let settings = Options {
        device: options.device.parse().map_err(sam_mm::error::Error::from)?,
        backend_path: options.backend.clone(),
        num_threads: options.threads,
        ..further
    };
    let sink = Box::new(|level: Level, line: &str| {
        let level = match level {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info | Level::Debug => "note",
        };
        output::note(format_args!("{level}: {line}"));
    });
    Ok(Arc::new(Context::new(settings, Some((level, sink)))?))
}

/// Where a model comes from: the file that was named, else the demo model.
pub fn source(checkpoint: Option<&Path>) -> Source<'static> {
    checkpoint.map_or(Source::Demo, |path| Source::File(path.to_owned()))
}

/// Loads a model.
pub fn load(context: &Arc<Context>, checkpoint: Option<&Path>) -> Result<Model> {
    let busy = output::busy("loading the model");
    let model = Model::load(context, source(checkpoint), Precision::Fp32);
    busy.finish_and_clear();
    Ok(model?)
}

/// Tells who takes the demo model for more than it is.
pub fn warn_of_demo(checkpoint: Option<&Path>) {
    if checkpoint.is_none() {
        output::note(
            "note: this is the demo model, which was trained on drawn scenes and does not know photographs; name a \
             checkpoint with --checkpoint (the README says where the official ones are)",
        );
    }
}
