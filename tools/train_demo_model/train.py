"""Trains the demo model on drawn scenes.

    pip install -r requirements.txt
    python train.py --minutes 60 --out sam_demo

Writes OUT.safetensors and OUT.pth, now and then and at the end. No data but the drawn scenes goes in.
"""

import argparse
import math
import time

import numpy as np
import torch
import torch.nn.functional as F

import model as demo
from data import PROMPTS_PER_IMAGE, Scenes
from evaluate import Predictor, drawn_scenes, measure
from prompts import correction
from scenes import SIZE

WARM_UP_STEPS = 200
BOX_SHARE = 0.35  # of the steps train on boxes, the others on clicks
CORRECTIONS_FROM = 0.15  # of the training time; before it there are no useful errors to correct
MASK_INPUT_SHARE = 0.8  # of the corrections come with the earlier mask
PIXEL_CENTER = 0.5
REPORT_SECONDS = 300


def losses(logits, predicted_iou, truth):
    """Per mask (N, M): cross entropy + dice + squared error of the predicted IoU; and the real IoU."""
    truth = truth[:, None].expand_as(logits)
    p = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((2, 3))
    dice = 1 - (2 * (p * truth).sum((2, 3)) + 1) / (p.sum((2, 3)) + truth.sum((2, 3)) + 1)
    mask, solid = logits > 0, truth > 0.5
    iou = (mask & solid).sum((2, 3)) / ((mask | solid).sum((2, 3)) + 1e-6)
    return 3 * cross_entropy + dice + (predicted_iou - iou) ** 2, iou


def corrections(rng, logits, truth):
    """A next click per prompt: points (N, 1, 2) and labels (N, 1)."""
    full = F.interpolate(logits, (SIZE, SIZE), mode="bilinear", align_corners=False)[:, 0]
    guesses = (full > 0).numpy()
    clicks = [correction(rng, guess, mask) for guess, mask in zip(guesses, truth.numpy())]
    points = torch.tensor([[(x + PIXEL_CENTER, y + PIXEL_CENTER)] for x, y, _ in clicks])
    return points, torch.tensor([[label] for _, _, label in clicks])


class Batch:
    """Images encoded, one entry per prompt."""

    def __init__(self, model, image, masks, clicks, boxes):
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = model.image_encoder(model.preprocess(image.permute(0, 3, 1, 2).float()))
        self.embeddings = embeddings.float().repeat_interleave(PROMPTS_PER_IMAGE, 0)
        self.masks = masks.flatten(0, 1)
        self.truth = F.interpolate(self.masks[:, None].float(), (SIZE // 4, SIZE // 4), mode="area")[:, 0]
        self.points = clicks.flatten(0, 1)[:, None] + PIXEL_CENTER
        self.boxes = boxes.flatten(0, 1)


def box_loss(model, batch):
    """A box is clear: the single-mask token learns."""
    logits, predicted = demo.decode(model, batch.embeddings, None, batch.boxes, None, multimask=False)
    loss, iou = losses(logits, predicted, batch.truth)
    return loss.mean(), iou


def click_loss(model, batch, rng, with_corrections):
    """One click is ambiguous: the best of three masks learns, and every predicted IoU. Corrections follow, which teach
    the single-mask token."""
    points, labels = batch.points, torch.ones(len(batch.points), 1, dtype=torch.long)
    logits, predicted = demo.decode(model, batch.embeddings, (points, labels), None, None, multimask=True)
    loss, iou = losses(logits, predicted, batch.truth)
    best = loss.argmin(1)
    total = loss.gather(1, best[:, None]).mean() + 0.05 * loss.mean() + ((predicted - iou) ** 2).mean()
    if with_corrections:
        earlier = logits.detach()[torch.arange(len(logits)), best][:, None]
        for _ in range(int(rng.integers(1, 3))):
            more, signs = corrections(rng, earlier, batch.masks)
            points, labels = torch.cat([points, more], 1), torch.cat([labels, signs], 1)
            mask_input = earlier if rng.random() < MASK_INPUT_SHARE else None
            again, predicted = demo.decode(model, batch.embeddings, (points, labels), None, mask_input, multimask=False)
            total = total + 0.5 * losses(again, predicted, batch.truth)[0].mean()
            earlier = again.detach()
    return total, iou.max(1).values


def learning_rate(peak, step, done):
    """A warm-up, then a cosine over the time that is given."""
    return peak * min(1, (step + 1) / WARM_UP_STEPS) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def report(model, seed, count):
    model.eval()
    figures, _ = measure(Predictor(model), drawn_scenes(seed, count), seed)
    model.train()
    return ", ".join(f"{name} {np.mean(values):.3f}" for name, values in figures.items())


def train(model, args):
    rng = np.random.default_rng(args.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.02, betas=(0.9, 0.98))
    loader = torch.utils.data.DataLoader(Scenes(args.seed), batch_size=args.batch, num_workers=1, prefetch_factor=4)
    samples, start, step, seen = iter(loader), time.time(), 0, []
    reported = start
    while (done := (time.time() - start) / (args.minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args.lr, step, done)
        batch = Batch(model, *next(samples))
        if rng.random() < BOX_SHARE:
            loss, iou = box_loss(model, batch)
        else:
            loss, iou = click_loss(model, batch, rng, done > CORRECTIONS_FROM)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen.append(iou.mean().item())
        step += 1
        if time.time() - reported > REPORT_SECONDS:
            reported = time.time()
            print(f"step {step}: IoU in training {np.mean(seen[-100:]):.3f}; {report(model, 999, 20)}", flush=True)
            demo.save(model, args.out)
    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long to train")
    parser.add_argument("--batch", type=int, default=12, help="images per step")
    parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="sam_demo", help="path of the files to write, without their endings")
    parser.add_argument("--start", help="go on from this file")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    model = (demo.load(args.start) if args.start else demo.build()).train()
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    steps = train(model, args)
    demo.save(model, args.out)
    print(f"{steps} steps; {report(model, 12345, 20)}", flush=True)


if __name__ == "__main__":
    main()
