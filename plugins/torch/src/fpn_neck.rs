//! The neck of SAM 2's image encoder (`FpnNeck` of `sam2/modeling/backbones/image_encoder.py`), and what is made of its
//! levels before the first prompt comes.
//!
//! The trunk's four stages become three levels: the coarsest stage gives its features to the one before, doubled in size by
//! repeating, and is dropped (`scalp`). The two finest levels only ever meet the mask decoder's `conv_s0` and `conv_s1`, and
//! nothing is added to them on the way. Two products in a row are one product, so the neck's layers and the decoder's are
//! made one when they are loaded: that saves most of the work, and the wide maps between them.

use sam_mm_checkpoint::Sam2Config;
use tch::{Kind, Tensor};

use crate::embedding::{Features, HighResFeatures};
use crate::error::{Error, Result};
use crate::nn::{PackedLinear, Weights};

/// The neck.
pub struct FpnNeck {
    /// From the stage of that number to its level; those of the two finest with the decoder's convolutions.
    lateral: [PackedLinear; 4],
}

impl FpnNeck {
    /// Loads the neck and what follows it. `weights` are those of the whole model.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &Sam2Config) -> Result<Self> {
        let dim = config.mask_decoder.transformer_dim as i64;
        let stages = &config.image_encoder.stages;
        let convs = weights.sub("image_encoder").sub("neck").sub("convs");
        // The neck counts from the coarsest.
        let conv = |stage: usize| -> Result<Layer> {
            let inputs = stages[stage].embed_dim as i64;
            Layer::load(&convs.sub(3 - stage).sub("conv"), inputs, dim)
        };
        let decoder = weights.sub("sam_mask_decoder");
        let s0 = Layer::load(&decoder.sub("conv_s0"), dim, dim / 8)?;
        let s1 = Layer::load(&decoder.sub("conv_s1"), dim, dim / 4)?;
        let no_memory = weights.tensor_fp32("no_mem_embed", &[1, 1, dim])?;
        let pack = |layer: Layer, stage: usize| {
            let cells = (stages[stage].resolution as i64).pow(2);
            layer.pack(weights.kind(), cells)
        };
        Ok(Self {
            lateral: [
                pack(conv(0)?.then(&s0)?, 0)?,
                pack(conv(1)?.then(&s1)?, 1)?,
                pack(conv(2)?.plus(&no_memory)?, 2)?,
                pack(conv(3)?, 3)?,
            ],
        })
    }

    /// The level of a stage from its last map `(H, W, C)` in the type of the weights: of stages 0 and 1 the decoder's
    /// features, cell by cell; of the others a map.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn level(&self, stage: usize, map: &Tensor) -> Result<Tensor> {
        let level = self.lateral[stage].forward(map)?;
        match stage {
            0 => by_cells(&level, &[2, 2]),
            1 => by_cells(&level, &[2]),
            _ => Ok(level),
        }
    }

    /// The image's features from the levels of all stages, first to last. Those of the cells hold what stands for a memory of
    /// no frames (`no_mem_embed`).
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn fuse(levels: Vec<Tensor>) -> Result<Features> {
        let [s0, s1, level, coarsest] = <[Tensor; 4]>::try_from(levels)
            .map_err(|levels| Error::Internal(format!("{} levels instead of 4", levels.len())))?;
        let (h, w, c) = coarsest.size3()?;
        // Nearest neighbour: every coarse cell is added to the 2×2 cells that it covers.
        let _ = level
            .f_view([h, 2, w, 2, c])?
            .f_add_(&coarsest.f_view([h, 1, w, 1, c])?)?;
        Ok(Features {
            cells: level.f_flatten(0, 1)?,
            high_res: Some(HighResFeatures { s0, s1 }),
        })
    }
}

/// A map `(H, W, c)` whose sides are each as many times those of the cells as `halvings` multiply to, as `(N, per cell, c)`:
/// each cell's values as blocks of blocks, the coarsest halving leading.
fn by_cells(map: &Tensor, halvings: &[i64]) -> Result<Tensor> {
    let (h, w, c) = map.size3()?;
    let per_side: i64 = halvings.iter().product();
    let shape: Vec<i64> = [&[h / per_side], halvings, &[w / per_side], halvings, &[c]].concat();
    let depth = halvings.len() as i64;
    // Rows and columns of the cells, then row and column of each halving, then the channels.
    let mut order = vec![0, depth + 1];
    for halving in 1..=depth {
        order.extend([halving, halving + depth + 1]);
    }
    order.push(2 * depth + 2);
    let cells = h / per_side * (w / per_side);
    Ok(map
        .f_view(&*shape)?
        .f_permute(&order)?
        .f_reshape([cells, per_side * per_side, c])?)
}

/// A 1×1 convolution in fp32, before it is packed.
struct Layer {
    /// `(outputs, inputs)`.
    weight: Tensor,
    /// `(outputs)`.
    bias: Tensor,
}

impl Layer {
    fn load(weights: &Weights, inputs: i64, outputs: i64) -> Result<Self> {
        Ok(Self {
            weight: weights
                .tensor_fp32("weight", &[outputs, inputs, 1, 1])?
                .f_view([outputs, inputs])?,
            bias: weights.tensor_fp32("bias", &[outputs])?,
        })
    }

    /// This layer and then another, as one: `W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂)`.
    fn then(&self, next: &Self) -> Result<Self> {
        Ok(Self {
            weight: next.weight.f_matmul(&self.weight)?,
            bias: next.weight.f_mv(&self.bias)?.f_add(&next.bias)?,
        })
    }

    /// The layer with something added to every output.
    fn plus(&self, more: &Tensor) -> Result<Self> {
        Ok(Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.f_add(&more.f_flatten(0, -1)?)?,
        })
    }

    fn pack(&self, kind: Kind, rows: i64) -> Result<PackedLinear> {
        let bias = self.bias.f_to_kind(kind)?;
        PackedLinear::new(self.weight.f_to_kind(kind)?, Some(bias), rows)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// A map with the row and the column in each value, against the order that logits have.
    #[test]
    fn finer_features_lie_as_the_logits_of_a_cell_do() {
        let (grid, side) = (3, 12);
        let at = |y: i64, x: i64| (100 * y + x) as f32;
        let values: Vec<f32> = (0..side * side).map(|i| at(i / side, i % side)).collect();
        let map = Tensor::from_slice(&values).view([side, side, 1]);
        let ours: Vec<f32> = by_cells(&map, &[2, 2])
            .unwrap()
            .flatten(0, -1)
            .try_into()
            .unwrap();
        let mut cells = vec![0.0; (side * side) as usize];
        crate::cells::from_rows(&values, grid, &mut cells);
        assert_eq!(ours, cells);

        let halves: Vec<f32> = by_cells(&map, &[2])
            .unwrap()
            .flatten(0, -1)
            .try_into()
            .unwrap();
        assert_eq!(
            halves[..6],
            [at(0, 0), at(0, 1), at(1, 0), at(1, 1), at(0, 2), at(0, 3)]
        );
    }

    #[test]
    fn two_layers_in_a_row_are_one() {
        tch::manual_seed(3);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let layer = |inputs, outputs| Layer {
            weight: random(&[outputs, inputs]),
            bias: random(&[outputs]),
        };
        let (first, second) = (layer(5, 7), layer(7, 3));
        let x = random(&[4, 5]);
        let run = |layer: &Layer, x: &Tensor| x.linear(&layer.weight, Some(&layer.bias));
        let apart = run(&first.then(&second).unwrap(), &x) - run(&second, &run(&first, &x));
        assert!(apart.abs().max().double_value(&[]) < 1e-5);
    }
}
