//! A small random number generator that gives the same numbers in every version of every dependency: the bounds that
//! tests hold the demo model to were measured on the scenes it makes.

use std::f64::consts::TAU;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Rng {
    state: u64,
    /// The second of two normally distributed numbers that were made together.
    spare: Option<f64>,
}

impl Rng {
    /// A generator for one purpose, so that drawing a scene and choosing its prompts do not depend on one another.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = Self {
            state: seed ^ purpose.rotate_left(32),
            spare: None,
        };
        rng.next();
        rng
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number from `low` up to, not including, `high`.
    pub fn below(&mut self, low: usize, high: usize) -> usize {
        low + (self.unit() * (high - low) as f64) as usize
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Normally distributed about 0 (Box and Muller 1958).
    pub fn normal(&mut self, deviation: f64) -> f64 {
        let standard = self.spare.take().unwrap_or_else(|| {
            let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
            let (sin, cos) = libm::sincos(TAU * self.unit());
            self.spare = Some(radius * sin);
            radius * cos
        });
        deviation * standard
    }
}
