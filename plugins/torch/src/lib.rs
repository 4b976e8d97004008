//! The libtorch backend plugin of sam-mm.
