//! A linear layer for inputs of thousands of rows.

use tch::{Kind, Tensor};

use crate::error::Result;
use crate::nn::{LayerNorm, Weights};
use crate::shim::PackedWeight;
use crate::shim::tiled_linear::{self, Then, TiledLayer, TiledNorm};

/// `y = x Wᵀ + b` with the weight in the layout that the device multiplies fastest, and in that alone: on a CPU packed by
/// oneDNN (1.7 times as fast with AVX-512, and the GELU costs nothing) or for tiles, elsewhere as it is.
pub struct PackedLinear {
    weight: Weight,
    bias: Option<Tensor>,
}

enum Weight {
    Tiled(TiledLayer),
    Packed(PackedWeight),
    Plain(Tensor),
}

impl PackedLinear {
    /// A layer of a weight `(outputs, inputs)` and a bias `(outputs)`, for inputs of about `rows` rows.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(weight: Tensor, bias: Option<Tensor>, rows: i64) -> Result<Self> {
        let weight = match PackedWeight::pack(&weight, rows)? {
            Some(packed) => Weight::Packed(packed),
            None => Weight::Plain(weight),
        };
        Ok(Self { weight, bias })
    }

    /// As [`new`](Self::new), in tiles where the processor has a kernel for them: the norm before the layer and the sum after
    /// it then cost no pass over memory.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn tiled(weight: Tensor, bias: Tensor, rows: i64) -> Result<Self> {
        match TiledLayer::pack(&weight, &bias, None)? {
            Some(layer) => Ok(Self {
                weight: Weight::Tiled(layer),
                bias: None,
            }),
            None => Self::new(weight, Some(bias), rows),
        }
    }

    /// Loads `weight` and `bias`.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, inputs: i64, outputs: i64, rows: i64) -> Result<Self> {
        let weight = weights.tensor("weight", &[outputs, inputs])?;
        Self::new(weight, Some(weights.tensor("bias", &[outputs])?), rows)
    }

    /// Loads `weight` and `bias` as [`tiled`](Self::tiled).
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load_tiled(weights: &Weights, inputs: i64, outputs: i64, rows: i64) -> Result<Self> {
        let weight = weights.tensor("weight", &[outputs, inputs])?;
        Self::tiled(weight, weights.tensor("bias", &[outputs])?, rows)
    }

    /// `(…, inputs)` to `(…, outputs)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.weight {
            Weight::Tiled(layer) => made(layer, x, Then::Nothing)?,
            Weight::Packed(weight) => weight.linear(x, self.bias.as_ref(), false)?,
            Weight::Plain(weight) => x.f_linear(weight, self.bias.as_ref())?,
        })
    }

    /// [`forward`](Self::forward), then the exact GELU, x·Φ(x).
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.weight {
            Weight::Tiled(layer) => made(layer, x, Then::Gelu)?,
            Weight::Packed(weight) => weight.linear(x, self.bias.as_ref(), true)?,
            Weight::Plain(weight) => x.f_linear(weight, self.bias.as_ref())?.f_gelu_("none")?,
        })
    }

    /// Adds what [`forward`](Self::forward) gives to `sum (…, outputs)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn add_to(&self, sum: &Tensor, x: &Tensor) -> Result<()> {
        match &self.weight {
            Weight::Tiled(layer) => layer.run(None, x, sum, Then::Sum)?,
            _ => {
                // The view is another handle on the same elements.
                let _ = sum.f_view_as(sum)?.f_add_(&self.forward(x)?)?;
            }
        }
        Ok(())
    }

    /// The layer as it is in tiles, where it is.
    pub fn as_tiled(&self) -> Option<&TiledLayer> {
        match &self.weight {
            Weight::Tiled(layer) => Some(layer),
            _ => None,
        }
    }
}

fn made(layer: &TiledLayer, x: &Tensor, then: Then) -> Result<Tensor> {
    let out = rows_of(x, layer.outputs())?;
    layer.run(None, x, &out, then)?;
    Ok(out)
}

/// Room for as many rows as `x` has, of that width.
fn rows_of(x: &Tensor, width: i64) -> Result<Tensor> {
    let mut size = x.size();
    if let Some(last) = size.last_mut() {
        *last = width;
    }
    Ok(Tensor::f_empty(&size, (Kind::Float, x.device()))?)
}

/// What one to three layers make of the norm of `x (…, inputs)`, fp32, in the type of the weights, which is `kind`.
///
/// # Errors
/// When libtorch fails.
pub fn normed_layers(
    norm: &LayerNorm,
    layers: &[&PackedLinear],
    x: &Tensor,
    kind: Kind,
) -> Result<Vec<Tensor>> {
    let tiled: Option<Vec<_>> = layers.iter().map(|layer| layer.as_tiled()).collect();
    let Some(tiled) = tiled else {
        let normed = norm.forward(x)?.f_to_kind(kind)?;
        return layers.iter().map(|layer| layer.forward(&normed)).collect();
    };
    let outputs = tiled.iter().map(|layer| rows_of(x, layer.outputs()));
    let outputs = outputs.collect::<Result<Vec<_>>>()?;
    let out: Vec<_> = outputs.iter().collect();
    tiled_linear::run_all(Some(norm.tiled()), &tiled, x, &out, Then::Nothing)?;
    Ok(outputs)
}

/// An MLP of two layers with the exact GELU between them, and the norm before it.
pub struct NormedMlp {
    norm: LayerNorm,
    fc1: PackedLinear,
    fc2: PackedLinear,
    kind: Kind,
}

impl NormedMlp {
    /// Of its norm and its layers, whose weights are of `kind`.
    pub fn new(norm: LayerNorm, fc1: PackedLinear, fc2: PackedLinear, kind: Kind) -> Self {
        Self {
            norm,
            fc1,
            fc2,
            kind,
        }
    }

    /// The norm and both layers, where these are in tiles.
    pub fn as_tiled(&self) -> Option<(TiledNorm<'_>, &TiledLayer, &TiledLayer)> {
        let (fc1, fc2) = (self.fc1.as_tiled()?, self.fc2.as_tiled()?);
        Some((self.norm.tiled(), fc1, fc2))
    }

    /// Whether the hidden layer is never in memory as a whole, however many rows there are.
    pub fn is_tiled(&self) -> bool {
        self.as_tiled().is_some()
    }

    /// Adds the MLP of `x (…, width)`, fp32, to it.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn add_to(&self, x: &Tensor) -> Result<()> {
        if let Some((norm, fc1, fc2)) = self.as_tiled() {
            return Ok(tiled_linear::mlp(Some(norm), fc1, fc2, x)?);
        }
        let normed = self.norm.forward(x)?.f_to_kind(self.kind)?;
        let hidden = self.fc1.forward_gelu(&normed)?;
        drop(normed);
        self.fc2.add_to(x, &hidden)
    }
}
