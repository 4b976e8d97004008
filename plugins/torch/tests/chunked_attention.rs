//! The plan with chunked attention: the same embedding, at a lower peak of memory (ViT-B: 47 instead of 80 MB on two
//! threads; here the workspace of the attention kernel is a larger part).

mod common;

use common::formula;
use common::golden::max_difference;
use safetensors::tensor::{Dtype, TensorView};
use sam_mm_backend_abi::sdk::Attention;
use sam_mm_checkpoint::{Checkpoint, SamVitConfig, VitBlockConfig};
use sam_mm_torch::image_encoder_vit::ImageEncoderVit;
use sam_mm_torch::nn::Weights;
use sam_mm_torch::shim::{MemoryOf, Scope, figures, reset_peak};
use tch::{Device, Kind, Tensor};

const GRID: usize = 32;
const WIDTH: usize = 256;
const HEADS: usize = 4;

/// Wide enough that maps outweigh the workspace of the attention kernel.
fn config() -> SamVitConfig {
    let block = |window_size: usize| {
        let side = if window_size == 0 { GRID } else { window_size };
        VitBlockConfig {
            window_size,
            rel_pos_rows: Some(2 * side - 1),
        }
    };
    SamVitConfig {
        image_size: 8 * GRID,
        patch_size: 8,
        in_chans: 3,
        embed_dim: WIDTH,
        num_heads: HEADS,
        mlp_dim: 4 * WIDTH,
        out_chans: 32,
        qkv_bias: true,
        blocks: vec![block(7), block(0)],
    }
}

fn checkpoint(config: &SamVitConfig) -> Checkpoint<'static> {
    let (width, hidden, out) = (WIDTH, config.mlp_dim, config.out_chans);
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("patch_embed.proj.weight".into(), vec![width, 3, 8, 8]),
        ("patch_embed.proj.bias".into(), vec![width]),
        ("pos_embed".into(), vec![1, GRID, GRID, width]),
        ("neck.0.weight".into(), vec![out, width, 1, 1]),
        ("neck.1.weight".into(), vec![out]),
        ("neck.1.bias".into(), vec![out]),
        ("neck.2.weight".into(), vec![out, out, 3, 3]),
        ("neck.3.weight".into(), vec![out]),
        ("neck.3.bias".into(), vec![out]),
    ];
    for (index, block) in config.blocks.iter().enumerate() {
        let rows = block.rel_pos_rows.unwrap();
        let parts = [
            ("norm1.weight", vec![width]),
            ("norm1.bias", vec![width]),
            ("attn.qkv.weight", vec![3 * width, width]),
            ("attn.qkv.bias", vec![3 * width]),
            ("attn.proj.weight", vec![width, width]),
            ("attn.proj.bias", vec![width]),
            ("attn.rel_pos_h", vec![rows, width / HEADS]),
            ("attn.rel_pos_w", vec![rows, width / HEADS]),
            ("norm2.weight", vec![width]),
            ("norm2.bias", vec![width]),
            ("mlp.lin1.weight", vec![hidden, width]),
            ("mlp.lin1.bias", vec![hidden]),
            ("mlp.lin2.weight", vec![width, hidden]),
            ("mlp.lin2.bias", vec![width]),
        ];
        shapes.extend(parts.map(|(name, shape)| (format!("blocks.{index}.{name}"), shape)));
    }
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let values = formula::tensor(&name, &shape);
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (name, shape, bytes)
        })
        .collect();
    let views = data.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    Checkpoint::from_bytes(bytes, "formula").unwrap()
}

#[test]
fn chunks_lower_the_peak_by_a_quarter_and_give_the_same_embedding() {
    let config = config();
    let checkpoint = checkpoint(&config);
    let weights = Weights::new(&checkpoint, Device::Cpu, Kind::Float);
    let encoder = ImageEncoderVit::load(&weights, &config, &|| Ok(())).unwrap();
    let run = |plan: Attention| {
        let _scope = Scope::enter().unwrap();
        let before = figures(MemoryOf::Cpu).unwrap().reserved;
        reset_peak(MemoryOf::Cpu).unwrap();
        let side = config.image_size as i64;
        let image = formula::uniform("image", (3 * side * side) as usize);
        let image = Tensor::from_slice(&image).view([1, side, side, 3]);
        let cells = encoder
            .forward(image.permute([0, 3, 1, 2]), plan, &|| Ok(()))
            .unwrap();
        let after = figures(MemoryOf::Cpu).unwrap();
        assert_eq!(after.peak_reserved, after.peak_allocated);
        let cells: Vec<f32> = Vec::try_from(cells.flatten(0, -1)).unwrap();
        (cells, after.peak_reserved - before)
    };
    let (full, full_peak) = run(Attention::Full);
    let (chunked, chunked_peak) = run(Attention::Chunked);
    println!("full {full_peak}, chunked {chunked_peak}");
    let difference = max_difference(&chunked, &full);
    assert!(difference < 1e-4, "{difference}");
    assert!(
        4 * chunked_peak < 3 * full_peak,
        "{chunked_peak} of {full_peak}"
    );
}
