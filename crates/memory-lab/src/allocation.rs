use std::path::Path;
pub fn run(_: &[f64], _: Option<&Path>) -> anyhow::Result<bool> {
    Ok(true)
}
