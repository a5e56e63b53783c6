"""The training of the bundled model: its UNet, with the text and image encoders, learns to denoise and to find origins.

Everything learns at once and from scratch, on clips that are made up as it goes. The learning rate follows the time
that is left, so that a training of any length, on any machine, ends with a rate of zero.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from animate3d.bundled_model.folder import VIEWS
from animate3d.errors import InputError
from animate3d.files import atomic_file
from animate3d.mvvdm.model.camera import get_camera
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training import checkpoints
from animate3d.mvvdm.training.ema import MovingAverage
from animate3d.mvvdm.training.loss import Denoising, call, denoising_error
from animate3d.mvvdm.training.stopping import StopRequest
from animate3d.mvvdm.training.trainable import keep_norms_in_half
from animate3d.small_model.data.stream import CHUNK, Feed, Pool
from animate3d.small_model.encoders import normalized
from animate3d.small_model.half import half_products
from animate3d.small_model.origins import Truth, origin_losses

CHECKPOINT, AVERAGES, LOG = "joint.ckpt", "joint", "joint.jsonl"
"""In the folder of a training: its state, the folder of its averaged weights, and in there its log."""
ORIGIN_WEIGHT = 0.15
"""Weight of the origins' losses against that of the denoising, which they must not disturb."""
NOISY = 0.8
"""Power of uniform numbers that gives the shares of the noise schedule: below 1 there is more noise than less."""
DROPPED = 0.1
"""Share of clips whose text and image prompt are left out, which guidance needs."""
SHARD_BYTES = 15 * 2**20
LEARNED = ("unet", "text_encoder", "image_encoder")


@dataclass(frozen=True)
class Pace:
    """How a training goes.

    Attributes:
        minutes: that it lasts; the learning rate falls to zero in them.
        steps: that it lasts instead, where they are given.
        batch: clips of a step.
        rate: largest learning rate.
        warmup: steps in which it rises.
        ema: share of the averaged weights that stays at a step.
        workers: processes that make up clips.
        pool: clips that are kept to learn from.
        fresh: most chunks of new clips that are drawn between two steps.
        save_seconds: time between two checkpoints.
        compiled: let the UNet's blocks be compiled.
    """

    minutes: float = 7.0
    steps: int | None = None
    batch: int = 64
    rate: float = 1e-3
    warmup: int = 150
    ema: float = 0.996
    workers: int = 0
    pool: int = 1024
    fresh: int = 2
    save_seconds: float = 120.0
    compiled: bool = False


class Joint(nn.Module):
    """What learns, with its losses: a pipeline's UNet and encoders."""

    def __init__(self, pipeline: MultiViewVideoPipeline) -> None:
        super().__init__()
        self.unet, self.text_encoder, self.image_encoder = (getattr(pipeline, name) for name in LEARNED)
        self.pipeline = pipeline  # no module: its autoencoder does not learn
        self.camera: Tensor
        self.register_buffer("camera", get_camera(VIEWS), persistent=False)

    def forward(self, pixels: Tensor, ids: Tensor, dropped: Tensor, timesteps: Tensor, truth: Truth) -> Tensor:
        """Denoising, place and source losses, and the mean distance in pixels. ``[4]``

        Args:
            pixels: uint8 ``[B, V, F, 3, H, W]``
            ids: ``[B, S]`` tokens of the captions, those of the empty one where it is dropped.
            dropped: bool ``[B]`` whether there is no image prompt either.
            timesteps: ``[B]``
        """
        scheduler = self.pipeline.scheduler
        batch = self._batch(pixels, ids, dropped, timesteps)
        predicted, origins = call(self.unet, batch, scheduler, return_origins=True)
        predicted = predicted.unflatten(0, (-1, batch.latents.shape[1]))
        return torch.stack([denoising_error(predicted, batch, scheduler), *origin_losses(origins, truth)])

    def _batch(self, pixels: Tensor, ids: Tensor, dropped: Tensor, timesteps: Tensor) -> Denoising:
        vae, extractor = self.pipeline.vae, self.pipeline.feature_extractor
        images = pixels.float() / 127.5 - 1
        with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
            latents = vae.encode(images.flatten(0, 2)).latent_dist.mean * vae.config["scaling_factor"]
            latents = latents.unflatten(0, pixels.shape[:3]).transpose(2, 3)
        first = normalized(images[:, :, 0].flatten(0, 1), extractor)
        embeds = self.image_encoder(first).image_embeds.unflatten(0, pixels.shape[:2])
        return Denoising(
            latents=latents,
            noise=torch.randn_like(latents[:, :, :, 1:]),
            timesteps=timesteps,
            text=self.text_encoder(ids)[0].float(),
            image_embeds=torch.where(dropped[:, None, None], 0.0, embeds.float()),
            camera=self.camera.expand(len(pixels), -1, -1),
        )


def in_half(model: Joint) -> Joint:
    """A copy whose parameters are in half precision, and whose norms give what they are given."""
    worker = Joint(model.pipeline)
    for name in LEARNED:
        setattr(worker, name, copy.deepcopy(getattr(model, name)))
    worker.to(model.camera.device)
    for value in worker.parameters():
        value.data = value.data.bfloat16()
    keep_norms_in_half(worker.unet)
    return worker.train()


@torch.no_grad()
def hand_gradients(worker: nn.Module, model: nn.Module) -> None:
    """Give a model the gradients of its copy in half precision."""
    pairs = [(mine, its.grad) for mine, its in zip(model.parameters(), worker.parameters(), strict=True)]
    for mine, gradient in pairs:
        if gradient is not None and mine.grad is None:
            mine.grad = torch.empty_like(mine)
    filled = [(mine.grad, gradient) for mine, gradient in pairs if mine.grad is not None and gradient is not None]
    torch._foreach_copy_([mine for mine, _ in filled], [gradient for _, gradient in filled])


@torch.no_grad()
def hand_weights(model: nn.Module, worker: nn.Module) -> None:
    """Give a copy in half precision the weights of its model."""
    torch._foreach_copy_(list(worker.parameters()), list(model.parameters()))


class Training:
    """A joint training of a pipeline, in a folder, that can be stopped and continued."""

    def __init__(self, pipeline: MultiViewVideoPipeline, out: Path, pace: Pace, seed: int, device: torch.device):
        self.pipeline, self.out, self.pace, self.seed, self.device = pipeline, out, pace, seed, device
        pipeline.to(device)
        self.model = Joint(pipeline).to(device).train()
        # What learns stays in single precision; the passes are done by a copy in half precision, which needs no casts.
        self.worker = self.model
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            self.model.unet.to(memory_format=torch.channels_last)
            self.worker = in_half(self.model)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=pace.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.average = MovingAverage(self.model, pace.ema)
        self.step, self.seconds, self.seen = 0, 0.0, 0
        self._tokens: dict[str, Tensor] = {}
        self._restore()
        if self.worker is not self.model:
            hand_weights(self.model, self.worker)
        if pace.compiled:
            for block in [*self.worker.unet.down_blocks, self.worker.unet.mid_block, *self.worker.unet.up_blocks]:
                block.compile()

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        if self.pace.steps is not None:
            return self.step / self.pace.steps
        return self.seconds / (60 * self.pace.minutes)

    def run(self) -> None:
        """Train to the end, or until the process is asked to stop."""
        if self.progress >= 1:
            return
        pace = self.pace
        pinned, chunk = self.device.type == "cuda", min(CHUNK, pace.batch)
        feed = Feed(self.seed + 1000 * self.step, pace.workers, pinned=pinned, chunk=chunk)
        pool = Pool(pace.pool, self.device)
        generator = torch.Generator().manual_seed(self.seed + self.step)
        while len(pool) < min(2 * pace.batch, pace.pool):
            pool.add(feed.wait())
        began, saved, start = time.perf_counter() - self.seconds, self.seconds, self.step
        notes: list[Tensor] = []
        (self.out / AVERAGES).mkdir(parents=True, exist_ok=True)
        with StopRequest().awaited() as request, tqdm(initial=self.step, desc="joint", mininterval=5) as bar:
            while self.progress < 1 and not request.asked:
                for _ in range(pace.fresh):
                    if (new := feed.take()) is None:
                        break
                    pool.add(new)
                warm = min(1.0, (self.step - start + 1) / pace.warmup)
                notes.append(self._step(pool, generator, pace.rate * warm * (1 - self.progress)))
                bar.update()
                self.seconds = time.perf_counter() - began
                if len(notes) == 20 or self.progress >= 1:
                    self._log(torch.stack(notes).mean(dim=0).tolist(), pool.added)
                    self.seconds = time.perf_counter() - began
                    notes = []
                if self.seconds - saved > pace.save_seconds:
                    self.save()
                    saved = self.seconds
        self.save()

    def _step(self, pool: Pool, generator: torch.Generator, rate: float) -> Tensor:
        pixels, truth, texts = pool.draw(self.pace.batch, generator)
        count = len(texts)
        dropped = torch.rand(count, generator=generator) < DROPPED
        ids = torch.stack([self._ids("" if drop else text) for text, drop in zip(texts, dropped, strict=True)])
        # Every clip has its own part of the noise levels; much noise, where motion is decided, comes up more.
        places = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
        timesteps = (places**NOISY * self.pipeline.scheduler.config["num_train_timesteps"]).long()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with half_products(self.device):
            losses = self.worker(
                pixels, *(value.to(self.device, non_blocking=True) for value in (ids, dropped, timesteps)), truth
            )
        denoising, places_loss, sources, _ = losses.unbind()
        self.worker.zero_grad()
        (denoising + ORIGIN_WEIGHT * (places_loss + sources)).backward()
        if self.worker is not self.model:
            hand_gradients(self.worker, self.model)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        if self.worker is not self.model:
            hand_weights(self.model, self.worker)
        self.step += 1
        self.seen += count
        self.average.update(self.step)
        return losses.detach()

    def _ids(self, text: str) -> Tensor:
        if text not in self._tokens:
            tokenizer = self.pipeline.tokenizer
            length = tokenizer.model_max_length
            self._tokens[text] = tokenizer(
                [text], padding="max_length", max_length=length, truncation=True, return_tensors="pt"
            ).input_ids[0]
        return self._tokens[text]

    # -- files -------------------------------------------------------------------------------------------------------

    def _log(self, means: list[float], clips: int) -> None:
        names = ("loss", "places", "sources", "pixels")
        line = {"step": self.step, **{name: round(value, 4) for name, value in zip(names, means, strict=True)}}
        line |= {"seconds": round(self.seconds, 2), "seen": self.seen, "clips": clips}
        line["lr"] = self.optimizer.param_groups[0]["lr"]
        with (self.out / AVERAGES / LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the averaged weights, and the state to continue from."""
        save_average(self.out / AVERAGES, self.average.state_dict())
        content = {
            "epoch": 0,
            "global_step": self.step,
            "seconds": self.seconds,
            "seen": self.seen,
            "state_dict": {name: value.detach().cpu() for name, value in self.model.state_dict().items()},
            "optimizer": checkpoints.optimizer_state(self.optimizer),
            "lr_scheduler": {},
            "ema": self.average.state_dict(),
        }
        checkpoints.write(self.out / CHECKPOINT, content)

    def _restore(self) -> None:
        path = self.out / CHECKPOINT
        if not path.is_file():
            return
        content = checkpoints.read(path)
        checkpoints.load_model_state(self.model, content["state_dict"], path)
        checkpoints.load_optimizer_state(self.optimizer, content["optimizer"], path)
        self.average.load_state_dict(content["ema"])
        self.step, self.seconds, self.seen = content["global_step"], content["seconds"], content["seen"]


def save_average(folder: Path, state: dict[str, Tensor]) -> None:
    """Write weights in half precision as files of at most 15 MiB, ``weights-0.safetensors`` and so on."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in state.items():
        value = value.half().contiguous()
        if shards[-1] and size + value.nbytes > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = value
        size += value.nbytes
    for number, shard in enumerate(shards):
        with atomic_file(folder / f"weights-{number}.safetensors") as temporary:
            save_file(shard, temporary)


def load_average(pipeline: MultiViewVideoPipeline, folder: Path) -> None:
    """Give a pipeline the averaged weights of a training.

    Raises:
        InputError: there are none, or they are of another model.
    """
    state: dict[str, Tensor] = {}
    for path in sorted(folder.glob("weights-*.safetensors")):
        state |= load_file(path)
    if not state:
        raise InputError(f"The training in {folder.parent} has no weights yet.")
    model = Joint(pipeline)
    wanted = {name for name, _ in model.named_parameters()}
    if wanted != set(state):
        raise InputError(f"{folder} has weights of another model; {sorted(wanted ^ set(state))[0]} does not fit.")
    model.load_state_dict(state, strict=False)
