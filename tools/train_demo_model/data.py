"""An endless stream of training samples."""

import numpy as np
import torch

from prompts import inside, jittered_box
from scenes import scene_with_objects, varied

PROMPTS_PER_IMAGE = 4
RENEWED = 0.1  # share of samples that are drawn anew once the pool is full


def sample(rng, image, masks):
    """A scene with prompts: image, masks (P, S, S), clicks (P, 2), boxes (P, 4)."""
    chosen = [masks[rng.integers(len(masks))] for _ in range(PROMPTS_PER_IMAGE)]
    clicks = np.array([inside(rng, mask) for mask in chosen], np.float32)
    boxes = np.stack([jittered_box(rng, mask) for mask in chosen])
    return image, np.stack(chosen), clicks, boxes


class Scenes(torch.utils.data.IterableDataset):
    """Scenes are drawn into a pool, which is renewed one scene at a time; most samples are varied from the pool."""

    def __init__(self, seed, pool_size=2500):
        self.seed, self.pool_size = seed, pool_size

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        rng, pool = np.random.default_rng([self.seed, worker.id if worker else 0]), []
        while True:
            yield sample(rng, *self.next_scene(rng, pool))

    def next_scene(self, rng, pool):
        if len(pool) < self.pool_size:
            pool.append(scene_with_objects(rng))
            return pool[-1]
        if rng.random() < RENEWED:
            place = rng.integers(len(pool))
            pool[place] = scene_with_objects(rng)
            return pool[place]
        return varied(rng, *pool[rng.integers(len(pool))])
