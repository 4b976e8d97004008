//! Who lives how long, and threads.

use std::thread;

use sam_mm_backend_abi::abi::SAM_MM_MEM_ALLOCATOR;

use super::{Finding, Kept, checks, ensure};
use crate::input::Masks;
use crate::raw::Model;
use crate::subject::Subject;

checks! { "lifetime":
    "device, model and embedding may be freed in any order" => any_order,
    "a child works on after its parent was freed" => children,
    "what is freed is given back" => given_back,
    "one model may be used from one thread after another" => thread_to_thread,
    "two models work at once as they do alone" => two_at_once,
    "embeddings are exported and freed, and memory asked for, while a model works" => meanwhile,
}

fn any_order(subject: &Subject) -> Finding {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let device = subject.open()?;
        let model = subject.load(&device)?;
        let embedding = subject.encode_with(&model, &subject.photograph(1))?;
        let (mut device, mut model, mut embedding) = (Some(device), Some(model), Some(embedding));
        for which in order {
            match which {
                0 => drop(device.take()),
                1 => drop(model.take()),
                _ => drop(embedding.take()),
            }
        }
    }
    Ok(Kept::Yes)
}

fn children(subject: &Subject) -> Finding {
    let device = subject.open()?;
    let model = subject.load(&device)?;
    drop(device);
    let embedding = subject.encode_with(&model, &subject.photograph(1))?;
    subject.decode_with(&model, &embedding, &subject.click(true))?;
    let before = subject.export(&embedding)?;
    drop(model);
    ensure!(
        subject.export(&embedding)? == before,
        "the embedding changed when its model was freed"
    );
    Ok(Kept::Yes)
}

fn given_back(subject: &Subject) -> Finding {
    let figures = subject.mem_info()?;
    if figures.known & SAM_MM_MEM_ALLOCATOR == 0 {
        return Ok(Kept::NotConcerned(
            "this backend does not tell what it allocates on this device".into(),
        ));
    }
    // Once before the count: the first run may set up what stays.
    for round in 0..4 {
        let before = subject.mem_info()?.allocated;
        let embedding = subject.encode(&subject.photograph(round))?;
        subject.decode(&embedding, &subject.click(true))?;
        drop(embedding);
        let after = subject.mem_info()?.allocated;
        ensure!(
            round == 0 || after <= before,
            "{} bytes were not given back",
            after - before
        );
    }
    Ok(Kept::Yes)
}

fn click_with(subject: &Subject, model: &Model, seed: u32) -> Result<Masks, String> {
    let embedding = subject.encode_with(model, &subject.photograph(seed))?;
    subject.decode_with(model, &embedding, &subject.click(true))
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread
        .join()
        .map_err(|_| "the suite's own thread failed".to_owned())?
}

fn thread_to_thread(subject: &Subject) -> Finding {
    let here = click_with(subject, &subject.model, 9)?;
    for _ in 0..3 {
        let there =
            thread::scope(|scope| join(scope.spawn(|| click_with(subject, &subject.model, 9))))?;
        ensure!(there == here, "another thread gets other masks");
    }
    Ok(Kept::Yes)
}

fn two_at_once(subject: &Subject) -> Finding {
    let models = [
        subject.load(&subject.device)?,
        subject.load(&subject.device)?,
    ];
    let alone = [
        click_with(subject, &models[0], 10)?,
        click_with(subject, &models[1], 11)?,
    ];
    for _ in 0..3 {
        let at_once: Result<Vec<_>, String> = thread::scope(|scope| {
            let threads: Vec<_> = models
                .iter()
                .zip([10, 11])
                .map(|(model, seed)| scope.spawn(move || click_with(subject, model, seed)))
                .collect();
            threads.into_iter().map(join).collect()
        });
        ensure!(
            at_once? == alone,
            "two models at once give other masks than alone"
        );
    }
    Ok(Kept::Yes)
}

fn meanwhile(subject: &Subject) -> Finding {
    let kept: Result<Vec<_>, _> = (0..6)
        .map(|seed| subject.encode(&subject.photograph(seed)))
        .collect();
    let kept = kept?;
    let expected: Result<Vec<_>, _> = kept.iter().map(|one| subject.export(one)).collect();
    let expected = expected?;
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            (0..3).try_for_each(|seed| click_with(subject, &subject.model, seed).map(drop))
        });
        let housekeeper = scope.spawn(|| {
            for (one, expected) in kept.into_iter().zip(expected) {
                subject.mem_info()?;
                subject
                    .table
                    .device_trim(Some(&subject.device), Some(&mut 0))
                    .succeeded("device_trim")?;
                ensure!(
                    subject.export(&one)? == expected,
                    "an export changed while the model worked"
                );
                drop(one);
            }
            Ok(())
        });
        join(worker).and(join(housekeeper))
    })?;
    Ok(Kept::Yes)
}
