//! Writes scenes, their masks and prompts to a folder, for `tools/train_demo_model/evaluate.py --scenes FOLDER`.
//!
//! `cargo run --release -p sam-mm-scenes --example export_scenes -- FOLDER [COUNT [WIDTH HEIGHT]]`

use std::error::Error;
use std::path::PathBuf;

use image::ColorType;
use sam_mm_scenes::Scene;
use serde_json::json;

const PROMPTS_PER_SCENE: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder to write to")?);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (count, width, height) = (number(100)?, number(256)?, number(256)?);
    std::fs::create_dir_all(&folder)?;
    let mut list = Vec::new();
    for seed in 0..count as u64 {
        let scene = Scene::draw_sized(seed, width, height);
        let save = |name: &str, bytes: &[u8], color| {
            image::save_buffer(folder.join(name), bytes, width as u32, height as u32, color)
        };
        let image = format!("{seed:04}.png");
        save(&image, &scene.image.pixels, ColorType::Rgb8)?;
        let mut masks = Vec::new();
        for (index, mask) in scene.masks.iter().enumerate() {
            let name = format!("{seed:04}_{index}.png");
            let gray: Vec<u8> = mask
                .pixels
                .iter()
                .map(|&pixel| if pixel { 255 } else { 0 })
                .collect();
            save(&name, &gray, ColorType::L8)?;
            masks.push(name);
        }
        let prompts = scene.prompts(seed, PROMPTS_PER_SCENE);
        let prompts: Vec<_> = prompts
            .iter()
            .map(|prompt| json!({"object": prompt.object, "click": prompt.click, "box": prompt.bounds}))
            .collect();
        list.push(json!({"image": image, "masks": masks, "prompts": prompts}));
    }
    std::fs::write(
        folder.join("scenes.json"),
        serde_json::to_string_pretty(&list)?,
    )?;
    Ok(())
}
