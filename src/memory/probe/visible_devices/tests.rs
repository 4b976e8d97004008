use super::*;

/// Three GPUs, not in the order of the bus. The first two share the beginning of their UUID.
fn machine() -> Vec<Gpu> {
    [
        (
            "GPU-aaaa1111-0000-0000-0000-000000000001",
            "00000000:41:00.0",
        ),
        (
            "GPU-aaaa2222-0000-0000-0000-000000000002",
            "00000000:01:00.0",
        ),
        (
            "GPU-bbbb0000-0000-0000-0000-000000000003",
            "00000001:01:00.0",
        ),
    ]
    .map(|(uuid, bus_id)| gpu(uuid, bus_id))
    .to_vec()
}

fn gpu(uuid: &str, bus_id: &str) -> Gpu {
    Gpu {
        uuid: uuid.to_owned(),
        bus_id: PciBusId::parse(bus_id).unwrap(),
        instances: None,
    }
}

fn divided(uuid: &str, bus_id: &str, instances: &[&str]) -> Gpu {
    Gpu {
        instances: Some(instances.iter().map(|&uuid| uuid.to_owned()).collect()),
        ..gpu(uuid, bus_id)
    }
}

const BY_BUS: Option<&str> = Some("PCI_BUS_ID");

/// The beginnings of the UUIDs of the ordinals from 0, up to the first that is none.
fn seen(visible: Option<&str>, order: Option<&str>, gpus: &[Gpu]) -> Vec<String> {
    let environment = CudaEnvironment::parse(visible, order);
    let uuids = (0..).map_while(|ordinal| resolve(ordinal, &environment, None, gpus).ok());
    uuids.map(|uuid| uuid[..8].to_owned()).collect()
}

fn reason(ordinal: u32, visible: Option<&str>, order: Option<&str>, gpus: &[Gpu]) -> Unmapped {
    let environment = CudaEnvironment::parse(visible, order);
    resolve(ordinal, &environment, None, gpus).unwrap_err()
}

fn told(bus_id: Option<&str>, uuid: Option<&str>) -> CudaIdentity {
    CudaIdentity {
        bus_id: bus_id.map(|text| PciBusId::parse(text).unwrap()),
        uuid: uuid.map(str::to_owned),
        name: None,
    }
}

#[test]
fn the_two_spellings_of_a_bus_id_are_one() {
    assert_eq!(
        PciBusId::parse("00000000:0B:00.0"),
        PciBusId::parse("0000:0b:00.0")
    );
    assert_eq!(
        PciBusId::parse("0000:0b:00.0").unwrap().to_string(),
        "0000:0b:00.0"
    );
    for wrong in ["", "0b:00.0", "0000:0b", "zz:00:00.0"] {
        assert_eq!(PciBusId::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn without_the_variable_gpus_are_counted_by_bus_when_cuda_does_so() {
    assert_eq!(
        seen(None, BY_BUS, &machine()),
        ["GPU-aaaa", "GPU-aaaa", "GPU-bbbb"]
    );
    let environment = CudaEnvironment::parse(None, BY_BUS);
    let first = resolve(0, &environment, None, &machine())
        .unwrap()
        .to_owned();
    assert!(first.starts_with("GPU-aaaa2222"), "{first}");
}

#[test]
fn indices_choose_and_reorder() {
    let gpus = machine();
    assert_eq!(seen(Some("2,1"), BY_BUS, &gpus), ["GPU-bbbb", "GPU-aaaa"]);
    let environment = CudaEnvironment::parse(Some("2,1"), BY_BUS);
    assert!(
        resolve(1, &environment, None, &gpus)
            .unwrap()
            .starts_with("GPU-aaaa1111")
    );
}

#[test]
fn an_invalid_entry_cuts_the_list() {
    let gpus = machine();
    for list in ["2,-1,1", "2,9,1", "2,x,1", "2,,1", "2,GPU-aaaa1,1"] {
        assert_eq!(seen(Some(list), BY_BUS, &gpus), ["GPU-bbbb"], "{list}");
    }
    assert_eq!(
        reason(1, Some("2,-1,1"), BY_BUS, &gpus),
        Unmapped::NotVisible {
            ordinal: 1,
            count: 1
        }
    );
}

#[test]
fn an_empty_list_and_minus_one_leave_nothing_visible() {
    for list in ["", "-1", " ", "NoDevFiles"] {
        assert_eq!(
            reason(0, Some(list), BY_BUS, &machine()),
            Unmapped::NotVisible {
                ordinal: 0,
                count: 0
            },
            "{list:?}"
        );
    }
}

#[test]
fn a_repeated_entry_leaves_nothing_visible() {
    for list in ["0,1,0", "1,1", "GPU-bbbb,GPU-bbbb"] {
        assert!(seen(Some(list), BY_BUS, &machine()).is_empty(), "{list}");
    }
}

#[test]
fn numbers_are_read_as_c_reads_them() {
    let gpus = machine();
    let environment = |list| CudaEnvironment::parse(Some(list), BY_BUS).visible;
    assert_eq!(environment("2gpus, +1"), environment("2,1"));
    assert_eq!(seen(Some(" 2 "), BY_BUS, &gpus), ["GPU-bbbb"]);
}

#[test]
fn a_uuid_or_its_beginning_names_a_gpu_whatever_the_order() {
    let gpus = machine();
    for list in [
        "GPU-bbbb,GPU-aaaa2",
        "GPU-BBBB,GPU-aaaa2222-0000-0000-0000-000000000002",
    ] {
        let environment = CudaEnvironment::parse(Some(list), None);
        let uuid = |ordinal| resolve(ordinal, &environment, None, &gpus).unwrap();
        assert_eq!(
            (&uuid(0)[..8], &uuid(1)[..12]),
            ("GPU-bbbb", "GPU-aaaa2222")
        );
    }
}

#[test]
fn a_beginning_that_fits_two_gpus_or_none_cuts_the_list() {
    for list in [
        "GPU-bbbb,GPU-aaaa,GPU-aaaa1",
        "GPU-bbbb,GPU-cccc,GPU-aaaa1",
        "GPU-bbbb,0",
    ] {
        assert_eq!(seen(Some(list), None, &machine()), ["GPU-bbbb"], "{list}");
    }
}

#[test]
fn one_gpu_needs_no_order() {
    assert_eq!(seen(None, None, &machine()[2..]), ["GPU-bbbb"]);
    assert_eq!(seen(Some("0"), None, &machine()[2..]), ["GPU-bbbb"]);
}

#[test]
fn several_gpus_in_cudas_own_order_are_not_guessed() {
    for order in [None, Some("FASTEST_FIRST"), Some("something")] {
        for list in [None, Some("0"), Some("1,0")] {
            assert_eq!(
                reason(0, list, order, &machine()),
                Unmapped::OrderUnknown { gpus: 3 }
            );
        }
    }
}

#[test]
fn what_the_cuda_runtime_says_settles_it() {
    let gpus = machine();
    let environment = CudaEnvironment::parse(Some("1,0"), None);
    let resolved = |identity: &CudaIdentity| {
        resolve(0, &environment, Some(identity), &gpus).map(|uuid| uuid[..12].to_owned())
    };
    let expected = Ok("GPU-aaaa2222".to_owned());
    assert_eq!(resolved(&told(Some("0000:01:00.0"), None)), expected);
    let uuid = Some("AAAA2222-0000-0000-0000-000000000002");
    assert_eq!(resolved(&told(None, uuid)), expected);
    // The UUID is the more exact of the two.
    assert_eq!(resolved(&told(Some("0000:41:00.0"), uuid)), expected);
}

#[test]
fn a_device_that_nvml_does_not_list_is_not_replaced_by_another() {
    let gpus = machine();
    let identity = told(Some("0000:99:00.0"), None);
    let error = resolve(
        0,
        &CudaEnvironment::parse(None, BY_BUS),
        Some(&identity),
        &gpus,
    );
    assert_eq!(
        error,
        Err(Unmapped::NotListed {
            ordinal: 0,
            told: "0000:99:00.0".to_owned()
        })
    );
}

#[test]
fn an_identity_without_content_leaves_the_environment() {
    let environment = CudaEnvironment::parse(Some("GPU-bbbb"), None);
    let gpus = machine();
    let uuid = resolve(0, &environment, Some(&CudaIdentity::default()), &gpus);
    assert!(uuid.unwrap().starts_with("GPU-bbbb"));
}

#[test]
fn a_mig_uuid_selects_the_instance() {
    let gpus = [
        gpu("GPU-aaaa", "0000:01:00.0"),
        divided(
            "GPU-bbbb",
            "0000:02:00.0",
            &["MIG-cccccccc", "MIG-dddddddd"],
        ),
    ];
    assert_eq!(seen(Some("MIG-dddddddd"), None, &gpus), ["MIG-dddd"]);
    assert!(seen(Some("MIG-eeeeeeee"), None, &gpus).is_empty());
    let told_mig = told(Some("0000:02:00.0"), Some("cccccccc"));
    let unset = CudaEnvironment::default();
    assert_eq!(
        resolve(0, &unset, Some(&told_mig), &gpus),
        Ok("MIG-cccccccc")
    );
    // A runtime that only tells the GPU, and the variable that names the part.
    let named = CudaEnvironment::parse(Some("MIG-dddddddd"), None);
    let told_gpu = told(Some("0000:02:00.0"), Some("bbbb"));
    assert_eq!(
        resolve(0, &named, Some(&told_gpu), &gpus),
        Ok("MIG-dddddddd")
    );
}

#[test]
fn the_only_instance_needs_no_name_and_several_are_not_guessed() {
    let one = [divided("GPU-bbbb", "0000:02:00.0", &["MIG-cccccccc"])];
    let two = [divided(
        "GPU-bbbb",
        "0000:02:00.0",
        &["MIG-cccccccc", "MIG-dddddddd"],
    )];
    for list in [None, Some("0"), Some("GPU-bbbb")] {
        assert_eq!(seen(list, None, &one), ["MIG-cccc"], "{list:?}");
        assert_eq!(
            reason(0, list, None, &two),
            Unmapped::InstanceUnknown {
                ordinal: 0,
                count: 2
            }
        );
    }
}

#[test]
fn beside_an_instance_no_other_device_is_visible_by_itself() {
    let gpus = [
        gpu("GPU-aaaa", "0000:01:00.0"),
        divided("GPU-bbbb", "0000:02:00.0", &["MIG-cccccccc"]),
    ];
    assert_eq!(seen(None, BY_BUS, &gpus), ["MIG-cccc"]);
}
