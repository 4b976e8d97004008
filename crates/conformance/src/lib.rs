//! A conformance suite that every sam-mm backend plugin can be run through.
