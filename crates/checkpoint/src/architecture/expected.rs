//! The tensors that a model needs, under their official names.

use super::config::{
    Architecture, HieraConfig, ImageEncoderConfig, MaskDecoderConfig, PromptEncoderConfig,
    Sam2Config, SamConfig, SamVitConfig, TinyVitConfig, TinyVitStageConfig,
};

/// A tensor that a model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// Its official name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether it is a trained parameter, and not a buffer such as the running mean of a batch norm.
    pub is_parameter: bool,
}

impl ExpectedTensor {
    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }
}

impl Architecture {
    /// All tensors that the model needs to make masks of an image.
    pub fn expected_tensors(&self) -> Vec<ExpectedTensor> {
        match self {
            Self::Sam(config) => config.expected_tensors(),
            Self::Sam2(config) => config.expected_tensors(),
        }
    }
}

impl SamConfig {
    /// All tensors that the model needs. Left out is what only training uses: the classifier head of TinyViT and the
    /// batch counters of its batch norms.
    pub fn expected_tensors(&self) -> Vec<ExpectedTensor> {
        let mut list = List::default();
        let encoder = list.under("image_encoder");
        match &self.image_encoder {
            ImageEncoderConfig::Vit(config) => vit(encoder, config),
            ImageEncoderConfig::TinyVit(config) => tiny_vit(encoder, config),
        }
        prompt_encoder(list.under("prompt_encoder"), &self.prompt_encoder);
        mask_decoder(list.under("mask_decoder"), &self.mask_decoder);
        list.tensors
    }
}

impl Sam2Config {
    /// All tensors that the model needs for images. Left out is what remembers the frames of a video.
    pub fn expected_tensors(&self) -> Vec<ExpectedTensor> {
        let mut list = List::default();
        let width = self.mask_decoder.transformer_dim;
        list.under("image_encoder")
            .hiera(&self.image_encoder, width);
        prompt_encoder(list.under("sam_prompt_encoder"), &self.prompt_encoder);
        mask_decoder(list.under("sam_mask_decoder"), &self.mask_decoder);
        list.tensors.push(ExpectedTensor {
            name: "no_mem_embed".to_owned(),
            shape: vec![1, 1, width],
            is_parameter: true,
        });
        list.tensors
    }
}

#[derive(Default)]
struct List {
    tensors: Vec<ExpectedTensor>,
}

impl List {
    fn under(&mut self, name: &str) -> Scope<'_> {
        Scope {
            list: self,
            prefix: format!("{name}."),
        }
    }
}

/// A place in the tree of modules, where tensors are added as PyTorch's modules name them.
struct Scope<'l> {
    list: &'l mut List,
    prefix: String,
}

impl Scope<'_> {
    fn under(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        Scope {
            prefix: format!("{}{name}.", self.prefix),
            list: self.list,
        }
    }

    fn add(&mut self, name: &str, shape: &[usize], is_parameter: bool) {
        self.list.tensors.push(ExpectedTensor {
            name: format!("{}{name}", self.prefix),
            shape: shape.to_vec(),
            is_parameter,
        });
    }

    fn parameter(&mut self, name: &str, shape: &[usize]) {
        self.add(name, shape, true);
    }

    /// A module with a weight of that shape and, where there is one, a bias.
    fn module(&mut self, name: impl std::fmt::Display, weight: &[usize], bias: Option<usize>) {
        self.parameter(&format!("{name}.weight"), weight);
        if let Some(len) = bias {
            self.parameter(&format!("{name}.bias"), &[len]);
        }
    }

    fn linear(&mut self, name: impl std::fmt::Display, inputs: usize, outputs: usize) {
        self.module(name, &[outputs, inputs], Some(outputs));
    }

    fn norm(&mut self, name: impl std::fmt::Display, width: usize) {
        self.module(name, &[width], Some(width));
    }

    /// `Conv2d_BN`: a convolution without a bias (`c`) and a batch norm (`bn`).
    fn conv_bn(&mut self, name: &str, inputs: usize, outputs: usize, kernel: usize) {
        let mut scope = self.under(name);
        scope.module("c", &[outputs, inputs, kernel, kernel], None);
        scope.norm("bn", outputs);
        scope.add("bn.running_mean", &[outputs], false);
        scope.add("bn.running_var", &[outputs], false);
    }

    /// `neck`: to the channels of the image embedding.
    fn neck(&mut self, inputs: usize, outputs: usize) {
        self.module("neck.0", &[outputs, inputs, 1, 1], None);
        self.norm("neck.1", outputs);
        self.module("neck.2", &[outputs, outputs, 3, 3], None);
        self.norm("neck.3", outputs);
    }

    /// The trunk, and the neck that brings its stages, last to first, to the channels of the mask decoder.
    fn hiera(&mut self, config: &HieraConfig, out_chans: usize) {
        let first = config.stages.first().map_or(0, |stage| stage.embed_dim);
        let (kernel, window) = (config.patch_kernel, config.pos_embed_window_size);
        let [rows, columns] = config.pos_embed_size;
        let mut trunk = self.under("trunk");
        trunk.parameter("pos_embed", &[1, first, rows, columns]);
        trunk.parameter("pos_embed_window", &[1, first, window, window]);
        trunk.module(
            "patch_embed.proj",
            &[first, config.in_chans, kernel, kernel],
            Some(first),
        );
        for (index, block) in config.blocks().iter().enumerate() {
            let (dim, dim_out) = (block.dim, block.dim_out);
            let mut scope = trunk.under(format_args!("blocks.{index}"));
            scope.norm("norm1", dim);
            scope.linear("attn.qkv", dim, 3 * dim_out);
            scope.linear("attn.proj", dim_out, dim_out);
            scope.norm("norm2", dim_out);
            scope.mlp("mlp", dim_out, block.mlp_dim, dim_out, 2);
            if dim != dim_out {
                scope.linear("proj", dim, dim_out);
            }
        }
        for (level, stage) in config.stages.iter().rev().enumerate() {
            self.module(
                format_args!("neck.convs.{level}.conv"),
                &[out_chans, stage.embed_dim, 1, 1],
                Some(out_chans),
            );
        }
    }

    /// `MLP` of the mask decoder: `layers.0` to `layers.{depth - 1}`.
    fn mlp(&mut self, name: &str, inputs: usize, hidden: usize, outputs: usize, depth: usize) {
        for layer in 0..depth {
            let from = if layer == 0 { inputs } else { hidden };
            let to = if layer + 1 == depth { outputs } else { hidden };
            self.linear(format_args!("{name}.layers.{layer}"), from, to);
        }
    }
}

fn vit(mut encoder: Scope<'_>, config: &SamVitConfig) {
    let (width, patch, grid) = (config.embed_dim, config.patch_size, config.grid_size());
    encoder.parameter("pos_embed", &[1, grid, grid, width]);
    encoder.module(
        "patch_embed.proj",
        &[width, config.in_chans, patch, patch],
        Some(width),
    );
    for (index, block) in config.blocks.iter().enumerate() {
        let mut scope = encoder.under(format_args!("blocks.{index}"));
        scope.norm("norm1", width);
        if let Some(rows) = block.rel_pos_rows {
            scope.parameter("attn.rel_pos_h", &[rows, config.head_dim()]);
            scope.parameter("attn.rel_pos_w", &[rows, config.head_dim()]);
        }
        scope.module(
            "attn.qkv",
            &[3 * width, width],
            config.qkv_bias.then_some(3 * width),
        );
        scope.linear("attn.proj", width, width);
        scope.norm("norm2", width);
        scope.linear("mlp.lin1", width, config.mlp_dim);
        scope.linear("mlp.lin2", config.mlp_dim, width);
    }
    encoder.neck(width, config.out_chans);
}

fn tiny_vit(mut encoder: Scope<'_>, config: &TinyVitConfig) {
    let Some((first, last)) = config.stages.first().zip(config.stages.last()) else {
        return;
    };
    encoder.conv_bn("patch_embed.seq.0", config.in_chans, config.stem_dim, 3);
    encoder.conv_bn("patch_embed.seq.2", config.stem_dim, first.embed_dim, 3);
    for (index, stage) in config.stages.iter().enumerate() {
        let mut layer = encoder.under(format_args!("layers.{index}"));
        for block in 0..stage.depth {
            let scope = layer.under(format_args!("blocks.{block}"));
            if index == 0 {
                tiny_vit_conv_block(scope, stage);
            } else {
                tiny_vit_attention_block(scope, stage);
            }
        }
        if let Some(next) = config.stages.get(index + 1) {
            let mut downsample = layer.under("downsample");
            downsample.conv_bn("conv1", stage.embed_dim, next.embed_dim, 1);
            downsample.conv_bn("conv2", 1, next.embed_dim, 3);
            downsample.conv_bn("conv3", next.embed_dim, next.embed_dim, 1);
        }
    }
    encoder.neck(last.embed_dim, config.out_chans);
}

fn tiny_vit_conv_block(mut block: Scope<'_>, stage: &TinyVitStageConfig) {
    block.conv_bn("conv1", stage.embed_dim, stage.hidden_dim, 1);
    block.conv_bn("conv2", 1, stage.hidden_dim, 3);
    block.conv_bn("conv3", stage.hidden_dim, stage.embed_dim, 1);
}

fn tiny_vit_attention_block(mut block: Scope<'_>, stage: &TinyVitStageConfig) {
    let width = stage.embed_dim;
    block.parameter(
        "attn.attention_biases",
        &[stage.num_heads, stage.window_size * stage.window_size],
    );
    block.norm("attn.norm", width);
    block.linear("attn.qkv", width, 3 * width);
    block.linear("attn.proj", width, width);
    block.norm("mlp.norm", width);
    block.linear("mlp.fc1", width, stage.hidden_dim);
    block.linear("mlp.fc2", stage.hidden_dim, width);
    block.conv_bn("local_conv", 1, width, stage.local_conv_size);
}

/// Points and box corners have an embedding each: background, foreground, first corner, second corner.
const POINT_EMBEDDINGS: usize = 4;

fn prompt_encoder(mut encoder: Scope<'_>, config: &PromptEncoderConfig) {
    let (width, chans) = (config.embed_dim, config.mask_in_chans);
    encoder.add(
        "pe_layer.positional_encoding_gaussian_matrix",
        &[2, width / 2],
        false,
    );
    for index in 0..POINT_EMBEDDINGS {
        encoder.module(format_args!("point_embeddings.{index}"), &[1, width], None);
    }
    encoder.module("not_a_point_embed", &[1, width], None);
    encoder.module("mask_downscaling.0", &[chans / 4, 1, 2, 2], Some(chans / 4));
    encoder.norm("mask_downscaling.1", chans / 4);
    encoder.module("mask_downscaling.3", &[chans, chans / 4, 2, 2], Some(chans));
    encoder.norm("mask_downscaling.4", chans);
    encoder.module("mask_downscaling.6", &[width, chans, 1, 1], Some(width));
    encoder.module("no_mask_embed", &[1, width], None);
}

fn mask_decoder(mut decoder: Scope<'_>, config: &MaskDecoderConfig) {
    let width = config.transformer_dim;
    let masks = config.num_multimask_outputs + 1;
    let mut transformer = decoder.under("transformer");
    for layer in 0..config.transformer_depth {
        let mut scope = transformer.under(format_args!("layers.{layer}"));
        decoder_attention(scope.under("self_attn"), width, width);
        scope.norm("norm1", width);
        decoder_attention(
            scope.under("cross_attn_token_to_image"),
            width,
            config.internal_dim(),
        );
        scope.norm("norm2", width);
        match config.sam2 {
            None => {
                scope.linear("mlp.lin1", width, config.mlp_dim);
                scope.linear("mlp.lin2", config.mlp_dim, width);
            }
            Some(_) => scope.mlp("mlp", width, config.mlp_dim, width, 2),
        }
        scope.norm("norm3", width);
        scope.norm("norm4", width);
        decoder_attention(
            scope.under("cross_attn_image_to_token"),
            width,
            config.internal_dim(),
        );
    }
    decoder_attention(
        transformer.under("final_attn_token_to_image"),
        width,
        config.internal_dim(),
    );
    transformer.norm("norm_final_attn", width);
    decoder.module("iou_token", &[1, width], None);
    decoder.module("mask_tokens", &[masks, width], None);
    decoder.module(
        "output_upscaling.0",
        &[width, width / 4, 2, 2],
        Some(width / 4),
    );
    decoder.norm("output_upscaling.1", width / 4);
    decoder.module(
        "output_upscaling.3",
        &[width / 4, width / 8, 2, 2],
        Some(width / 8),
    );
    for mask in 0..masks {
        decoder.mlp(
            &format!("output_hypernetworks_mlps.{mask}"),
            width,
            width,
            width / 8,
            3,
        );
    }
    decoder.mlp(
        "iou_prediction_head",
        width,
        config.iou_head_hidden_dim,
        masks,
        config.iou_head_depth,
    );
    if let Some(sam2) = &config.sam2 {
        decoder.module("obj_score_token", &[1, width], None);
        decoder.module("conv_s0", &[width / 8, width, 1, 1], Some(width / 8));
        decoder.module("conv_s1", &[width / 4, width, 1, 1], Some(width / 4));
        let depth = sam2.obj_score_head_depth;
        decoder.mlp("pred_obj_score_head", width, width, 1, depth);
    }
}

fn decoder_attention(mut attention: Scope<'_>, width: usize, internal: usize) {
    for name in ["q_proj", "k_proj", "v_proj"] {
        attention.linear(name, width, internal);
    }
    attention.linear("out_proj", internal, width);
}
