//! The two-way transformer of the mask decoder (`modeling/transformer.py`): tokens attend to the image and the image
//! to tokens, in turns.
//!
//! The image is `(N, C)` or `(B, N, C)`, its N = h·w cells in rows. In the first layer, objects without a mask input
//! share one image, and nothing on the image's side depends on the prompt: [`SharedImage`] holds those projections.

mod attention;

use tch::Tensor;

use crate::error::Result;
use crate::nn::{LayerNorm, Linear, Weights};
use attention::{
    AttentionShape, ImageToTokenAttention, SelfAttention, SharedKeyValues, SharedQueries,
    TokenToImageAttention,
};
use sam_mm_checkpoint::MaskDecoderConfig;

/// ε of the layer norms (the default of `nn.LayerNorm`).
const EPS: f64 = 1e-5;

/// The first layer's image-side projections of one image without mask input, for all prompts on it.
pub struct SharedImage {
    key_values: SharedKeyValues,
    queries: SharedQueries,
}

/// The image as the first layer meets it.
pub enum ImageSide<'a> {
    /// One image for all objects: `embedding (N, C) + offset (C)`.
    Shared {
        /// The image embedding.
        embedding: &'a Tensor,
        /// Added to every cell (`no_mask_embed`).
        offset: &'a Tensor,
        /// Projections of the sum, made by [`TwoWayTransformer::share`].
        projections: &'a SharedImage,
    },
    /// An image for each object, `(B, N, C)`.
    PerObject(Tensor),
}

/// The image between layers, `(B, N, C)`.
struct Keys {
    cells: Tensor,
    /// `cells` with the positional encoding.
    positioned: Tensor,
}

/// The two-way transformer.
pub struct TwoWayTransformer {
    layers: Vec<TwoWayAttentionBlock>,
    final_attn_token_to_image: TokenToImageAttention,
    norm_final_attn: LayerNorm,
}

impl TwoWayTransformer {
    /// Loads the layers.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &MaskDecoderConfig) -> Result<Self> {
        let shapes = Shapes::of(config);
        let layer = |index: usize| {
            let weights = weights.sub("layers").sub(index);
            TwoWayAttentionBlock::load(&weights, &shapes, index == 0)
        };
        Ok(Self {
            layers: (0..config.transformer_depth)
                .map(layer)
                .collect::<Result<_>>()?,
            final_attn_token_to_image: TokenToImageAttention::load(
                &weights.sub("final_attn_token_to_image"),
                shapes.cross,
            )?,
            norm_final_attn: LayerNorm::load(&weights.sub("norm_final_attn"), shapes.dim, EPS)?,
        })
    }

    /// Projects an image once for all prompts without a mask input. `cells` is the embedding with its offset, `pe` its
    /// positional encoding; both `(N, C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn share(&self, cells: &Tensor, pe: &Tensor) -> Result<SharedImage> {
        let first = &self.layers[0];
        let positioned = cells.f_add(pe)?;
        Ok(SharedImage {
            key_values: first.cross_attn_token_to_image.share(&positioned, cells)?,
            queries: first.cross_attn_image_to_token.share(&positioned)?,
        })
    }

    /// Tokens `(B, T, C)` and the image with its positional encoding `pe (N, C)` to the processed tokens `(B, T, C)`
    /// and image `(B, N, C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(
        &self,
        image: ImageSide<'_>,
        pe: &Tensor,
        tokens: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (first, rest) = self
            .layers
            .split_first()
            .expect("depth is checked on loading");
        let (mut queries, mut keys) = match image {
            ImageSide::Shared {
                embedding,
                offset,
                projections,
            } => first.forward_shared(tokens, embedding, offset, projections, pe)?,
            ImageSide::PerObject(cells) => {
                let positioned = cells.f_add(pe)?;
                let keys = Keys { cells, positioned };
                first.forward(tokens, tokens, keys, pe)?
            }
        };
        for layer in rest {
            (queries, keys) = layer.forward(&queries, tokens, keys, pe)?;
        }
        let attended = self.final_attn_token_to_image.forward(
            &queries.f_add(tokens)?,
            &keys.positioned,
            &keys.cells,
        )?;
        let queries = self.norm_final_attn.forward(&queries.f_add(&attended)?)?;
        Ok((queries, keys.cells))
    }
}

/// Widths of the parts of a layer.
struct Shapes {
    dim: i64,
    mlp_dim: i64,
    /// What the layers of the MLP are called.
    mlp_layers: [&'static str; 2],
    own: AttentionShape,
    cross: AttentionShape,
}

impl Shapes {
    fn of(config: &MaskDecoderConfig) -> Self {
        let embedding_dim = config.transformer_dim as i64;
        let num_heads = config.num_heads as i64;
        let attention = |internal_dim| AttentionShape {
            embedding_dim,
            num_heads,
            internal_dim,
        };
        Self {
            dim: embedding_dim,
            mlp_dim: config.mlp_dim as i64,
            mlp_layers: match config.sam2 {
                None => ["lin1", "lin2"],
                Some(_) => ["layers.0", "layers.1"],
            },
            own: attention(embedding_dim),
            cross: attention(embedding_dim / config.attention_downsample_rate as i64),
        }
    }
}

/// One layer: tokens among themselves, tokens to image, MLP on tokens, image to tokens.
struct TwoWayAttentionBlock {
    self_attn: SelfAttention,
    norm1: LayerNorm,
    cross_attn_token_to_image: TokenToImageAttention,
    norm2: LayerNorm,
    mlp: Mlp,
    norm3: LayerNorm,
    norm4: LayerNorm,
    cross_attn_image_to_token: ImageToTokenAttention,
    /// The first layer's tokens are their own positional encoding: its self attention goes without, and replaces the
    /// tokens instead of being added.
    skip_first_layer_pe: bool,
}

impl TwoWayAttentionBlock {
    fn load(weights: &Weights, shapes: &Shapes, skip_first_layer_pe: bool) -> Result<Self> {
        let norm = |name| LayerNorm::load(&weights.sub(name), shapes.dim, EPS);
        Ok(Self {
            self_attn: SelfAttention::load(&weights.sub("self_attn"), shapes.own)?,
            norm1: norm("norm1")?,
            cross_attn_token_to_image: TokenToImageAttention::load(
                &weights.sub("cross_attn_token_to_image"),
                shapes.cross,
            )?,
            norm2: norm("norm2")?,
            mlp: Mlp::load(&weights.sub("mlp"), shapes)?,
            norm3: norm("norm3")?,
            norm4: norm("norm4")?,
            cross_attn_image_to_token: ImageToTokenAttention::load(
                &weights.sub("cross_attn_image_to_token"),
                shapes.cross,
            )?,
            skip_first_layer_pe,
        })
    }

    fn forward_shared(
        &self,
        tokens: &Tensor,
        embedding: &Tensor,
        offset: &Tensor,
        image: &SharedImage,
        pe: &Tensor,
    ) -> Result<(Tensor, Keys)> {
        let queries = self.attend_to_tokens(tokens, tokens)?;
        let attended = self
            .cross_attn_token_to_image
            .forward_shared(&queries.f_add(tokens)?, &image.key_values)?;
        let queries = self.after_image(&queries, &attended)?;
        let cells = self.cross_attn_image_to_token.add_to_shared(
            embedding,
            offset,
            &image.queries,
            &queries.f_add(tokens)?,
            &queries,
        )?;
        Ok((queries, self.next_keys(&cells, pe)?))
    }

    fn forward(
        &self,
        queries: &Tensor,
        query_pe: &Tensor,
        keys: Keys,
        pe: &Tensor,
    ) -> Result<(Tensor, Keys)> {
        let queries = self.attend_to_tokens(queries, query_pe)?;
        let attended = self.cross_attn_token_to_image.forward(
            &queries.f_add(query_pe)?,
            &keys.positioned,
            &keys.cells,
        )?;
        let queries = self.after_image(&queries, &attended)?;
        let cells = self.cross_attn_image_to_token.add_to(
            &keys.cells,
            &keys.positioned,
            &queries.f_add(query_pe)?,
            &queries,
        )?;
        drop(keys); // before the next are made: two sets at a time are the peak of a layer
        Ok((queries, self.next_keys(&cells, pe)?))
    }

    fn next_keys(&self, cells: &Tensor, pe: &Tensor) -> Result<Keys> {
        let (cells, positioned) = self.norm4.forward_and_sum(cells, pe)?;
        Ok(Keys { cells, positioned })
    }

    fn attend_to_tokens(&self, queries: &Tensor, query_pe: &Tensor) -> Result<Tensor> {
        let attended = if self.skip_first_layer_pe {
            self.self_attn.forward(queries, queries)?
        } else {
            let positioned = queries.f_add(query_pe)?;
            self.self_attn
                .forward(&positioned, queries)?
                .f_add(queries)?
        };
        self.norm1.forward(&attended)
    }

    /// What becomes of the tokens once they have attended to the image.
    fn after_image(&self, queries: &Tensor, attended: &Tensor) -> Result<Tensor> {
        let queries = self.norm2.forward(&queries.f_add(attended)?)?;
        let mlp = self.mlp.forward(&queries)?;
        self.norm3.forward(&queries.f_add(&mlp)?)
    }
}

/// The MLP of a layer, with ReLU.
struct Mlp {
    lin1: Linear,
    lin2: Linear,
}

impl Mlp {
    fn load(weights: &Weights, shapes: &Shapes) -> Result<Self> {
        let [first, second] = shapes.mlp_layers;
        Ok(Self {
            lin1: Linear::load(&weights.sub(first), shapes.dim, shapes.mlp_dim)?,
            lin2: Linear::load(&weights.sub(second), shapes.mlp_dim, shapes.dim)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.lin2.forward(&self.lin1.forward(x)?.f_relu()?)
    }
}
