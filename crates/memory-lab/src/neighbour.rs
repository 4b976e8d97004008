pub fn hold(_: u64) -> anyhow::Result<()> {
    Ok(())
}
