//! Which device NVML means by a CUDA ordinal.
//!
//! NVML lists every GPU of the machine. CUDA lists those that `CUDA_VISIBLE_DEVICES` names, in its order, and counts
//! GPUs in an order of its own (`CUDA_DEVICE_ORDER`). What the CUDA runtime says of an ordinal settles the matter;
//! without it the two variables do, except where they leave it open. Nothing here is guessed: the figures of another
//! GPU would be worse than none. Pure: no library is called.

use std::env;
use std::fmt;

use thiserror::Error;

/// The variable that chooses and orders the devices CUDA sees.
pub const VISIBLE_DEVICES_VARIABLE: &str = "CUDA_VISIBLE_DEVICES";
/// The variable that says how CUDA counts GPUs.
pub const DEVICE_ORDER_VARIABLE: &str = "CUDA_DEVICE_ORDER";

/// The place of a GPU on the PCI bus, as both NVML (`00000000:0B:00.0`) and CUDA (`0000:0b:00.0`) write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciBusId {
    domain: u32,
    bus: u32,
    device: u32,
    function: u32,
}

impl PciBusId {
    /// Reads `domain:bus:device.function`, hexadecimal.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |digits: &str| u32::from_str_radix(digits, 16).ok();
        let (domain, rest) = text.trim().split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (device, function) = rest.split_once('.').unwrap_or((rest, "0"));
        Some(Self {
            domain: hex(domain)?,
            bus: hex(bus)?,
            device: hex(device)?,
            function: hex(function)?,
        })
    }
}

impl fmt::Display for PciBusId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

/// A GPU as NVML lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// `GPU-…`.
    pub uuid: String,
    /// Where it is on the bus.
    pub bus_id: PciBusId,
    /// The UUIDs (`MIG-…`) of its parts; `None` when it is not divided (MIG mode off).
    pub instances: Option<Vec<String>>,
}

/// What the CUDA runtime says of an ordinal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CudaIdentity {
    /// Where the GPU is on the bus.
    pub bus_id: Option<PciBusId>,
    /// Digits of its UUID, or of its MIG instance, as `8-4-4-4-12` without a prefix.
    pub uuid: Option<String>,
    /// Name of the product.
    pub name: Option<String>,
}

/// How CUDA counts GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceOrder {
    /// The fastest first, by a rule that is CUDA's own.
    #[default]
    FastestFirst,
    /// By place on the bus.
    PciBusId,
}

/// An entry of `CUDA_VISIBLE_DEVICES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// The number of a GPU in CUDA's order.
    Index(u32),
    /// A GPU's UUID or a beginning of it, with its `GPU-`.
    Gpu(String),
    /// A MIG instance's UUID, with its `MIG-`.
    Mig(String),
}

/// What `CUDA_VISIBLE_DEVICES` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Visible {
    /// It is not set.
    #[default]
    All,
    /// These, in this order.
    Listed(Vec<Identifier>),
}

impl Visible {
    /// Reads the value of the variable as CUDA does: the kind of the first entry is that of all; an entry that is none
    /// ends the list; a repeated one leaves nothing visible.
    pub fn parse(value: Option<&str>) -> Self {
        let Some(value) = value else {
            return Self::All;
        };
        let parse: fn(&str) -> Option<Identifier> = if value.trim_start().starts_with("GPU-") {
            |entry| {
                entry
                    .starts_with("GPU-")
                    .then(|| Identifier::Gpu(entry.to_owned()))
            }
        } else if value.trim_start().starts_with("MIG-") {
            |entry| {
                entry
                    .starts_with("MIG-")
                    .then(|| Identifier::Mig(entry.to_owned()))
            }
        } else {
            |entry| leading_number(entry).map(Identifier::Index)
        };
        let listed: Vec<Identifier> = value
            .split(',')
            .map_while(|entry| parse(entry.trim()))
            .collect();
        let repeated = |(position, entry)| listed[..position].contains(entry);
        if listed.iter().enumerate().any(repeated) {
            return Self::Listed(Vec::new());
        }
        Self::Listed(listed)
    }
}

/// The number at the start of an entry; like C's `strtoul`, CUDA does not look at what follows. `None` for a negative
/// number and for none.
fn leading_number(entry: &str) -> Option<u32> {
    let digits = entry.strip_prefix('+').unwrap_or(entry);
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The variables that the order of CUDA's devices depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CudaEnvironment {
    /// `CUDA_VISIBLE_DEVICES`.
    pub visible: Visible,
    /// `CUDA_DEVICE_ORDER`.
    pub order: DeviceOrder,
}

impl CudaEnvironment {
    /// Reads the values of the two variables; `None` is a variable that is not set.
    pub fn parse(visible_devices: Option<&str>, device_order: Option<&str>) -> Self {
        Self {
            visible: Visible::parse(visible_devices),
            order: match device_order.map(str::trim) {
                Some("PCI_BUS_ID") => DeviceOrder::PciBusId,
                _ => DeviceOrder::FastestFirst,
            },
        }
    }

    /// That of this process now. CUDA reads it once, when it is first used.
    pub fn of_this_process() -> Self {
        let value = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self::parse(
            value(VISIBLE_DEVICES_VARIABLE).as_deref(),
            value(DEVICE_ORDER_VARIABLE).as_deref(),
        )
    }
}

/// Why it cannot be said which device of NVML an ordinal is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unmapped {
    /// There is no such ordinal.
    #[error(
        "CUDA device {ordinal} is not among the {count} that CUDA_VISIBLE_DEVICES and the machine leave visible"
    )]
    NotVisible {
        /// The ordinal asked for.
        ordinal: u32,
        /// How many there are.
        count: usize,
    },
    /// Several GPUs, counted by a rule that only CUDA knows.
    #[error(
        "{gpus} GPUs are counted in CUDA's own order (fastest first), which only the CUDA runtime knows; set \
         CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPU by its UUID in CUDA_VISIBLE_DEVICES"
    )]
    OrderUnknown {
        /// How many GPUs NVML lists.
        gpus: usize,
    },
    /// The CUDA runtime names a device that NVML does not list.
    #[error("the CUDA runtime says that device {ordinal} is {told}, which NVML does not list")]
    NotListed {
        /// The ordinal asked for.
        ordinal: u32,
        /// What the CUDA runtime said.
        told: String,
    },
    /// A divided GPU, and nothing says which part it is.
    #[error(
        "{count} MIG instances could be CUDA device {ordinal}; name one by its UUID in CUDA_VISIBLE_DEVICES"
    )]
    InstanceUnknown {
        /// The ordinal asked for.
        ordinal: u32,
        /// How many parts there are.
        count: usize,
    },
}

/// The UUID by which NVML knows CUDA's device `ordinal`: of a GPU, or of a MIG instance.
///
/// # Errors
/// [`Unmapped`] when what is known leaves it open.
pub fn resolve<'gpus>(
    ordinal: u32,
    environment: &CudaEnvironment,
    told: Option<&CudaIdentity>,
    gpus: &'gpus [Gpu],
) -> Result<&'gpus str, Unmapped> {
    match told {
        Some(told) if told.uuid.is_some() || told.bus_id.is_some() => {
            by_identity(ordinal, environment, told, gpus)
        }
        _ => by_environment(ordinal, environment, gpus),
    }
}

fn by_identity<'gpus>(
    ordinal: u32,
    environment: &CudaEnvironment,
    told: &CudaIdentity,
    gpus: &'gpus [Gpu],
) -> Result<&'gpus str, Unmapped> {
    let is_told = |uuid: &str| {
        let digits = uuid.get(4..).unwrap_or_default();
        told.uuid
            .as_deref()
            .is_some_and(|told| digits.eq_ignore_ascii_case(told))
    };
    let mut instances = gpus.iter().flat_map(Gpu::instances);
    if let Some(instance) = instances.find(|instance| is_told(instance)) {
        return Ok(instance);
    }
    let by_uuid = gpus.iter().find(|gpu| is_told(&gpu.uuid));
    let by_bus_id = || gpus.iter().find(|gpu| Some(gpu.bus_id) == told.bus_id);
    let gpu = by_uuid
        .or_else(by_bus_id)
        .ok_or_else(|| Unmapped::NotListed {
            ordinal,
            told: match (&told.uuid, told.bus_id) {
                (_, Some(bus_id)) => bus_id.to_string(),
                (uuid, None) => uuid.clone().unwrap_or_default(),
            },
        })?;
    whole_or_instance(ordinal, environment, gpu)
}

/// A GPU that is not divided, or the one part of it that it can be.
fn whole_or_instance<'gpus>(
    ordinal: u32,
    environment: &CudaEnvironment,
    gpu: &'gpus Gpu,
) -> Result<&'gpus str, Unmapped> {
    if gpu.instances.is_none() {
        return Ok(&gpu.uuid);
    }
    if let Visible::Listed(listed) = &environment.visible
        && let Some(Identifier::Mig(prefix)) = listed.get(ordinal as usize)
        && let Some(instance) = only_match(gpu.instances(), prefix, |instance| instance)
    {
        return Ok(instance);
    }
    only_instance(ordinal, gpu.instances())
}

fn by_environment<'gpus>(
    ordinal: u32,
    environment: &CudaEnvironment,
    gpus: &'gpus [Gpu],
) -> Result<&'gpus str, Unmapped> {
    let not_visible = |count| Unmapped::NotVisible { ordinal, count };
    match &environment.visible {
        Visible::All => {
            // CUDA sees one MIG instance, and then no undivided GPU beside it.
            let mut instances = gpus.iter().flat_map(Gpu::instances).peekable();
            match (instances.peek(), ordinal) {
                (Some(_), 0) => return only_instance(ordinal, instances),
                (Some(_), _) => return Err(not_visible(1)),
                (None, _) => {}
            }
            let gpu = by_index(ordinal, environment.order, gpus, || not_visible(gpus.len()))?;
            Ok(&gpu.uuid)
        }
        Visible::Listed(listed) => {
            let valid: Vec<&Identifier> = listed
                .iter()
                .take_while(|identifier| exists(identifier, gpus))
                .collect();
            match valid.get(ordinal as usize) {
                None => Err(not_visible(valid.len())),
                Some(Identifier::Index(index)) => {
                    let gpu =
                        by_index(*index, environment.order, gpus, || not_visible(valid.len()))?;
                    whole_or_instance(ordinal, environment, gpu)
                }
                Some(Identifier::Gpu(prefix)) => {
                    let gpu = only_match(gpus.iter(), prefix, |gpu| &gpu.uuid)
                        .ok_or_else(|| not_visible(valid.len()))?;
                    whole_or_instance(ordinal, environment, gpu)
                }
                Some(Identifier::Mig(prefix)) => {
                    let instances = gpus.iter().flat_map(Gpu::instances);
                    only_match(instances, prefix, |instance| instance)
                        .map(String::as_str)
                        .ok_or_else(|| not_visible(valid.len()))
                }
            }
        }
    }
}

impl Gpu {
    fn instances(&self) -> impl Iterator<Item = &String> {
        self.instances.iter().flatten()
    }
}

/// Whether an entry names one device; the list ends at the first that does not.
fn exists(identifier: &Identifier, gpus: &[Gpu]) -> bool {
    match identifier {
        Identifier::Index(index) => (*index as usize) < gpus.len(),
        Identifier::Gpu(prefix) => only_match(gpus.iter(), prefix, |gpu| &gpu.uuid).is_some(),
        Identifier::Mig(prefix) => {
            let instances = gpus.iter().flat_map(Gpu::instances);
            only_match(instances, prefix, |instance| instance).is_some()
        }
    }
}

fn by_index(
    index: u32,
    order: DeviceOrder,
    gpus: &[Gpu],
    missing: impl FnOnce() -> Unmapped,
) -> Result<&Gpu, Unmapped> {
    if index as usize >= gpus.len() {
        return Err(missing());
    }
    if gpus.len() > 1 && order == DeviceOrder::FastestFirst {
        return Err(Unmapped::OrderUnknown { gpus: gpus.len() });
    }
    let mut in_order: Vec<&Gpu> = gpus.iter().collect();
    in_order.sort_by_key(|gpu| gpu.bus_id);
    Ok(in_order[index as usize])
}

/// The one item whose UUID begins so; `None` for none and for several.
fn only_match<'item, T>(
    items: impl Iterator<Item = &'item T>,
    prefix: &str,
    uuid: impl Fn(&T) -> &str,
) -> Option<&'item T> {
    let begins = |uuid: &str| {
        uuid.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let mut matching = items.filter(|item| begins(uuid(item)));
    matching.next().filter(|_| matching.next().is_none())
}

fn only_instance<'gpus>(
    ordinal: u32,
    instances: impl Iterator<Item = &'gpus String>,
) -> Result<&'gpus str, Unmapped> {
    let instances: Vec<_> = instances.collect();
    match instances.as_slice() {
        [only] => Ok(only),
        several => Err(Unmapped::InstanceUnknown {
            ordinal,
            count: several.len(),
        }),
    }
}

#[cfg(test)]
mod tests;
