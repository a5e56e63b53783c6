"""The training loop, on Hugging Face accelerate: one process or many, data parallel or sharded.

Every random number is a function of the seed and the step (`draws`), the data loader's position is part of the
checkpoint, and so a run that was killed goes on with the losses it would have had.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from diffusers.optimization import get_scheduler
from diffusers.utils import logging as diffusers_logging
from tqdm import tqdm
from transformers.utils import logging as transformers_logging

from animate3d.errors import InputError, available
from animate3d.files import existing_file
from animate3d.lock import LOCK
from animate3d.mvvdm.data import ClipLoader, build_dataset
from animate3d.mvvdm.training import checkpoints, output
from animate3d.mvvdm.training.before import check
from animate3d.mvvdm.training.config import TrainingConfig
from animate3d.mvvdm.training.draws import draw, generator
from animate3d.mvvdm.training.ema import MovingAverage
from animate3d.mvvdm.training.encode import Encoder
from animate3d.mvvdm.training.loss import denoising_loss
from animate3d.mvvdm.training.model import load_models
from animate3d.mvvdm.training.stopping import StopRequest
from animate3d.mvvdm.training.trainable import (
    add_lora,
    compile_blocks,
    freeze,
    keep_norms_in_half,
    merged_motion_state_dict,
    recompute_activations,
    shrink_frozen,
)

logger = logging.getLogger(__name__)


class Trainer:
    """One training run of a pipeline's UNet; ``global_step`` steps of the optimiser and ``epoch`` epochs are done."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.accelerator = make_accelerator(config)
        self.requests = check(config)
        self.loader = self._make_loader()
        if not self.accelerator.is_local_main_process:
            diffusers_logging.disable_progress_bar()
            transformers_logging.disable_progress_bar()
        with self.accelerator.local_main_process_first():  # downloads once per machine
            self.pipeline = load_models(config)
        self._prepare_model()
        self.encoder = Encoder(self.pipeline, config.latent_cache or None)
        self.global_step, self.epoch = 0, 0
        self._losses: output.LossLog | None = None
        self._request, self._stop = StopRequest(), False  # of this process; whether all have agreed to stop
        self._saved_step = 0
        self._resume()
        self._make_folder()  # last: what fails before leaves nothing behind

    # -- setting up --------------------------------------------------------------------------------------------------

    @property
    def sharded(self) -> bool:
        """Whether the weights are spread over the processes (FSDP)."""
        return self.accelerator.distributed_type == DistributedType.FSDP

    def _make_folder(self) -> None:
        config, folder = self.config, self.config.folder
        if self.accelerator.is_main_process:
            if config.is_debug and not config.resume_from_checkpoint and (folder / "config.yaml").is_file():
                _empty(folder)
            for name in (output.CHECKPOINTS, output.SAMPLES, output.FIRST_CLIPS, output.TENSORBOARD):
                (folder / name).mkdir(parents=True, exist_ok=True)
            output.write_config(config)
        self.accelerator.wait_for_everyone()

    def _make_loader(self) -> ClipLoader:
        config, accelerator = self.config, self.accelerator
        settings = dict(config.train_data)
        for name, value in {"num_views": config.num_views, "seed": config.global_seed}.items():
            settings.setdefault(name, value)
        try:
            dataset = build_dataset(
                settings.pop("info_path"),
                batch_size=config.train_batch_size,
                rank=accelerator.process_index,
                world_size=accelerator.num_processes,
                **settings,
            )
        except TypeError as error:
            raise InputError(f"`train_data` has a key that is not known: {error}.") from error
        wanted = config.train_batch_size * accelerator.num_processes
        if wanted > len(dataset.records):
            logger.warning("%d clips for a batch of %d: clips are used more than once", len(dataset.records), wanted)
        cores = max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        return ClipLoader(
            dataset, num_workers=min(config.num_workers, cores), pin_memory=accelerator.device.type == "cuda"
        )

    def _prepare_model(self) -> None:
        config, accelerator, unet = self.config, self.accelerator, self.pipeline.unet
        if self.sharded:
            _check_sharding(accelerator, config)
        torch.manual_seed(config.global_seed)  # the start of low-rank updates
        if config.lora:
            add_lora(unet, config.lora)
        else:
            freeze(unet, config.trainable_modules)
        half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(accelerator.mixed_precision, torch.float32)
        # Without a GPU there is no hurry to save memory, and the latents of a clip stay exact.
        dtype = torch.float32 if accelerator.device.type == "cpu" else half
        for model in (self.pipeline.vae, self.pipeline.text_encoder, self.pipeline.image_encoder):
            torch.nn.Module.to(model, device=accelerator.device, dtype=dtype)  # diffusers' own `to` warns without cause
        if not self.sharded:  # sharding wants one dtype
            shrink_frozen(unet, half)
        if config.gradient_checkpointing:
            recompute_activations(unet, config.recomputed_blocks)
        if accelerator.device.type == "cuda":
            if half != torch.float32 and not self.sharded:
                keep_norms_in_half(unet)
            if config.compile:
                compile_blocks(unet)
        if config.enable_xformers_memory_efficient_attention and accelerator.device.type == "cuda":
            unet.set_attention_backend("xformers" if available("xformers") else "sdpa")
        unet.train()
        optimizer = torch.optim.AdamW(
            [parameter for parameter in unet.parameters() if parameter.requires_grad],
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            weight_decay=config.adam_weight_decay,
            fused=accelerator.device.type in ("cpu", "cuda"),  # one pass over the weights
        )
        self.model, self.optimizer = accelerator.prepare(unet, optimizer)
        try:
            self.lr_scheduler = get_scheduler(
                config.lr_scheduler,
                optimizer=self.optimizer.optimizer,
                num_warmup_steps=config.lr_warmup_steps,
                num_training_steps=self.total_steps,
            )
        except ValueError as error:
            raise InputError(f"`lr_scheduler` is {config.lr_scheduler!r}, which is not a schedule: {error}.") from error
        if config.lr_decay_steps:
            self.lr_scheduler.lr_lambdas = [
                _decayed(factor, self.total_steps, config.lr_decay_steps) for factor in self.lr_scheduler.lr_lambdas
            ]
        self.average = MovingAverage(unet, config.ema_decay) if config.ema_decay else None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        return -(-len(self.loader) // self.config.gradient_accumulation_steps)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole training."""
        by_epochs = self.config.max_train_epoch * self.steps_per_epoch
        if self.config.max_train_steps <= 0:
            return by_epochs
        return min(self.config.max_train_steps, by_epochs) if by_epochs > 0 else self.config.max_train_steps

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train to the end, or until the process is asked to stop (Ctrl-C, SIGTERM), which writes a checkpoint."""
        config, main = self.config, self.accelerator.is_main_process
        self.accelerator.init_trackers("animate3d")
        if main:
            self._losses = output.LossLog(config.folder / output.LOSSES, self.global_step)
        self._bar = tqdm(total=self.total_steps, initial=self.global_step, desc="training", disable=not main)
        with self._request.awaited():
            while not self._done:
                self._epoch()
            if self.global_step != self._saved_step:
                self.save("step", self.global_step)
        self._bar.close()
        if self._stop and main:
            logger.warning("stopped after step %d; continue with resume_from_checkpoint=latest", self.global_step)
        self.accelerator.end_training()

    @property
    def _done(self) -> bool:
        return self._stop or self.global_step >= self.total_steps

    def _epoch(self) -> None:
        """The steps of the current epoch that are left, then what comes after an epoch."""
        self.loader.set_epoch(self.epoch)
        batches = iter(self.loader)
        while not self._done and (group := list(itertools.islice(batches, self.config.gradient_accumulation_steps))):
            if self.global_step == 0:
                folder, process = self.config.folder / output.FIRST_CLIPS, self.accelerator.process_index
                output.save_first_clips(folder, group[0]["pixel_values"], group[0]["text"], process)
            self._log(self._step(group))
            epoch_done = self.loader.state_dict()["epoch"] > self.epoch
            self.epoch += epoch_done
            self._write_due(epoch_done=epoch_done)

    def _log(self, values: dict[str, Any]) -> None:
        if self._losses is not None:
            self._losses.write(values)
        self.accelerator.log({key: values[key] for key in ("loss", "lr", "grad_norm")}, step=self.global_step)
        self._bar.set_postfix(loss=f"{values['loss']:.4f}")
        self._bar.update()

    def _step(self, group: list[dict[str, Any]]) -> dict[str, Any]:
        """One optimiser step over the batches of ``group``."""
        accelerator = self.accelerator
        start = time.perf_counter()
        total = torch.zeros((), device=accelerator.device)
        for index, batch in enumerate(group):
            draws = self._draw(batch, self.global_step * self.config.gradient_accumulation_steps + index)
            inputs = self.encoder(batch["pixel_values"], batch["text"], batch["camera"], draws)
            last = index == len(group) - 1
            with nullcontext() if last else accelerator.no_sync(self.model):  # gradients are averaged once per step
                with accelerator.autocast():
                    loss = denoising_loss(self.model, inputs, self.pipeline.scheduler) / len(group)
                accelerator.backward(loss)
            total += loss.detach()
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        norm = accelerator.clip_grad_norm_(learning, self.config.max_grad_norm)
        lr = self.lr_scheduler.get_last_lr()[0]
        self.optimizer.step()
        if not accelerator.optimizer_step_was_skipped:
            self.lr_scheduler.step()
        self.optimizer.zero_grad()
        self.global_step += 1
        if self.average is not None:
            self.average.update(self.global_step)
        loss_value, self._stop = self._agree(total)
        return {
            "step": self.global_step,
            "epoch": self.epoch,
            "loss": loss_value,
            "lr": lr,
            "grad_norm": float(checkpoints.full(norm)),
            "seconds": round(time.perf_counter() - start, 4),
        }

    def _draw(self, batch: dict[str, Any], step: int) -> Any:
        config, pipeline = self.config, self.pipeline
        clips = batch["pixel_values"]
        _, views, frames, _, height, width = clips.shape
        factor = pipeline.vae_scale_factor
        channels = pipeline.vae.config["latent_channels"]
        first = self.accelerator.process_index * config.train_batch_size
        # Dropout of low-rank updates is the only thing that draws from the global generators.
        torch.manual_seed(generator(config.global_seed, step, first, 1).initial_seed())
        return draw(
            config.global_seed,
            step,
            list(range(first, first + len(clips))),
            (views, frames, channels, height // factor, width // factor),
            train_timesteps=pipeline.scheduler.config["num_train_timesteps"],
            text_dropout=config.text_dropout,
            strata=config.train_batch_size * self.accelerator.num_processes if config.stratified_timesteps else 1,
        )

    def _agree(self, loss: torch.Tensor) -> tuple[float, bool]:
        """The loss over all processes, and whether any was asked to stop."""
        pair = torch.stack([loss, torch.tensor(float(self._request.asked), device=loss.device)])
        mean = self.accelerator.reduce(pair, reduction="mean")
        return float(mean[0]), bool(mean[1] > 0)

    # -- what is written ---------------------------------------------------------------------------------------------

    def _write_due(self, *, epoch_done: bool) -> None:
        """Checkpoints and samples that are due after a step."""
        config, step = self.config, self.global_step
        if epoch_done and config.checkpointing_epochs > 0 and self.epoch % config.checkpointing_epochs == 0:
            self.save("epoch", self.epoch)
        elif config.checkpointing_steps > 0 and step % config.checkpointing_steps == 0:
            self.save("step", step)
        if not self.requests:
            return
        if epoch_done and config.validation_epoch > 0 and self.epoch % config.validation_epoch == 0:
            self.validate(f"epoch-{self.epoch}")
        elif step in config.validation_steps_tuple or (
            config.validation_steps > 0 and step % config.validation_steps == 0
        ):
            self.validate(f"step-{step}")

    def save(self, unit: str, number: int) -> None:
        """Write ``checkpoint-{unit}-{number}.ckpt`` and its variants, and let ``latest.ckpt`` point to it."""
        config, unet, accelerator = self.config, self.pipeline.unet, self.accelerator
        folder = config.folder / output.CHECKPOINTS
        counts = {"epoch": self.epoch, "global_step": self.global_step}
        content: dict[str, Any] = {
            **counts,
            "state_dict": checkpoints.model_state(unet, everything=config.save_full_model),
            "optimizer": checkpoints.optimizer_state(self.optimizer.optimizer),
            "lr_scheduler": self.lr_scheduler.state_dict(),
        }
        if unit == "step":
            content["data"] = self.loader.state_dict()
        if accelerator.scaler is not None:
            content["grad_scaler"] = accelerator.scaler.state_dict()
        variants: dict[str, dict[str, torch.Tensor]] = {}
        if config.lora:
            variants["merged"] = self._usable_state()
        if self.average is not None:
            content["ema"] = self.average.state_dict()
            with self.average.applied():
                variants["ema"] = self._usable_state()
        if accelerator.is_main_process:
            for variant, state in variants.items():
                path = folder / checkpoints.checkpoint_name(unit, number, variant)
                checkpoints.write(path, {**counts, "state_dict": state})
            path = folder / checkpoints.checkpoint_name(unit, number)
            checkpoints.write(path, content)
            checkpoints.point_latest(path)
            checkpoints.prune(folder, config.keep_checkpoints)
        self._saved_step = self.global_step
        accelerator.wait_for_everyone()

    def _usable_state(self) -> dict[str, torch.Tensor]:
        """Weights that inference loads, whatever learns."""
        if self.config.lora:
            state = merged_motion_state_dict(self.pipeline.unet)
            return {name: checkpoints.full(value) for name, value in state.items()}
        return checkpoints.model_state(self.pipeline.unet)

    def validate(self, name: str) -> None:
        """Make the validation videos in ``samples/name/``, with the averaged weights where there are any."""
        folder = self.config.folder / output.SAMPLES / name
        with self.average.applied() if self.average is not None else nullcontext():
            output.make_samples(self.pipeline, self.requests, folder, self.accelerator)
        self.accelerator.wait_for_everyone()

    # -- stopping and continuing -------------------------------------------------------------------------------------

    def _resume(self) -> None:
        path = self._checkpoint_to_continue()
        if path is None:
            return
        content = checkpoints.read(path)
        checkpoints.load_model_state(self.pipeline.unet, content["state_dict"], path)
        checkpoints.load_optimizer_state(self.optimizer.optimizer, content["optimizer"], path)
        self.lr_scheduler.load_state_dict(content["lr_scheduler"])
        self.epoch, self.global_step = int(content["epoch"]), int(content["global_step"])
        self._saved_step = self.global_step
        if "data" in content:
            self.loader.load_state_dict(content["data"])
        if self.average is not None and "ema" in content:
            self.average.load_state_dict(content["ema"])
        if self.accelerator.scaler is not None and "grad_scaler" in content:
            self.accelerator.scaler.load_state_dict(content["grad_scaler"])
        if self.accelerator.is_main_process:
            logger.warning("continuing after step %d (%s)", self.global_step, path)

    def _checkpoint_to_continue(self) -> Path | None:
        wanted = self.config.resume_from_checkpoint
        if not wanted:
            return None
        if wanted is True or wanted in ("latest", "true", "True"):
            return checkpoints.find_latest(self.config.folder / output.CHECKPOINTS)
        return existing_file(wanted, "checkpoint")


def _empty(folder: Path) -> None:
    """Remove what a folder holds, but for the lock of this run."""
    for item in folder.iterdir():
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        elif item.name != LOCK:
            item.unlink()


def _decayed(factor: Callable[[int], float], total: int, length: int) -> Callable[[int], float]:
    """A schedule that falls to zero over the last ``length`` of ``total`` steps."""
    return lambda step: factor(step) * min(1.0, max(total - step, 0) / length)


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Devices, processes and precision; on a machine without GPU the CPU, also with several processes."""
    on_cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    return Accelerator(
        cpu=on_cpu,
        mixed_precision=choose_precision(config.mixed_precision_training),
        log_with=output.make_trackers(config) or None,
        step_scheduler_with_optimizer=False,
        # The buffers are tables that never change.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)],
    )


def choose_precision(wanted: bool | str) -> str:
    """The precision of accelerate for ``mixed_precision_training``.

    Raises:
        InputError: float16 without a GPU.
    """
    cuda = torch.cuda.is_available()
    if wanted is True:
        said = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        if said != "no":
            wanted = said
        else:
            wanted = "no" if not cuda else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if wanted == "fp16" and not cuda:
        raise InputError("`mixed_precision_training` is fp16, which needs a GPU; use bf16 or no.")
    return wanted or "no"


def _check_sharding(accelerator: Accelerator, config: TrainingConfig) -> None:
    plugin = accelerator.state.fsdp_plugin
    if plugin is not None and plugin.fsdp_version != 2:
        raise InputError(
            "Sharded training needs `fsdp_version: 2` in the accelerate config, see configs/training/fsdp.yaml."
        )
    if config.lora:
        raise InputError("Low-rank updates are small enough for plain data parallel training: use `lora` without FSDP.")
