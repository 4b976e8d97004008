//! sam-mm.
