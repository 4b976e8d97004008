//! Settings: the four environment variables, what a caller says explicitly, and the defaults.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// Share of a device's memory to use at most.
pub const FRACTION_VARIABLE: &str = "SAM_GPU_MEMORY_FRACTION";
/// Share of a device's memory in use from which there are warnings.
pub const WARNING_VARIABLE: &str = "SAM_MEMORY_WARNING_THRESHOLD";
/// Share of a device's memory in use that is critical.
pub const CRITICAL_VARIABLE: &str = "SAM_MEMORY_CRITICAL_THRESHOLD";
/// Whether memory may grow as needed, or the limit is strict.
pub const GROWTH_VARIABLE: &str = "SAM_ENABLE_MEMORY_GROWTH";

/// Everything that can be set. Shares are 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryConfig {
    /// Share of a device's memory to use at most.
    pub fraction: f64,
    /// Share of a device's memory in use from which there are warnings, and nothing more is cached on it.
    pub warning_threshold: f64,
    /// Share of a device's memory in use that is critical. Not below `warning_threshold`.
    pub critical_threshold: f64,
    /// `true`: memory grows as needed, and crossing the limit sheds caches first. `false`: the limit is strict and set
    /// on the allocator.
    pub growth: bool,
    /// Share of the host's memory in use from which nothing more is cached in it.
    pub host_threshold: f64,
    /// How old figures may be that answer a question about memory.
    pub snapshot_max_age: Duration,
    /// The background thread.
    pub monitor: MonitorConfig,
}

/// Settings of the background thread.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Time from one look to the next.
    pub period: Duration,
    /// Bytes of processed images above which all that are not in use are dropped.
    pub image_cache_bytes: u64,
    /// Share of a device's memory in use above which memory is given back.
    pub device_threshold: f64,
    /// How far below `device_threshold` the share must fall before crossing it counts anew.
    pub margin: f64,
    /// Pause after giving back freed next to nothing. Doubles each time.
    pub first_pause: Duration,
    /// Longest such pause.
    pub longest_pause: Duration,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            fraction: 0.9,
            warning_threshold: 0.8,
            critical_threshold: 0.95,
            growth: true,
            host_threshold: 0.9,
            snapshot_max_age: Duration::from_secs(1),
            monitor: MonitorConfig::default(),
        }
    }
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            period: Duration::from_secs(1),
            image_cache_bytes: 1_000_000_000,
            device_threshold: 0.8,
            margin: 0.05,
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(300),
        }
    }
}

/// What a caller says explicitly; `None` leaves it to the environment, and then to the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryOptions {
    /// See [`MemoryConfig::fraction`].
    pub fraction: Option<f64>,
    /// See [`MemoryConfig::warning_threshold`].
    pub warning_threshold: Option<f64>,
    /// See [`MemoryConfig::critical_threshold`].
    pub critical_threshold: Option<f64>,
    /// See [`MemoryConfig::growth`].
    pub growth: Option<bool>,
    /// See [`MemoryConfig::host_threshold`].
    pub host_threshold: Option<f64>,
    /// See [`MemoryConfig::snapshot_max_age`].
    pub snapshot_max_age: Option<Duration>,
    /// See [`MonitorConfig::enabled`].
    pub monitor_enabled: Option<bool>,
    /// See [`MonitorConfig::period`].
    pub monitor_period: Option<Duration>,
    /// See [`MonitorConfig::image_cache_bytes`].
    pub monitor_image_cache_bytes: Option<u64>,
    /// See [`MonitorConfig::device_threshold`].
    pub monitor_device_threshold: Option<f64>,
}

/// An explicit option that cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ConfigError {
    /// Not a number from 0 to 1.
    #[error("{option} is {value}; it must be a number from 0 to 1")]
    NotAShare {
        /// The option.
        option: &'static str,
        /// Its value.
        value: f64,
    },
    /// A period of no length would never rest.
    #[error("monitor_period_ms is 0; it must be longer, or the monitor off")]
    NoPeriod,
    /// The thresholds are the wrong way round.
    #[error(
        "warning_threshold {warning} is above critical_threshold {critical}; give both, the smaller one first"
    )]
    Crossed {
        /// Threshold of warnings.
        warning: f64,
        /// Threshold of what is critical.
        critical: f64,
    },
}

/// A variable of the environment that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The variable.
    pub variable: &'static str,
    /// What it holds.
    pub value: String,
    /// What is wrong with it; continues the sentence that its value starts.
    pub problem: String,
    /// What holds instead.
    pub default: String,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {:?}, {}; using {}",
            self.variable, self.value, self.problem, self.default
        )
    }
}

/// A number from 0 to 1, as the variables are written.
pub fn parse_share(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(is_share)
}

/// `true`, `1`, `yes`, `on` and their opposites, in any case.
pub fn parse_switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn is_share(value: &f64) -> bool {
    (0.0..=1.0).contains(value)
}

impl MemoryConfig {
    /// The settings from the options, the environment of this process and the defaults.
    ///
    /// # Errors
    /// An option that cannot be used. The environment never leads to an error: see [`resolve`](Self::resolve).
    pub fn from_environment(
        options: &MemoryOptions,
    ) -> Result<(Self, Vec<ConfigWarning>), ConfigError> {
        // A value that is not Unicode is no number either, and should be named in the warning.
        Self::resolve(options, |variable| {
            std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
        })
    }

    /// The settings from the options, then from the variables that `lookup` knows, then from the defaults. A variable
    /// that cannot be used gives its default and a warning.
    ///
    /// # Errors
    /// An option that cannot be used.
    pub fn resolve(
        options: &MemoryOptions,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<ConfigWarning>), ConfigError> {
        let mut environment = Environment {
            lookup,
            warnings: Vec::new(),
        };
        let defaults = Self::default();
        let (warning, critical) = environment.thresholds(options, &defaults)?;
        let config = Self {
            fraction: match explicit_share("fraction", options.fraction)? {
                Some(fraction) => fraction,
                None => {
                    environment
                        .share(FRACTION_VARIABLE, defaults.fraction)
                        .value
                }
            },
            warning_threshold: warning,
            critical_threshold: critical,
            growth: match options.growth {
                Some(growth) => growth,
                None => environment.switch(GROWTH_VARIABLE, defaults.growth),
            },
            host_threshold: explicit_share("host_threshold", options.host_threshold)?
                .unwrap_or(defaults.host_threshold),
            snapshot_max_age: options
                .snapshot_max_age
                .unwrap_or(defaults.snapshot_max_age),
            monitor: MonitorConfig::resolve(options)?,
        };
        Ok((config, environment.warnings))
    }
}

impl MonitorConfig {
    fn resolve(options: &MemoryOptions) -> Result<Self, ConfigError> {
        let defaults = Self::default();
        let enabled = options.monitor_enabled.unwrap_or(defaults.enabled);
        if enabled && options.monitor_period == Some(Duration::ZERO) {
            return Err(ConfigError::NoPeriod);
        }
        Ok(Self {
            enabled,
            period: options.monitor_period.unwrap_or(defaults.period),
            image_cache_bytes: options
                .monitor_image_cache_bytes
                .unwrap_or(defaults.image_cache_bytes),
            device_threshold: explicit_share(
                "monitor_device_threshold",
                options.monitor_device_threshold,
            )?
            .unwrap_or(defaults.device_threshold),
            ..defaults
        })
    }
}

fn explicit_share(option: &'static str, value: Option<f64>) -> Result<Option<f64>, ConfigError> {
    match value {
        Some(value) if !is_share(&value) => Err(ConfigError::NotAShare { option, value }),
        value => Ok(value),
    }
}

/// The variables, and what was wrong with them.
struct Environment<L> {
    lookup: L,
    warnings: Vec<ConfigWarning>,
}

/// A share, and the text of the variable that set it, if one did.
struct Share {
    value: f64,
    set_by: Option<String>,
}

impl<L: Fn(&str) -> Option<String>> Environment<L> {
    fn share(&mut self, variable: &'static str, default: f64) -> Share {
        let unset = Share {
            value: default,
            set_by: None,
        };
        let Some(text) = (self.lookup)(variable) else {
            return unset;
        };
        match parse_share(&text) {
            Some(value) => Share {
                value,
                set_by: Some(text),
            },
            None => {
                let problem = "which is not a number from 0 to 1".to_owned();
                self.warn(variable, text, problem, default);
                unset
            }
        }
    }

    fn switch(&mut self, variable: &'static str, default: bool) -> bool {
        let Some(text) = (self.lookup)(variable) else {
            return default;
        };
        parse_switch(&text).unwrap_or_else(|| {
            let problem = "which is none of true, false, 1, 0, yes, no, on, off".to_owned();
            self.warn(variable, text, problem, default);
            default
        })
    }

    /// Both thresholds, the warning not above the critical one. Where they conflict, the environment gives way.
    fn thresholds(
        &mut self,
        options: &MemoryOptions,
        defaults: &MemoryConfig,
    ) -> Result<(f64, f64), ConfigError> {
        let mut threshold = |option, variable, explicit, default| {
            Ok(match explicit_share(option, explicit)? {
                Some(value) => Share {
                    value,
                    set_by: None,
                },
                None => self.share(variable, default),
            })
        };
        let warning = threshold(
            "warning_threshold",
            WARNING_VARIABLE,
            options.warning_threshold,
            defaults.warning_threshold,
        )?;
        let critical = threshold(
            "critical_threshold",
            CRITICAL_VARIABLE,
            options.critical_threshold,
            defaults.critical_threshold,
        )?;
        if warning.value <= critical.value {
            return Ok((warning.value, critical.value));
        }
        if let Some(text) = warning.set_by {
            let problem = format!("above the critical threshold {}", critical.value);
            self.warn(WARNING_VARIABLE, text, problem, defaults.warning_threshold);
        }
        if let Some(text) = critical.set_by {
            let problem = format!("below the warning threshold {}", warning.value);
            self.warn(
                CRITICAL_VARIABLE,
                text,
                problem,
                defaults.critical_threshold,
            );
        }
        let warning = options
            .warning_threshold
            .unwrap_or(defaults.warning_threshold);
        let critical = options
            .critical_threshold
            .unwrap_or(defaults.critical_threshold);
        if warning <= critical {
            Ok((warning, critical))
        } else {
            Err(ConfigError::Crossed { warning, critical })
        }
    }

    fn warn(
        &mut self,
        variable: &'static str,
        value: String,
        problem: String,
        default: impl ToString,
    ) {
        self.warnings.push(ConfigWarning {
            variable,
            value,
            problem,
            default: default.to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolve(
        options: &MemoryOptions,
        variables: &[(&str, &str)],
    ) -> Result<(MemoryConfig, Vec<String>), ConfigError> {
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| (*value).to_owned())
        };
        MemoryConfig::resolve(options, lookup)
            .map(|(config, warnings)| (config, warnings.iter().map(ToString::to_string).collect()))
    }

    fn from_variables(variables: &[(&str, &str)]) -> (MemoryConfig, Vec<String>) {
        resolve(&MemoryOptions::default(), variables).unwrap()
    }

    #[test]
    fn without_any_variable_the_defaults_of_sam_annotator_hold() {
        let (config, warnings) = from_variables(&[]);
        assert_eq!(
            (
                config.fraction,
                config.warning_threshold,
                config.critical_threshold,
                config.growth
            ),
            (0.9, 0.8, 0.95, true)
        );
        assert_eq!(config.host_threshold, 0.9);
        assert_eq!(config.monitor.image_cache_bytes, 1_000_000_000);
        assert_eq!(config.monitor.device_threshold, 0.8);
        assert!(warnings.is_empty());
    }

    #[test]
    fn each_variable_sets_its_value() {
        let (config, warnings) = from_variables(&[
            (FRACTION_VARIABLE, " 0.7 "),
            (WARNING_VARIABLE, "0.5"),
            (CRITICAL_VARIABLE, "1"),
            (GROWTH_VARIABLE, "OFF"),
        ]);
        assert_eq!(
            (
                config.fraction,
                config.warning_threshold,
                config.critical_threshold,
                config.growth
            ),
            (0.7, 0.5, 1.0, false)
        );
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_switch_is_read_in_every_usual_spelling() {
        for (text, value) in [
            ("True", true),
            ("1", true),
            ("yes", true),
            ("On", true),
            ("FALSE", false),
            ("0", false),
            ("No", false),
            ("off", false),
        ] {
            assert_eq!(
                from_variables(&[(GROWTH_VARIABLE, text)]).0.growth,
                value,
                "{text}"
            );
        }
        let (config, warnings) = from_variables(&[(GROWTH_VARIABLE, "maybe")]);
        assert!(config.growth);
        assert_eq!(
            warnings,
            [
                "SAM_ENABLE_MEMORY_GROWTH is \"maybe\", which is none of true, false, 1, 0, yes, no, on, off; using true"
            ]
        );
    }

    #[test]
    fn what_is_not_a_number_from_0_to_1_gives_the_default_and_a_warning_that_names_it() {
        for text in [
            "NaN", "inf", "-inf", "0,9", "-0.1", "1.5", "", "90%", "0.9f",
        ] {
            let (config, warnings) = from_variables(&[(FRACTION_VARIABLE, text)]);
            assert_eq!(config.fraction, 0.9, "{text}");
            assert_eq!(
                warnings,
                [format!(
                    "SAM_GPU_MEMORY_FRACTION is {text:?}, which is not a number from 0 to 1; using 0.9"
                )]
            );
        }
    }

    #[test]
    fn thresholds_the_wrong_way_round_both_fall_to_their_defaults() {
        let (config, warnings) =
            from_variables(&[(WARNING_VARIABLE, "0.9"), (CRITICAL_VARIABLE, "0.85")]);
        assert_eq!(
            (config.warning_threshold, config.critical_threshold),
            (0.8, 0.95)
        );
        assert_eq!(
            warnings,
            [
                "SAM_MEMORY_WARNING_THRESHOLD is \"0.9\", above the critical threshold 0.85; using 0.8",
                "SAM_MEMORY_CRITICAL_THRESHOLD is \"0.85\", below the warning threshold 0.9; using 0.95",
            ]
        );
    }

    #[test]
    fn a_warning_threshold_above_the_critical_default_falls_back_too() {
        let (config, warnings) = from_variables(&[(WARNING_VARIABLE, "0.97")]);
        assert_eq!(
            (config.warning_threshold, config.critical_threshold),
            (0.8, 0.95)
        );
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn explicit_options_win_over_the_environment_which_gives_way_where_they_conflict() {
        let options = MemoryOptions {
            fraction: Some(0.5),
            warning_threshold: Some(0.9),
            growth: Some(false),
            ..Default::default()
        };
        let variables = [
            (FRACTION_VARIABLE, "nonsense that nobody reads"),
            (CRITICAL_VARIABLE, "0.85"),
            (GROWTH_VARIABLE, "true"),
        ];
        let (config, warnings) = resolve(&options, &variables).unwrap();
        assert_eq!((config.fraction, config.growth), (0.5, false));
        assert_eq!(
            (config.warning_threshold, config.critical_threshold),
            (0.9, 0.95)
        );
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    #[test]
    fn an_explicit_option_that_cannot_be_used_is_an_error_with_its_value() {
        let message = |options| resolve(&options, &[]).unwrap_err().to_string();
        assert_eq!(
            message(MemoryOptions {
                fraction: Some(1.5),
                ..Default::default()
            }),
            "fraction is 1.5; it must be a number from 0 to 1"
        );
        assert_eq!(
            message(MemoryOptions {
                warning_threshold: Some(0.97),
                ..Default::default()
            }),
            "warning_threshold 0.97 is above critical_threshold 0.95; give both, the smaller one first"
        );
        assert_eq!(
            message(MemoryOptions {
                monitor_period: Some(Duration::ZERO),
                ..Default::default()
            }),
            "monitor_period_ms is 0; it must be longer, or the monitor off"
        );
    }

    #[test]
    fn two_contexts_may_be_set_differently_in_one_process() {
        let with = |fraction| MemoryOptions {
            fraction: Some(fraction),
            ..Default::default()
        };
        let fraction = |options| resolve(&options, &[]).unwrap().0.fraction;
        assert_eq!((fraction(with(0.3)), fraction(with(0.6))), (0.3, 0.6));
    }

    proptest! {
        #[test]
        fn whatever_the_variables_hold_the_settings_can_be_used(texts in proptest::array::uniform4(".*|0\\.[0-9]{1,3}")) {
            let names = [FRACTION_VARIABLE, WARNING_VARIABLE, CRITICAL_VARIABLE, GROWTH_VARIABLE];
            let variables: Vec<_> = names.into_iter().zip(texts.iter().map(String::as_str)).collect();
            let (config, _) = from_variables(&variables);
            for share in [config.fraction, config.warning_threshold, config.critical_threshold] {
                prop_assert!(is_share(&share));
            }
            prop_assert!(config.warning_threshold <= config.critical_threshold);
        }
    }
}
