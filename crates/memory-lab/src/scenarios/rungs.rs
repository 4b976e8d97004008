//! Every plan, every rung of the ladder, and what comes when none is left.

use sam_mm::memory::status::Tier;

use super::{session, told};
use crate::scenario::Scenario;
use crate::support::gpu_session::{
    DECODE, EMBEDDING, ENCODE, GpuSession, MIB, TOTAL, WEIGHTS, answer,
};

/// Weights, embedding and workspace of an encode, and a little.
const FITS: u64 = WEIGHTS + EMBEDDING + ENCODE + 12 * MIB;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "plan: everything fits",
        expected: "full attention in fp32 on the GPU",
        run: || planned(FITS, true),
    },
    Scenario {
        name: "plan: chunked attention",
        expected: "chunked attention in fp32 on the GPU",
        run: || planned(WEIGHTS + EMBEDDING + ENCODE / 4 + MIB, true),
    },
    Scenario {
        name: "plan: half precision",
        expected: "chunked attention in bf16 on the GPU",
        run: || planned(WEIGHTS + EMBEDDING + ENCODE / 8 + MIB, true),
    },
    Scenario {
        name: "plan: the CPU",
        expected: "full attention in fp32 on the CPU",
        run: || planned(WEIGHTS + MIB, true),
    },
    Scenario {
        name: "plan: nothing fits",
        expected: "refused: no plan fits",
        run: || planned(WEIGHTS + MIB, false),
    },
    Scenario {
        name: "plan: back to full precision when the neighbour goes",
        expected: "chunked attention in bf16 on the GPU; full attention in fp32 on the GPU",
        run: || {
            let session = session(|_| ());
            session.leave(WEIGHTS + EMBEDDING + ENCODE / 8 + MIB);
            let low = told(&session.click(&session.image(1)));
            session.neighbour(0);
            format!("{low}; {}", told(&session.click(&session.image(2))))
        },
    },
    Scenario {
        name: "rung: release caches",
        expected: "chunked attention in fp32 on the GPU, recovered: release caches; 1 embedding moved to the host",
        run: || {
            let session =
                session(|options| (options.lower_precision, options.cpu_fallback) = (false, false));
            let images: Vec<_> = (0..4).map(|gray| session.image(gray)).collect();
            for image in &images {
                session.click(image).expect("an empty GPU has room");
            }
            session.context.memory().trim();
            session.leave(WEIGHTS + 5 * EMBEDDING + ENCODE / 4);
            session
                .fake
                .control(&format!("neighbour encode {EMBEDDING}"));
            let last = session.image(9);
            let result = told(&session.click(&last));
            let moved = session.context.embeddings().held(Tier::Host).entries;
            format!("{result}; {moved} embedding moved to the host")
        },
    },
    Scenario {
        name: "rung: empty the allocator",
        expected: "full attention in fp32 on the GPU, recovered: empty the allocator",
        run: || {
            let session =
                session(|options| (options.lower_precision, options.cpu_fallback) = (false, false));
            // What a smaller plan left is in pieces, and a neighbour takes what the larger one counted on.
            session.leave(WEIGHTS + EMBEDDING + ENCODE / 4 + DECODE);
            session
                .click(&session.image(1))
                .expect("chunked attention fits");
            session.context.embeddings().clear(None);
            session.neighbour(0);
            session
                .fake
                .control(&format!("memory pieces={}", ENCODE / 4));
            session
                .fake
                .control(&format!("neighbour encode {}", 340 * MIB));
            told(&session.click(&session.image(2)))
        },
    },
    Scenario {
        name: "rung: lower precision, first by chunks",
        expected: "chunked attention in fp32 on the GPU, recovered: lower precision, as without",
        run: || squeezed(300 * MIB, false),
    },
    Scenario {
        name: "rung: lower precision, then by half",
        expected: "chunked attention in bf16 on the GPU, recovered: lower precision, as without",
        run: || squeezed(ENCODE - 60 * MIB, false),
    },
    Scenario {
        name: "rung: run on the CPU",
        expected: "full attention in fp32 on the CPU, recovered: run on the CPU, as without",
        run: || squeezed(TOTAL, true),
    },
    Scenario {
        name: "rung: none is left",
        expected: "failed: out of memory",
        run: || {
            let session = session(|_| ());
            session.fake.control("oom encode 1 1000");
            told(&session.click(&session.image(1)))
        },
    },
    Scenario {
        name: "rung: decoding moves to the CPU with its embedding",
        expected: "full attention in fp32 on the CPU, recovered: run on the CPU, as without, encoded once",
        run: || {
            let session = session(|_| ());
            let image = session.image(1);
            let wanted = session.click(&image).expect("an empty GPU has room");
            session.fake.control("short decode 1 1000");
            let result = session.click(&image);
            let same = result
                .as_ref()
                .is_ok_and(|result| answer(result) == answer(&wanted));
            let same = if same { "as without" } else { "another mask" };
            let times = session.calls("encode");
            format!(
                "{}, {same}, encoded {}",
                told(&result),
                if times == 1 { "once" } else { "again" }
            )
        },
    },
];

/// With so many bytes for us.
fn planned(left: u64, cpu: bool) -> String {
    let session = session(|options| options.cpu_fallback = cpu);
    session.leave(left);
    told(&session.click(&session.image(1)))
}

/// A neighbour takes so much between the plan and the run.
fn squeezed(taken: u64, cpu: bool) -> String {
    let session: GpuSession = session(|options| options.cpu_fallback = cpu);
    let image = session.image(1);
    let wanted = session.click(&image).expect("an empty GPU has room");
    session.context.optimize(true);
    session.leave(FITS);
    session.fake.control(&format!("neighbour encode {taken}"));
    let result = session.click(&image);
    let same = result
        .as_ref()
        .is_ok_and(|result| answer(result) == answer(&wanted));
    format!(
        "{}, {}",
        told(&result),
        if same { "as without" } else { "another mask" }
    )
}
