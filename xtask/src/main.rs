//! The one entry to every chore of the project: `cargo xtask help`.

fn main() {}
