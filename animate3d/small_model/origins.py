"""The last training of the bundled UNet: it goes on denoising, and learns the origin of every pixel as well.

The features that place a moving part also know which part it is: the head that reads them learns in minutes what a
network of its own did not in many times as many pictures.

    python -m torch.distributed.run --standalone --nproc-per-node=2 -m animate3d.small_model.origins --out DIR ...
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import grid_sample, smooth_l1_loss
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm, trange

from animate3d.bundled_model.folder import FRAMES, SIZE, VIEWS
from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.creatures.creatures import make_creature, move
from animate3d.errors import run_command
from animate3d.files import read_json
from animate3d.mvvdm.model.camera import get_camera
from animate3d.mvvdm.model.origins import Origins, views_from
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training import checkpoints
from animate3d.mvvdm.training.draws import draw, generator
from animate3d.mvvdm.training.ema import MovingAverage
from animate3d.mvvdm.training.encode import Encoder
from animate3d.mvvdm.training.loss import Denoising, call, denoising_error
from animate3d.mvvdm.training.stopping import StopRequest
from animate3d.small_model.data.plan import plan
from animate3d.small_model.data.synthesize import SETTINGS
from animate3d.small_model.data.views import ELEVATION, render_rest_positions, render_views
from animate3d.small_model.export import ORIGINS, ORIGINS_LOG, read_origins, trained_pipeline
from animate3d.small_model.models import add_origin_head

LEARNING_RATE = 6e-4
"""Learning rate at the start; it falls linearly to zero."""
WEIGHT = 0.1
"""Weight of the origins' losses against that of the denoising, which they must not disturb."""
VIEW_WEIGHTS = (1.0, 0.5, 0.25, 0.5)
"""Weights of the places in a pixel's own first image and in those of the next views; the opposite one shares least."""
SAME_POINT = 0.09
"""Two pixels show the same point of the surface when their rest positions are nearer than this (objects: about 1)."""
SILHOUETTE_WEIGHT = 5.0
CLIPS_PER_PROCESS = 2
WARMUP = 60
"""Steps of a rising learning rate at every start."""
EMA_DECAY = 0.998
SAVE_EVERY = 100


@dataclass(frozen=True)
class Clip:
    """A training clip with the truth.

    Attributes:
        pixels: uint8 ``[V, F, 3, H, W]``
        rest: half ``[V, F, 3, H, W]`` where the points that the pixels show are in frame 0.
        coverage: uint8 ``[V, F, H, W]``
        text: its caption.
    """

    pixels: Tensor
    rest: Tensor
    coverage: Tensor
    text: str


@dataclass(frozen=True)
class Truth:
    """True origins of the pixels of B clips.

    Attributes:
        places: as in `Origins`, for every view.
        visible: bool ``[B, V, F, V, H, W]`` whether the first image shows the pixel's point there.
        coverage: ``[B, V, F, H, W]`` 0..1
    """

    places: Tensor
    visible: Tensor
    coverage: Tensor


def render_clips(data: Path, part: int, parts: int) -> list[Clip]:
    """Every ``parts``-th clip of a data set, drawn again with its truth. 0.06 s and 1.3 MB each."""
    settings = read_json(data / SETTINGS)
    captions = {
        "/".join(Path(clip["data_path"][0]).parts[-3:-1]): clip["text_prompt"]
        for clip in read_json(data / "clips.json")
    }
    planned = [
        (creature, clip)
        for creature in plan(settings["clips"], settings["seed"], settings["families"])
        for clip in creature.clips
    ]
    found = []
    for creature, clip in tqdm(planned[part::parts], desc="drawing clips", disable=part > 0):
        made = make_creature(creature.family, creature.seed)
        placed = made.mesh.automatic_placement().apply(move(made, clip.motion, FRAMES, clip.amplitude, clip.speed))
        pixels = torch.from_numpy(render_views(made.mesh, placed, views=VIEWS, size=SIZE)).movedim(-1, 2)
        rest, coverage = render_rest_positions(made.mesh, placed, views=VIEWS, size=SIZE)
        found.append(
            Clip(
                pixels.contiguous(),
                torch.from_numpy(rest).half(),
                torch.from_numpy((coverage * 255).round()).to(torch.uint8),
                captions[f"{creature.uid}/{clip.name}"],
            )
        )
    return found


def true_origins(rest: Tensor, coverage: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Places of every pixel's point of the surface in the first images, and whether they show it.

    Args:
        rest: ``[V, F, 3, H, W]``
        coverage: ``[V, F, H, W]`` 0..1
        cameras: ``[V]``

    Returns:
        places ``[V, F, V, 2, H, W]`` and visibility ``[V, F, V, H, W]``, in the order of `Origins`.
    """
    views, frames, _, height, width = rest.shape
    size = rest.new_tensor([width, height])

    def read(images: Tensor, pixels: Tensor) -> Tensor:
        """Sample images ``[r, c, H, W]`` at pixels ``[r, P, 2]``: ``[r, P, c]``."""
        grid = (2 * pixels / size - 1)[:, None]
        return grid_sample(images, grid, padding_mode="border", align_corners=False)[:, :, 0].transpose(1, 2)

    # Splats nearer to the camera cover those behind, so that a slanted surface is seen about half a pixel off the place
    # that its points project to. How far is known in frame 0, and what is looked for are pixels of its pictures.
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    at_rest, _ = cameras.project(rest[:, 0].movedim(1, -1).flatten(1, 2))
    shift = at_rest.unflatten(1, (height, width)).movedim(-1, 1) - torch.stack([x, y])
    shift = torch.where(coverage[:, :1] > 0.5, shift, 0.0)

    points = rest.movedim(2, -1).reshape(1, -1, 3).expand(views, -1, -1)  # [r, P, 3]
    projected, _ = cameras.project(points)
    pixels = projected - read(shift, projected)
    pixels = projected - read(shift, pixels)
    same = (read(rest[:, 0], pixels) - points).norm(dim=-1) < SAME_POINT
    visible = same & (read(coverage[:, :1], pixels)[..., 0] > 0.5) & (coverage.reshape(1, -1) > 0.5)
    places = pixels.unflatten(1, (views, frames, height, width)).permute(1, 2, 0, 5, 3, 4)
    visible = visible.unflatten(1, (views, frames, height, width)).permute(1, 2, 0, 3, 4)
    order = views_from(views)
    each = range(views)
    return torch.stack([places[v][:, order[v]] for v in each]), torch.stack([visible[v][:, order[v]] for v in each])


def origin_losses(origins: Origins, truth: Truth) -> tuple[Tensor, Tensor, Tensor]:
    """Losses over the frames after frame 0: error of the places, error of the sources, and mean distance in pixels.

    The distance is that in the own view, over the pixels that it shows.
    """
    places, sources = origins.places[:, :, 1:], origins.sources[:, :, 1:]
    true_places, visible, coverage = truth.places[:, :, 1:], truth.visible[:, :, 1:], truth.coverage[:, :, 1:]
    weight = visible[:, :, :, :, None] * places.new_tensor(VIEW_WEIGHTS)[:, None, None, None]
    place_loss = (smooth_l1_loss(places, true_places, reduction="none") * weight).sum() / weight.sum().clamp_min(1) / 2
    # The own view is the best source; without it any other that shows the point is right; else none.
    log = sources.log_softmax(dim=3)
    others = log[:, :, :, :-1].masked_fill(~visible, -30.0).logsumexp(dim=3)
    right = torch.where(visible[:, :, :, 0], log[:, :, :, 0], torch.where(visible.any(dim=3), others, log[:, :, :, -1]))
    source_loss = -(right * (1 + (SILHOUETTE_WEIGHT - 1) * (coverage > 0.05))).mean()
    own = visible[:, :, :, 0]
    distance = (places[:, :, :, 0] - true_places[:, :, :, 0]).norm(dim=3)
    return place_loss, source_loss, ((distance * own).sum() / own.sum().clamp_min(1)).detach()


class Joint(nn.Module):
    """The UNet with both its losses, as one module that `DistributedDataParallel` can wrap."""

    def __init__(self, unet: nn.Module, scheduler: Any) -> None:
        super().__init__()
        self.unet, self.scheduler = unet, scheduler

    def forward(self, batch: Denoising, truth: Truth) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The denoising, place and source losses, and the mean distance in pixels."""
        predicted, origins = call(self.unet, batch, self.scheduler, return_origins=True)
        predicted = predicted.unflatten(0, (-1, batch.latents.shape[1]))
        return (denoising_error(predicted, batch, self.scheduler), *origin_losses(origins, truth))


def train_origins(
    pipeline: MultiViewVideoPipeline, unet_steps: int, data: Path, out: Path, steps: int, seed: int
) -> None:
    """Train in every process of a group, or go on with a training that was stopped.

    Args:
        pipeline: its UNet learns.
        unet_steps: that this UNet has behind it.
        data: of `animate3d data synthesize`.
        out: gets the checkpoint and ``origins.jsonl``.

    Raises:
        InputError: the checkpoint in ``out`` went on from another UNet.
    """
    rank, processes = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(seed)
    pipeline.register_modules(unet=add_origin_head(pipeline.unet, pipeline.vae_scale_factor))
    unet = pipeline.unet.train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    average = MovingAverage(unet, EMA_DECAY)
    start = 0
    if (content := read_origins(out, unet_steps)) is not None:
        checkpoints.load_model_state(unet, content["state_dict"], out / ORIGINS)
        checkpoints.load_optimizer_state(optimizer, content["optimizer"], out / ORIGINS)
        average.load_state_dict(content["ema"])
        start = int(content["global_step"])
    if start >= steps:
        return
    clips = render_clips(data, rank, processes)
    model = DistributedDataParallel(Joint(unet, pipeline.scheduler), gradient_as_bucket_view=True)
    batches = _batches(Encoder(pipeline), clips, range(start, steps), rank, processes, seed)
    with StopRequest().awaited() as request:
        for step in (bar := trange(start, steps, initial=start, total=steps, desc="origins", disable=rank > 0)):
            began = time.perf_counter()
            batch, truth = next(batches)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * min(1, (step - start + 1) / WARMUP) * (1 - step / steps)
            with torch.autocast("cpu", torch.bfloat16):
                denoising, places, sources, distance = model(batch, truth)
            optimizer.zero_grad()
            (denoising + WEIGHT * (places + sources)).backward()
            nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
            optimizer.step()
            average.update(step + 1)
            dist.all_reduce(asked := torch.tensor(float(request.asked)))  # so that all processes agree
            ending = bool(asked) or step + 1 == steps
            if rank == 0:
                values = {"loss": denoising.item(), "places": places.item(), "sources": sources.item()}
                values |= {"pixels": distance.item(), "seconds": time.perf_counter() - began}
                with (out / ORIGINS_LOG).open("a") as log:
                    log.write(json.dumps({"step": step + 1, **{k: round(v, 4) for k, v in values.items()}}) + "\n")
                bar.set_postfix(loss=f"{values['loss']:.3f}", pixels=f"{values['pixels']:.2f}")
                if ending or (step + 1) % SAVE_EVERY == 0:
                    _save(out / ORIGINS, step + 1, unet_steps, unet, optimizer, average)
            if asked:
                break


def _save(
    path: Path, step: int, unet_steps: int, unet: nn.Module, optimizer: torch.optim.Optimizer, average: MovingAverage
) -> None:
    content = {
        "epoch": 0,
        "global_step": step,
        "unet_steps": unet_steps,
        "state_dict": checkpoints.model_state(unet, everything=True),
        "optimizer": checkpoints.optimizer_state(optimizer),
        "lr_scheduler": {},
        "ema": average.state_dict(),
    }
    checkpoints.write(path, content)


def _batches(
    encoder: Encoder, clips: list[Clip], steps: range, rank: int, processes: int, seed: int
) -> Iterator[tuple[Denoising, Truth]]:
    """Yield the batch of every step; random numbers follow from seed, step and place in the batch, as in `train.py`."""
    cameras = reconstruction_cameras(VIEWS, SIZE)
    camera = get_camera(VIEWS, ELEVATION, 0.0).expand(CLIPS_PER_PROCESS, -1, -1)
    factor, channels = encoder.pipeline.vae_scale_factor, encoder.pipeline.vae.config["latent_channels"]
    places = [rank * CLIPS_PER_PROCESS + index for index in range(CLIPS_PER_PROCESS)]
    for step in steps:
        chosen = torch.randint(len(clips), (CLIPS_PER_PROCESS,), generator=generator(seed, step, places[0], 2))
        batch = [clips[index] for index in chosen.tolist()]
        draws = draw(
            seed,
            step,
            places,
            (VIEWS, FRAMES, channels, SIZE // factor, SIZE // factor),
            train_timesteps=1000,
            text_dropout=0.1,
            strata=CLIPS_PER_PROCESS * processes,
        )
        pixels = torch.stack([clip.pixels for clip in batch]).float() / 127.5 - 1
        coverage = torch.stack([clip.coverage for clip in batch]).float() / 255
        found = [true_origins(clip.rest.float(), cover, cameras) for clip, cover in zip(batch, coverage, strict=True)]
        truth = Truth(torch.stack([p for p, _ in found]), torch.stack([v for _, v in found]), coverage)
        yield encoder(pixels, [clip.text for clip in batch], camera, draws), truth


def main(argv: list[str] | None = None) -> int:
    """Run one process of the training; `animate3d.small_model.train` starts them."""
    parser = argparse.ArgumentParser(prog="animate3d.small_model.origins", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="of `animate3d data synthesize`")
    parser.add_argument("--out", type=Path, required=True, help="of animate3d.small_model.train")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args(argv)
    # Until there is something to save. torchrun takes any other exit for a failure, with a traceback.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    dist.init_process_group("gloo")
    try:
        pipeline, unet_steps = trained_pipeline(options.out, averaged=False, origins=False)
        train_origins(pipeline, unet_steps, options.data, options.out, options.steps, options.seed)
    finally:
        dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    run_command(main)
