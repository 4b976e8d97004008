//! The blocks of the later stages (`TinyViTBlock`): attention in windows, a depthwise convolution, and an MLP.

use tch::{Device, Tensor};

use super::conv_bn::depthwise;
use super::convolutions::new_map;
use super::depthwise::Depthwise;
use super::rows::{inside, needed, strips, take};
use crate::error::Result;
use crate::nn::{LayerNorm, Linear, Weights};
use sam_mm_checkpoint::TinyVitStageConfig;

/// ε of the layer norms (the default of `nn.LayerNorm`).
const EPS: f64 = 1e-5;

/// A block of a stage with attention. Maps are `(H, W, C)`.
pub struct TinyVitBlock {
    attn: WindowAttention,
    local_conv: Depthwise,
    mlp: Mlp,
}

impl TinyVitBlock {
    /// Loads the block.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, stage: &TinyVitStageConfig) -> Result<Self> {
        let channels = stage.embed_dim as i64;
        Ok(Self {
            attn: WindowAttention::load(&weights.sub("attn"), stage)?,
            local_conv: depthwise(&weights.sub("local_conv"), channels, 1)?,
            mlp: Mlp::load(&weights.sub("mlp"), channels, stage.hidden_dim as i64)?,
        })
    }

    /// The map after the block; `map` itself is used up.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, map: Tensor) -> Result<Tensor> {
        self.attn.add_to(&map)?;
        let (height, width, channels) = map.size3()?;
        let out = new_map(&map, height, width, channels)?;
        for rows in strips(height, width) {
            let source = inside(&needed(&rows, 1), height);
            let x = self
                .local_conv
                .forward(take(&map, &source)?, &source, &rows)?;
            let mlp = self.mlp.forward(&x)?;
            let _ = x.f_add_out(&take(&out, &rows)?, &mlp)?;
        }
        Ok(out)
    }
}

/// Attention inside of square windows with a learned bias for every offset (`Attention`).
struct WindowAttention {
    norm: LayerNorm,
    qkv: Linear,
    proj: Linear,
    /// `(1, heads, window², window²)`.
    bias: Tensor,
    num_heads: i64,
    head_dim: i64,
    window: i64,
}

impl WindowAttention {
    fn load(weights: &Weights, stage: &TinyVitStageConfig) -> Result<Self> {
        let (channels, heads) = (stage.embed_dim as i64, stage.num_heads as i64);
        let window = stage.window_size as i64;
        let offsets = weights.tensor("attention_biases", &[heads, window * window])?;
        Ok(Self {
            norm: LayerNorm::load(&weights.sub("norm"), channels, EPS)?,
            qkv: Linear::load(&weights.sub("qkv"), channels, 3 * channels)?,
            proj: Linear::load(&weights.sub("proj"), channels, channels)?,
            bias: offsets
                .f_index_select(1, &offset_indexes(window, offsets.device())?)?
                .f_view([1, heads, window * window, window * window])?,
            num_heads: heads,
            head_dim: channels / heads,
            window,
        })
    }

    /// Adds the attention of every window to the map, in place, a row of windows at a time.
    fn add_to(&self, map: &Tensor) -> Result<()> {
        let (height, width, _) = map.size3()?;
        for top in (0..height).step_by(self.window as usize) {
            let rows = self.window.min(height - top);
            let mut band = map.f_narrow(0, top, rows)?;
            let attended = self.attend(&self.partition(&band)?)?;
            let _ = band.f_add_(&self.join(&attended, rows, width)?)?;
        }
        Ok(())
    }

    /// A band of rows as windows `(W', window², C)`. Windows that reach over the edge are filled with zeros before the
    /// norm; attention does not leave these out.
    fn partition(&self, band: &Tensor) -> Result<Tensor> {
        let (rows, width, channels) = band.size3()?;
        let windows = (width + self.window - 1) / self.window;
        let (below, right) = (self.window - rows, windows * self.window - width);
        let padded = if below > 0 || right > 0 {
            band.f_constant_pad_nd([0, 0, 0, right, 0, below])?
        } else {
            band.shallow_clone()
        };
        Ok(padded
            .f_view([self.window, windows, self.window, channels])?
            .f_transpose(0, 1)?
            .f_reshape([windows, self.window * self.window, channels])?)
    }

    /// Windows `(W', window², C)` back to `rows` rows, `(rows, width, C)`.
    fn join(&self, windows: &Tensor, rows: i64, width: i64) -> Result<Tensor> {
        let (count, _, channels) = windows.size3()?;
        Ok(windows
            .f_view([count, self.window, self.window, channels])?
            .f_transpose(0, 1)?
            .f_reshape([self.window, count * self.window, channels])?
            .f_narrow(0, 0, rows)?
            .f_narrow(1, 0, width)?)
    }

    fn attend(&self, windows: &Tensor) -> Result<Tensor> {
        let (count, cells, channels) = windows.size3()?;
        let qkv = self.qkv.forward(&self.norm.forward(windows)?)?;
        let qkv = qkv.f_view([count, cells, self.num_heads, 3 * self.head_dim])?;
        let part = |index: i64| -> Result<Tensor> {
            let part = qkv.f_narrow(3, index * self.head_dim, self.head_dim)?;
            Ok(part.f_transpose(1, 2)?)
        };
        let attended = Tensor::f_scaled_dot_product_attention(
            &part(0)?,
            &part(1)?,
            &part(2)?,
            Some(&self.bias),
            0.0,
            false,
            (self.head_dim as f64).powf(-0.5),
            false,
        )?;
        let merged = attended
            .f_transpose(1, 2)?
            .f_reshape([count, cells, channels])?;
        self.proj.forward(&merged)
    }
}

/// For every pair of cells of a window, where the bias of their offset is: offsets are numbered as the official code
/// meets them, going through pairs of cells row by row. From the first cell that meets all of them, in order.
fn offset_indexes(window: i64, device: Device) -> Result<Tensor> {
    let cells = || (0..window).flat_map(|y| (0..window).map(move |x| (y, x)));
    let indexes: Vec<i64> = cells()
        .flat_map(|(y0, x0)| cells().map(move |(y, x)| (y - y0).abs() * window + (x - x0).abs()))
        .collect();
    Ok(Tensor::f_from_slice(&indexes)?.f_to(device)?)
}

/// Norm and two layers with GELU (`Mlp`).
struct Mlp {
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    fn load(weights: &Weights, channels: i64, hidden: i64) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::load(&weights.sub("norm"), channels, EPS)?,
            fc1: Linear::load(&weights.sub("fc1"), channels, hidden)?,
            fc2: Linear::load(&weights.sub("fc2"), hidden, channels)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.fc2
            .forward(&self.fc1.forward_gelu(&self.norm.forward(x)?)?)
    }
}
