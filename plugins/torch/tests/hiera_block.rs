//! Blocks of Hiera against libtorch in fp64, with every kernel that this processor has.

mod common;

use std::ffi::CStr;

use common::layers::{Layer, Norm, difference, kernels, random, wide};
use sam_mm_torch::shim::hiera_block::HieraBlock;
use sam_mm_torch::shim::tiled_linear::TiledLayer;
use sam_mm_torch::shim::{num_threads, set_num_threads};
use tch::{Kind, Tensor};

/// The greatest of every 2×2 cells of `(H, W, C)`.
fn pool(map: &Tensor) -> Tensor {
    let (h, w, c) = map.size3().unwrap();
    map.view([h / 2, 2, w / 2, 2, c])
        .amax([1, 3].as_slice(), false)
}

struct Case {
    height: i64,
    width: i64,
    window: i64,
    dim: i64,
    out_dim: i64,
    heads: i64,
    pooled: bool,
}

/// The weights of a block, as they are.
struct Block {
    case: Case,
    norm1: Norm,
    q: Layer,
    kv: Layer,
    residual: Option<Layer>,
    proj: Layer,
    norm2: Norm,
    fc1: Layer,
    fc2: Layer,
}

/// The same, packed.
struct Packed {
    layers: [TiledLayer; 5],
    residual: Option<TiledLayer>,
    padding: Tensor,
}

impl Block {
    fn random(case: Case) -> Self {
        let (dim, out_dim) = (case.dim, case.out_dim);
        Self {
            norm1: Norm::random(dim),
            q: Layer::random(dim, out_dim),
            kv: Layer::random(dim, 2 * out_dim),
            residual: case.pooled.then(|| Layer::random(dim, out_dim)),
            proj: Layer::random(out_dim, out_dim),
            norm2: Norm::random(out_dim),
            fc1: Layer::random(out_dim, 4 * out_dim),
            fc2: Layer::random(4 * out_dim, out_dim),
            case,
        }
    }

    fn pack(&self, kernel: Option<&'static CStr>) -> Packed {
        let layers = [&self.q, &self.kv, &self.proj, &self.fc1, &self.fc2];
        Packed {
            layers: layers.map(|layer| layer.pack(kernel)),
            residual: self.residual.as_ref().map(|layer| layer.pack(kernel)),
            // What a token of zeros becomes.
            padding: self
                .kv
                .bias
                .view([2, self.case.heads, self.case.out_dim / self.case.heads])
                .contiguous(),
        }
    }

    fn tiled<'a>(&'a self, packed: &'a Packed) -> HieraBlock<'a> {
        let [q, kv, proj, fc1, fc2] = &packed.layers;
        HieraBlock {
            window: self.case.window,
            heads: self.case.heads,
            norm1: self.norm1.tiled(),
            q,
            kv,
            residual: packed.residual.as_ref(),
            padding: &packed.padding,
            proj,
            norm2: self.norm2.tiled(),
            fc1,
            fc2,
        }
    }

    /// As the official code has it, window after window, in fp64.
    fn of(&self, map: &Tensor) -> Tensor {
        let case = &self.case;
        let head_dim = case.out_dim / case.heads;
        let (side, side_x) = match case.window {
            0 => (case.height, case.width),
            window => (window, window),
        };
        let by_pool = if case.pooled { 2 } else { 1 };
        let normed = self.norm1.of(&wide(map));
        let residual = match &self.residual {
            Some(layer) => pool(&layer.of(&normed)),
            None => wide(map),
        };
        let attended = residual.zeros_like();
        for y in (0..case.height).step_by(side as usize) {
            for x in (0..case.width).step_by(side_x as usize) {
                let (h, w) = (side.min(case.height - y), side_x.min(case.width - x));
                let inside = normed.narrow(0, y, h).narrow(1, x, w);
                let padded = inside.constant_pad_nd([0, 0, 0, side_x - w, 0, side - h]);
                let mut q = self.q.of(&padded);
                if case.pooled {
                    q = pool(&q);
                }
                let heads = |t: &Tensor| t.reshape([-1, case.heads, head_dim]).transpose(0, 1);
                let kv = self.kv.of(&padded);
                let k = heads(&kv.narrow(2, 0, case.out_dim));
                let v = heads(&kv.narrow(2, case.out_dim, case.out_dim));
                let scores = heads(&q).matmul(&k.transpose(1, 2)) / (head_dim as f64).sqrt();
                let out = scores.softmax(-1, Kind::Double).matmul(&v);
                let out = out.transpose(0, 1).reshape(q.size());
                attended
                    .narrow(0, y / by_pool, h / by_pool)
                    .narrow(1, x / by_pool, w / by_pool)
                    .copy_(&out.narrow(0, 0, h / by_pool).narrow(1, 0, w / by_pool));
            }
        }
        let sum = residual + self.proj.of(&attended);
        let hidden = self.fc1.of(&self.norm2.of(&sum)).gelu("none");
        sum + self.fc2.of(&hidden)
    }

    fn out(&self) -> Tensor {
        let by = if self.case.pooled { 2 } else { 1 };
        random(&[
            self.case.height / by,
            self.case.width / by,
            self.case.out_dim,
        ])
    }
}

/// Windows that fill the map and such that do not, along either axis; several to a group, one, and larger than a tile; and the
/// whole map, of less than a block of keys, of some, and with a rest. Heads are as wide as those of base_plus (56) and large
/// (72), too.
fn cases() -> Vec<Case> {
    let case = |height, width, window, dim, out_dim, heads, pooled| Case {
        height,
        width,
        window,
        dim,
        out_dim,
        heads,
        pooled,
    };
    vec![
        case(16, 24, 8, 32, 32, 1, false),
        case(10, 7, 4, 48, 48, 3, false),
        case(16, 32, 14, 32, 32, 2, false),
        case(5, 6, 7, 16, 16, 1, false),
        case(16, 16, 4, 32, 64, 2, true),
        case(12, 20, 8, 16, 32, 1, true),
        case(32, 16, 14, 48, 96, 3, true),
        case(14, 9, 7, 112, 112, 2, false),
        case(20, 16, 14, 112, 224, 4, true),
        case(11, 30, 0, 144, 144, 2, false),
        case(5, 7, 0, 32, 32, 2, false),
        case(16, 32, 0, 48, 48, 1, false),
        case(30, 23, 0, 96, 96, 2, false),
    ]
}

#[test]
fn a_block_is_that_of_the_official_code() {
    tch::manual_seed(1);
    for kernel in kernels() {
        for case in cases() {
            let what = format!(
                "{kernel:?} {}x{} in windows of {} to {}",
                case.height, case.width, case.window, case.out_dim
            );
            let map = random(&[case.height, case.width, case.dim]);
            let block = Block::random(case);
            let (packed, out, before) = (block.pack(kernel), block.out(), map.copy());
            block.tiled(&packed).run(&map, &out).unwrap();
            let expected = block.of(&before);
            let apart = difference(&out, &expected);
            assert!(apart < 1e-5, "{what}: {apart}");
            assert!(map == before, "{what}: the map was written to");
            if !block.case.pooled {
                block.tiled(&packed).run(&map, &map).unwrap();
                assert!(map == out, "{what}: in place it is another");
            }
        }
    }
}

/// How windows are shared among threads changes nothing, not even in the last digit. In one test with nothing beside it that
/// sets the number of threads.
#[test]
fn the_number_of_threads_changes_nothing() {
    tch::manual_seed(2);
    let before = num_threads();
    for kernel in kernels() {
        for case in cases() {
            let map = random(&[case.height, case.width, case.dim]);
            let block = Block::random(case);
            let packed = block.pack(kernel);
            let of = |threads| {
                set_num_threads(threads).unwrap();
                let out = block.out();
                block.tiled(&packed).run(&map, &out).unwrap();
                out
            };
            assert!(of(1) == of(3), "{kernel:?} {}", block.case.window);
        }
    }
    set_num_threads(before).unwrap();
}

#[test]
fn what_does_not_fit_is_told() {
    tch::manual_seed(3);
    if kernels().is_empty() {
        return;
    }
    let block = Block::random(cases().remove(4));
    let packed = block.pack(None);
    let tiled = block.tiled(&packed);
    let message = |map: &Tensor, out: &Tensor| tiled.run(map, out).unwrap_err().to_string();
    let map = random(&[16, 16, 32]);
    assert!(tiled.run(&map, &block.out()).is_ok());
    assert!(message(&random(&[16, 32]), &block.out()).contains("three axes"));
    assert!(message(&random(&[16, 15, 32]), &block.out()).contains("pooled"));
    assert!(message(&random(&[16, 16, 16]), &block.out()).contains("do not follow"));
    assert!(message(&map, &random(&[8, 8, 32])).contains("output"));
    assert!(message(&map.to_kind(Kind::Double), &block.out()).contains("map"));
    let refused = |window, heads| {
        let block = HieraBlock {
            window,
            heads,
            ..block.tiled(&packed)
        };
        let out = random(&[8, 8, 64]);
        block.run(&map, &out).unwrap_err().to_string()
    };
    assert!(refused(3, 2).contains("windows of 3"));
    assert!(refused(0, 2).contains("windows of 0"));
    assert!(refused(4, 5).contains("5 heads"));
}
