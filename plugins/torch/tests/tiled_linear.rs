//! Linear layers in tiles against libtorch in fp64, with every kernel that this processor has.

mod common;

use common::layers::{Layer, Norm, difference, kernels, random};
use sam_mm_torch::shim::tiled_linear::{Then, TiledLayer, has_tiled_linear_kernel, mlp, run_all};
use tch::{Kind, Tensor};

fn assert_close(what: &str, ours: &Tensor, theirs: &Tensor) {
    let difference = difference(ours, theirs);
    assert!(difference < 1e-5, "{what}: {difference}");
}

#[test]
fn layers_are_those_of_libtorch() {
    tch::manual_seed(1);
    // Rows that leave every remainder of a block, more than a tile of them; inputs that are cut into parts, outputs that end
    // within a panel.
    let shapes = [
        (1, 16, 16),
        (3, 48, 112),
        (11, 96, 48),
        (97, 144, 80),
        (203, 784, 96),
        (64, 3072, 32),
    ];
    for kernel in kernels() {
        for (rows, inputs, outputs) in shapes {
            let (layer, norm) = (Layer::random(inputs, outputs), Norm::random(inputs));
            let packed = layer.pack(kernel);
            let x = random(&[rows, inputs]) * 3.0 + 0.5;
            let wide = x.to_kind(Kind::Double);
            for with_norm in [false, true] {
                let expected = match with_norm {
                    true => layer.of(&norm.of(&x)),
                    false => layer.of(&wide),
                };
                let given = with_norm.then(|| norm.tiled());
                for then in [Then::Nothing, Then::Gelu, Then::Sum] {
                    let before = random(&[rows, outputs]);
                    let out = before.copy();
                    packed.run(given, &x, &out, then).unwrap();
                    let expected = match then {
                        Then::Nothing => expected.copy(),
                        Then::Gelu => expected.gelu("none"),
                        Then::Sum => &expected + before,
                    };
                    let what = format!("{kernel:?} {rows}x{inputs}x{outputs} {with_norm} {then:?}");
                    assert_close(&what, &out, &expected);
                }
            }
        }
    }
}

#[test]
fn several_layers_share_their_norm() {
    tch::manual_seed(2);
    for kernel in kernels() {
        let norm = Norm::random(96);
        let layers = [32, 192, 96].map(|outputs| Layer::random(96, outputs));
        let packed = layers.each_ref().map(|layer| layer.pack(kernel));
        let x = random(&[7, 30, 96]);
        let out = packed
            .each_ref()
            .map(|layer| random(&[7, 30, layer.outputs()]));
        run_all(
            Some(norm.tiled()),
            &packed.each_ref(),
            &x,
            &out.each_ref(),
            Then::Nothing,
        )
        .unwrap();
        for (layer, out) in layers.iter().zip(&out) {
            assert_close(&format!("{kernel:?}"), out, &layer.of(&norm.of(&x)));
        }
    }
}

#[test]
fn an_mlp_adds_to_its_input() {
    tch::manual_seed(3);
    for kernel in kernels() {
        for (rows, width) in [(5, 32), (100, 96), (49, 288), (300, 112)] {
            let norm = Norm::random(width);
            let (fc1, fc2) = (
                Layer::random(width, 4 * width),
                Layer::random(4 * width, width),
            );
            let x = random(&[rows, width]);
            let hidden = fc1.of(&norm.of(&x)).gelu("none");
            let expected = fc2.of(&hidden) + &x;
            let before = x.copy();
            mlp(Some(norm.tiled()), &fc1.pack(kernel), &fc2.pack(kernel), &x).unwrap();
            assert_close(&format!("{kernel:?} {rows}x{width}"), &x, &expected);
            assert!(difference(&x, &before) > 1e-2, "nothing was added");
        }
    }
}

/// What one row becomes does not depend on which other rows are there, nor on how they are shared among threads.
#[test]
fn a_row_is_the_same_wherever_it_is() {
    tch::manual_seed(4);
    for kernel in kernels() {
        let layer = Layer::random(96, 96);
        let packed = layer.pack(kernel);
        let x = random(&[200, 96]);
        let all = random(&[200, 96]);
        packed.run(None, &x, &all, Then::Nothing).unwrap();
        for (first, count) in [(0, 1), (3, 5), (50, 97), (199, 1)] {
            let some = random(&[count, 96]);
            let part = x.narrow(0, first, count);
            packed.run(None, &part, &some, Then::Nothing).unwrap();
            assert_eq!(
                some,
                all.narrow(0, first, count),
                "{kernel:?} {first} {count}"
            );
        }
    }
}

#[test]
fn what_no_kernel_takes_is_left_to_others() {
    let bias = random(&[96]);
    for refused in [
        random(&[96, 95]),
        random(&[95, 96]),
        random(&[96, 96]).to_kind(Kind::BFloat16),
        random(&[96, 96]).transpose(0, 1),
    ] {
        let bias = bias.narrow(0, 0, refused.size()[0]);
        assert!(TiledLayer::pack(&refused, &bias, None).unwrap().is_none());
    }
    assert!(!has_tiled_linear_kernel(Some(c"none of these")));
}

#[test]
fn shapes_that_do_not_fit_are_told() {
    for kernel in kernels() {
        let layer = Layer::random(32, 64).pack(kernel);
        for (x, out) in [([4, 48], [4, 64]), ([4, 32], [4, 32]), ([4, 32], [3, 64])] {
            let failure = layer.run(None, &random(&x), &random(&out), Then::Nothing);
            let words = failure.unwrap_err().to_string();
            assert!(words.contains("tiled linear layers"), "{words}");
        }
    }
}
