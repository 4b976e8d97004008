//! The figures of a device, checked.

/// Bytes of a device's memory. `used + free + reserved` is at most `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceFigures {
    /// All of it.
    pub total: u64,
    /// In use by processes, this one among them.
    pub used: u64,
    /// What can still be had.
    pub free: u64,
}

impl DeviceFigures {
    /// Figures of a source that tells no more than how much there is and how much of it is free: the rest counts as
    /// used.
    ///
    /// # Errors
    /// Why they cannot be right.
    pub fn from_free(total: u64, free: u64) -> Result<Self, String> {
        if free > total {
            return Err(format!("{free} bytes free of {total} cannot be right"));
        }
        Self {
            total,
            used: total - free,
            free,
        }
        .checked()
    }

    /// The same figures if they are possible. A source that answers nonsense has failed: a device of 0 bytes must not
    /// pass for one that is 0 % used.
    ///
    /// # Errors
    /// Why they cannot be right.
    pub fn checked(self) -> Result<Self, String> {
        let Self { total, used, free } = self;
        if total == 0 {
            return Err("a total of 0 bytes cannot be right".to_owned());
        }
        match used.checked_add(free) {
            Some(sum) if sum <= total => Ok(self),
            _ => Err(format!(
                "{used} bytes used and {free} free of {total} cannot be right"
            )),
        }
    }

    /// Bytes that are neither used nor free: what the driver keeps for itself, where the source tells it apart.
    pub fn reserved(&self) -> u64 {
        self.total
            .saturating_sub(self.used)
            .saturating_sub(self.free)
    }

    /// `used / total`, 0 to 1.
    pub fn utilization(&self) -> f64 {
        self.used as f64 / self.total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn figures(total: u64, used: u64, free: u64) -> DeviceFigures {
        DeviceFigures { total, used, free }
    }

    #[test]
    fn impossible_figures_are_a_failure_and_never_an_empty_device() {
        for wrong in [
            figures(0, 0, 0),
            figures(100, 101, 0),
            figures(100, 0, 101),
            figures(100, 60, 60),
            figures(100, u64::MAX, u64::MAX),
        ] {
            assert!(wrong.checked().is_err(), "{wrong:?}");
        }
        assert!(DeviceFigures::from_free(0, 0).is_err());
        assert!(DeviceFigures::from_free(100, 101).is_err());
    }

    #[test]
    fn what_is_neither_used_nor_free_is_the_drivers() {
        assert_eq!(figures(100, 60, 30).checked(), Ok(figures(100, 60, 30)));
        assert_eq!(figures(100, 60, 30).reserved(), 10);
        assert_eq!(DeviceFigures::from_free(100, 30), Ok(figures(100, 70, 30)));
        assert_eq!(figures(100, 60, 30).utilization(), 0.6);
    }
}
