//! Memory: what is known about it, from where, in words and numbers; and what is decided from that.
//!
//! The decisions are apart from what carries them out, and need no device: how full is full ([`status`]), how much may
//! be used ([`budget`]), how an operation is run ([`plan`]), what is given back first ([`consumer`]) and how much
//! ([`optimize`]), what is done when memory ran out all the same ([`recovery`]), and when to act unasked ([`monitor`]). All
//! of it is set in [`config`], told in [`events`] and counted in [`analytics`].
//!
//! Carried out, it is the [`manager`] of a context: it reads the [`device`] through the [`probe`]s and the [`host`], and
//! [`execute`] runs an operation in its care.

pub mod analytics;
pub mod budget;
pub mod config;
pub mod consumer;
pub mod device;
pub mod events;
pub mod execute;
pub mod figures;
pub mod host;
pub mod info;
pub mod manager;
pub mod monitor;
pub mod optimize;
pub mod plan;
pub mod probe;
pub mod recovery;
pub mod status;
pub mod units;
