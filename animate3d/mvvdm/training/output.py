"""What a training writes beside its checkpoints: config, losses, trackers, the first clips, validation videos."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker
from omegaconf import OmegaConf
from torch import Tensor

from animate3d.errors import InputError, available
from animate3d.files import atomic_file
from animate3d.frames import save_gif, side_by_side
from animate3d.mvvdm.inference import FPS, VideoRequest, find_images, make_videos, result_name
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.sampler import SamplerSettings
from animate3d.mvvdm.training.config import TrainingConfig
from animate3d.mvvdm.training.encode import to_uint8

logger = logging.getLogger(__name__)

CHECKPOINTS, SAMPLES, FIRST_CLIPS, TENSORBOARD = "checkpoints", "samples", "sanity_check", "tf"
LOSSES = "losses.jsonl"


def write_config(config: TrainingConfig) -> None:
    """Write ``config.yaml``, from which the same run can be made again."""
    with atomic_file(config.folder / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(asdict(config))))


def make_trackers(config: TrainingConfig) -> list[GeneralTracker]:
    """The trackers of ``report_to`` that are installed."""
    trackers: list[GeneralTracker] = []
    for name in config.report_to:
        if not available(name):
            logger.warning("%s is not installed; the losses are in %s", name, config.folder / LOSSES)
        elif name == "tensorboard":
            trackers.append(TensorBoardTracker(TENSORBOARD, config.folder))
        else:
            trackers.append(WandBTracker("animate3d", name=config.name, dir=str(config.folder), config=asdict(config)))
    return trackers


class LossLog:
    """``losses.jsonl``: one line per step. A continued run drops the lines after the ``step`` steps that are done."""

    def __init__(self, path: Path, step: int) -> None:
        lines = path.read_text().splitlines() if path.is_file() else []
        with atomic_file(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines if _step_of(line) <= step))
        self.path = path

    def write(self, values: Mapping[str, Any]) -> None:
        """Append a line; it is in the file at once."""
        with self.path.open("a") as file:
            file.write(json.dumps(values) + "\n")


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # cut off by a crash
        return float("inf")


def save_first_clips(folder: Path, clips: Tensor, texts: list[str], process: int) -> None:
    """Write what the training sees as GIFs, the views side by side: ``{process}-{sample}-{caption}.gif``."""
    for index, (clip, text) in enumerate(zip(clips, texts, strict=True)):
        frames = to_uint8(clip).permute(0, 1, 3, 4, 2).cpu().numpy()  # [V, F, H, W, 3]
        save_gif(folder / f"{process}-{result_name(index, text)}.gif", side_by_side(frames), FPS)


def validation_requests(config: TrainingConfig) -> list[VideoRequest]:
    """The validation videos of the config.

    Raises:
        InputError: a condition image is missing.
    """
    if not config.validates():
        return []
    data, size = config.validation_data, int(config.train_data.get("sample_size", 256))
    if not Path(data.image_root).is_dir():
        raise InputError(
            f"`validation_data.image_root` is {data.image_root or 'empty'}, and there is no such folder of condition "
            f"images: give one that holds {data.images[0]}_0.png and so on, or train without validation videos "
            "(validation_data.prompts=[] validation_data.images=[])."
        )
    return [
        VideoRequest(
            images=find_images(data.image_root, image, config.num_views),
            prompt=prompt,
            sampler=SamplerSettings(
                steps=data.num_inference_steps,
                guidance_scale=data.guidance_scale,
                freeinit_num_iters=0,
                size=size,
                frames=config.video_length,
                seed=config.global_seed + index,
            ),
        )
        for index, (prompt, image) in enumerate(zip(data.prompts, data.images, strict=True))
    ]


def make_samples(
    pipeline: MultiViewVideoPipeline, requests: list[VideoRequest], folder: Path, accelerator: Accelerator
) -> None:
    """Make the validation videos, shared out over the processes: ``{k}-{first ten words}.gif``."""
    pipeline.unet.eval()
    states = torch.random.get_rng_state()
    # Sharded models run on all processes together, so each makes equally many; the surplus is not written.
    rounds = -(-len(requests) // accelerator.num_processes)
    for turn in range(rounds):
        index = turn * accelerator.num_processes + accelerator.process_index
        with torch.no_grad(), accelerator.autocast():
            frames: np.ndarray = make_videos(pipeline, requests[index % len(requests)])
        if index < len(requests):
            save_gif(folder / f"{result_name(index, requests[index].prompt)}.gif", side_by_side(frames), FPS)
    torch.random.set_rng_state(states)
    pipeline.unet.train()
