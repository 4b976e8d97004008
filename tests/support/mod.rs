//! What the integration tests share. Each test file uses a part of it.
#![allow(dead_code)]

pub mod c;
pub mod calls;
pub mod child;
pub mod fake_backend;
pub mod fake_gpu;
pub mod gpu_session;
pub mod library;
pub mod scripted;
pub mod setup;
