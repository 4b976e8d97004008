//! What a model is made of: one struct per part, under the names of the official constructors.

/// A model, found out from its tensors.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Architecture {
    /// Segment Anything (ViT encoder) and MobileSAM (TinyViT encoder).
    Sam(SamConfig),
    /// Segment Anything 2 and 2.1 (Hiera encoder), as far as images go: what remembers the frames of a video is left out.
    Sam2(Sam2Config),
}

/// Segment Anything: an image encoder, a prompt encoder and a mask decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct SamConfig {
    /// The image encoder.
    pub image_encoder: ImageEncoderConfig,
    /// The prompt encoder.
    pub prompt_encoder: PromptEncoderConfig,
    /// The mask decoder.
    pub mask_decoder: MaskDecoderConfig,
    /// Subtracted from the red, green and blue values (0–255) of a pixel.
    pub pixel_mean: [f32; 3],
    /// What the difference is divided by.
    pub pixel_std: [f32; 3],
}

/// An image encoder of SAM.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageEncoderConfig {
    /// A plain vision transformer with window attention (ViT-B, ViT-L, ViT-H).
    Vit(SamVitConfig),
    /// The TinyViT of MobileSAM.
    TinyVit(TinyVitConfig),
}

/// The ViT image encoder (`segment_anything/modeling/image_encoder.py`).
#[derive(Clone, Debug, PartialEq)]
pub struct SamVitConfig {
    /// Side of the square input, in pixels (1024).
    pub image_size: usize,
    /// Side of a patch, in pixels (16).
    pub patch_size: usize,
    /// Channels of the input (3).
    pub in_chans: usize,
    /// Width of a token (768, 1024, 1280).
    pub embed_dim: usize,
    /// Attention heads of a block (12, 16, 16).
    pub num_heads: usize,
    /// Width of the hidden layer of a block's MLP (4 × `embed_dim`).
    pub mlp_dim: usize,
    /// Channels of the image embedding (256).
    pub out_chans: usize,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// The blocks, first to last.
    pub blocks: Vec<VitBlockConfig>,
}

/// A transformer block of the ViT image encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VitBlockConfig {
    /// Side of an attention window, in patches; 0: attention over the whole grid.
    pub window_size: usize,
    /// Rows of `rel_pos_h` and `rel_pos_w` as they are in the file; none: no relative positions.
    ///
    /// Attention over a side of `n` patches uses 2n − 1 rows; when the file has another number, the official code
    /// interpolates between them linearly (`get_rel_pos`), see [`SamVitConfig::interpolates_rel_pos`].
    pub rel_pos_rows: Option<usize>,
}

impl SamVitConfig {
    /// Number of blocks.
    pub fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Patches along a side of the input.
    pub fn grid_size(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Width of an attention head.
    pub fn head_dim(&self) -> usize {
        self.embed_dim / self.num_heads
    }

    /// Side of the attention windows, in patches; 0 when all blocks attend to the whole grid.
    pub fn window_size(&self) -> usize {
        self.blocks
            .iter()
            .map(|block| block.window_size)
            .max()
            .unwrap_or(0)
    }

    /// Indexes of the blocks that attend to the whole grid.
    pub fn global_attn_indexes(&self) -> Vec<usize> {
        let global = |&(_, block): &(usize, &VitBlockConfig)| block.window_size == 0;
        self.blocks
            .iter()
            .enumerate()
            .filter(global)
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether blocks have relative positions.
    pub fn use_rel_pos(&self) -> bool {
        self.blocks.iter().any(|block| block.rel_pos_rows.is_some())
    }

    /// Rows of relative positions that the attention of a block uses: 2n − 1 over a side of n patches.
    pub fn rel_pos_rows_used(&self, block: &VitBlockConfig) -> usize {
        let side = match block.window_size {
            0 => self.grid_size(),
            window => window,
        };
        2 * side - 1
    }

    /// Whether the relative positions of a block must be interpolated to [`rel_pos_rows_used`](Self::rel_pos_rows_used).
    pub fn interpolates_rel_pos(&self, block: &VitBlockConfig) -> bool {
        block
            .rel_pos_rows
            .is_some_and(|rows| rows != self.rel_pos_rows_used(block))
    }
}

/// The TinyViT image encoder of MobileSAM (`mobile_sam/modeling/tiny_vit_sam.py`).
#[derive(Clone, Debug, PartialEq)]
pub struct TinyVitConfig {
    /// Side of the square input, in pixels. Shapes do not tell it: 1024, or the metadata `image_size`.
    pub image_size: usize,
    /// Channels of the input (3).
    pub in_chans: usize,
    /// Channels between the two convolutions of the patch embedding (32).
    pub stem_dim: usize,
    /// Stages, first to last. The first is made of convolutions, the others of window attention.
    pub stages: Vec<TinyVitStageConfig>,
    /// Channels of the image embedding (256).
    pub out_chans: usize,
}

/// A stage of the TinyViT image encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TinyVitStageConfig {
    /// Channels (64, 128, 160, 320).
    pub embed_dim: usize,
    /// Blocks (2, 2, 6, 2).
    pub depth: usize,
    /// Side of its square feature map, in cells (256, 128, 64, 64 for an input of 1024 pixels).
    pub resolution: usize,
    /// Attention heads; 0 in the first stage.
    pub num_heads: usize,
    /// Side of an attention window, in cells; 0 in the first stage.
    pub window_size: usize,
    /// Channels of the hidden layer of a block: of its MLP, or of its convolutions in the first stage.
    pub hidden_dim: usize,
    /// Side of the kernel of the depthwise convolution after attention (3); 0 in the first stage.
    pub local_conv_size: usize,
    /// Stride of the convolution that leads to the next stage: 2, or 1 when that has 320, 448 or 576 channels; 0 in
    /// the last stage, which leads to none.
    pub downsample_stride: usize,
}

/// The prompt encoder (`segment_anything/modeling/prompt_encoder.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptEncoderConfig {
    /// Width of a token, and channels of the image embedding (256).
    pub embed_dim: usize,
    /// Side of the square image embedding, in cells (64). A mask input has four times that side.
    pub image_embedding_size: usize,
    /// Side of the square input of the image encoder, in pixels (1024).
    pub input_image_size: usize,
    /// Channels of the last hidden layer that encodes a mask input (16).
    pub mask_in_chans: usize,
}

impl PromptEncoderConfig {
    /// Side of a mask input and of the low-resolution masks, in cells.
    pub fn mask_input_size(&self) -> usize {
        4 * self.image_embedding_size
    }
}

/// The mask decoder (`segment_anything/modeling/mask_decoder.py`, `transformer.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskDecoderConfig {
    /// Width of a token (256).
    pub transformer_dim: usize,
    /// Layers of the two-way transformer (2).
    pub transformer_depth: usize,
    /// Attention heads. Shapes do not tell it: 8, or the metadata `decoder_num_heads`.
    pub num_heads: usize,
    /// Width of the hidden layer of a layer's MLP (2048).
    pub mlp_dim: usize,
    /// By how much cross attention is narrower than the tokens (2).
    pub attention_downsample_rate: usize,
    /// Masks of a multimask output (3). There is one more mask token, for the single mask.
    pub num_multimask_outputs: usize,
    /// Layers of the head that predicts the IoU (3).
    pub iou_head_depth: usize,
    /// Width of its hidden layers (256).
    pub iou_head_hidden_dim: usize,
    /// What SAM 2 has more; none in SAM.
    pub sam2: Option<Sam2DecoderConfig>,
}

/// What the mask decoder of SAM 2 has more than that of SAM (`sam2/modeling/sam/mask_decoder.py`): a token and a head
/// that tell whether there is an object, the two finer levels of the image encoder, and a sigmoid on the IoU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sam2DecoderConfig {
    /// Layers of the head that predicts the object score (3).
    pub obj_score_head_depth: usize,
}

impl MaskDecoderConfig {
    /// Width of queries, keys and values in cross attention.
    pub fn internal_dim(&self) -> usize {
        self.transformer_dim / self.attention_downsample_rate
    }
}

/// Segment Anything 2 and 2.1, the parts that make masks of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Sam2Config {
    /// The trunk of the image encoder. Its neck brings each stage to the channels of the mask decoder.
    pub image_encoder: HieraConfig,
    /// The prompt encoder.
    pub prompt_encoder: PromptEncoderConfig,
    /// The mask decoder.
    pub mask_decoder: MaskDecoderConfig,
    /// Whether it has the tensors that 2.1 added (`no_obj_embed_spatial`, `obj_ptr_tpos_proj`). Images do not need them.
    pub is_2_1: bool,
    /// Subtracted from the red, green and blue values (0–1) of a pixel.
    pub pixel_mean: [f32; 3],
    /// What the difference is divided by.
    pub pixel_std: [f32; 3],
}

/// The Hiera image encoder (`sam2/modeling/backbones/hieradet.py`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HieraConfig {
    /// Side of the square input, in pixels. Shapes do not tell it: 1024, or the metadata `image_size`.
    pub image_size: usize,
    /// Channels of the input (3).
    pub in_chans: usize,
    /// Side of the kernel that embeds patches (7). Its stride is 4.
    pub patch_kernel: usize,
    /// Rows and columns of `pos_embed`, which is interpolated to the first stage (7×7, 14×14).
    pub pos_embed_size: [usize; 2],
    /// Side of `pos_embed_window`, which is repeated over the first stage: the window of that stage (8).
    pub pos_embed_window_size: usize,
    /// Stages, first to last, four of them. Every later one halves the resolution.
    pub stages: Vec<HieraStageConfig>,
    /// Indexes of the blocks that attend to the whole map, counted over all stages.
    pub global_att_blocks: Vec<usize>,
}

/// A stage of the Hiera image encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HieraStageConfig {
    /// Channels.
    pub embed_dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads. Shapes do not tell them.
    pub num_heads: usize,
    /// Side of an attention window, in cells. The first block of a stage has the window of the stage before, whose map
    /// it starts from. Shapes do not tell it.
    pub window_size: usize,
    /// Side of its square feature map, in cells (256, 128, 64, 32 for an input of 1024 pixels).
    pub resolution: usize,
    /// Width of the hidden layer of a block's MLP (4 × `embed_dim`).
    pub mlp_dim: usize,
}

/// A block of the Hiera image encoder, as it follows from its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HieraBlockConfig {
    /// Channels of its input.
    pub dim: usize,
    /// Channels of its output.
    pub dim_out: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Side of an attention window in cells of its input; 0: attention over the whole map.
    pub window_size: usize,
    /// Whether its queries are pooled, so that its output has half the resolution.
    pub pools_queries: bool,
    /// Side of its input, in cells.
    pub resolution: usize,
    /// Width of the hidden layer of its MLP.
    pub mlp_dim: usize,
}

impl HieraConfig {
    /// Pixels of the input for every cell of the first stage.
    pub const PATCH_STRIDE: usize = 4;

    /// Number of blocks.
    pub fn depth(&self) -> usize {
        self.stages.iter().map(|stage| stage.depth).sum()
    }

    /// The blocks, first to last.
    pub fn blocks(&self) -> Vec<HieraBlockConfig> {
        let mut blocks = Vec::with_capacity(self.depth());
        for (index, stage) in self.stages.iter().enumerate() {
            let before = index.checked_sub(1).map(|index| &self.stages[index]);
            for place in 0..stage.depth {
                let from = before.filter(|_| place == 0);
                let source = from.unwrap_or(stage);
                let global = self.global_att_blocks.contains(&blocks.len());
                blocks.push(HieraBlockConfig {
                    dim: source.embed_dim,
                    dim_out: stage.embed_dim,
                    num_heads: stage.num_heads,
                    window_size: if global { 0 } else { source.window_size },
                    pools_queries: from.is_some(),
                    resolution: source.resolution,
                    mlp_dim: stage.mlp_dim,
                });
            }
        }
        blocks
    }
}

impl Sam2Config {
    /// Side of the square input, in pixels.
    pub fn image_size(&self) -> usize {
        self.image_encoder.image_size
    }
}

impl SamConfig {
    /// Side of the square input, in pixels.
    pub fn image_size(&self) -> usize {
        self.prompt_encoder.input_image_size
    }
}
