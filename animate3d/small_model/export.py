"""The finished model as a folder: averaged weights, half precision, and its card."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from animate3d.errors import InputError
from animate3d.files import atomic_directory, existing_folder, read_json
from animate3d.mvvdm.convert import load_converted
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training import checkpoints
from animate3d.mvvdm.weights import load_checked
from animate3d.small_model.card import model_card
from animate3d.small_model.clips import read_clips
from animate3d.small_model.models import add_origin_head
from animate3d.small_model.world import world_of

ORIGINS, ORIGINS_LOG = "origins.ckpt", "origins.jsonl"
"""Files of `animate3d.small_model.origins` in the folder of a training."""
MOST_BYTES = 25 * 2**20
WORLD_CLIPS = 900  # a third as many creatures


def trained_pipeline(
    out: str | os.PathLike[str], *, averaged: bool = True, origins: bool = True
) -> tuple[MultiViewVideoPipeline, int]:
    """The model of a training that is done or under way, in float32, and the steps its UNet has behind it.

    Args:
        out: folder of `animate3d.small_model.train`.
        averaged: the moving average of the weights instead of those of the last step.
        origins: with the head for origins, if its training has begun; the steps are those before it.

    Raises:
        InputError: there is no checkpoint yet.
    """
    out = existing_folder(out, "training of the bundled model")
    pipeline = load_converted(out / "start")
    latest = checkpoints.find_latest(out / "run" / "checkpoints")
    if latest is None:
        raise InputError(f"The training in {out} has no checkpoint yet.")
    content = checkpoints.read(latest)
    steps = int(content["global_step"])
    if origins and (found := read_origins(out, steps)) is not None:
        latest, content = out / ORIGINS, found
        pipeline.register_modules(unet=add_origin_head(pipeline.unet, pipeline.vae_scale_factor))
    state = {**content["state_dict"], **(content.get("ema", {}) if averaged else {})}
    load_checked(pipeline.unet, state, set(), latest)
    if (out / "refiner").is_dir():
        pipeline.register_modules(vae=PatchAutoencoder.from_pretrained(out / "refiner"))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.eval()
    return pipeline, steps


def read_origins(out: Path, unet_steps: int) -> dict[str, Any] | None:
    """The checkpoint of the origins' training, which went on from the UNet after ``unet_steps``; None before it began.

    Raises:
        InputError: it went on from another step, and would silently replace what the UNet has learned since.
    """
    path = out / ORIGINS
    if not path.is_file():
        return None
    content = checkpoints.read(path)
    began = content.get("unet_steps")
    if began != unet_steps:
        raise InputError(
            f"{path} belongs to the UNet after step {began}, not to that after step {unet_steps}; remove it and "
            f"{out / ORIGINS_LOG} to train the origins again."
        )
    return content


def export(out: Path, folder: Path, data: Path) -> None:
    """Write the model that the package ships.

    Args:
        out: folder of `animate3d.small_model.train`.
        folder: replaced when it is there.
        data: the data set it was trained on, for the card.

    Raises:
        InputError: there is no checkpoint yet, or the files are larger than a package should be.
    """
    pipeline, steps = trained_pipeline(out)
    clips = read_clips(data / "clips.json", WORLD_CLIPS, 0) if (data / "clips.json").is_file() else None
    for model in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.image_encoder):
        torch.nn.Module.to(model, dtype=torch.float16)
    facts = collect_facts(out, data, steps)
    facts["parameters"] = {
        name: sum(value.numel() for value in getattr(pipeline, name).parameters())
        for name in ("unet", "vae", "text_encoder", "image_encoder")
    }
    with atomic_directory(folder) as temporary:
        pipeline.save_pretrained(temporary)
        if clips is not None:
            world_of(clips).save(temporary)
        (temporary / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        (temporary / "model_card.md").write_text(model_card(facts))
        size = sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file())
        if size > MOST_BYTES:
            raise InputError(f"The model has {size / 2**20:.1f} MB; the package takes {MOST_BYTES // 2**20}.")


def collect_facts(out: Path, data: Path, steps: int) -> dict[str, Any]:
    """What is known about a training."""
    lines = [line for line in _log(out / "run" / "losses.jsonl") if line["step"] <= steps]
    every = max(1, steps // 20)
    parts = {
        min(start + every, steps): [line for line in lines if start < line["step"] <= start + every]
        for start in range(0, steps, every)
    }
    losses = {
        str(step): {
            "loss": round(_mean(part, "loss"), 4),
            "learning_rate": round(part[-1]["lr"], 6),
        }
        for step, part in parts.items()
        if part
    }
    facts: dict[str, Any] = {
        "steps": steps,
        "hours": _hours(lines, steps),
        "losses": losses,
    }
    if (content := read_origins(out, steps)) is not None:
        done = int(content["global_step"])
        log = [line for line in _log(out / ORIGINS_LOG) if line["step"] <= done]
        facts["origins"] = {"steps": done}
        if log:
            facts["origins"] |= {
                "hours": _hours(log, done),
                "denoising loss": round(_mean(log[-100:], "loss"), 3),
                "pixels off": round(_mean(log[-100:], "pixels"), 2),
            }
    for name in ("start", "refiner"):
        if (out / f"{name}.json").is_file():
            facts[name] = read_json(out / f"{name}.json")
    if (out / "evaluation" / "evaluation.json").is_file():
        facts["evaluation"] = read_json(out / "evaluation" / "evaluation.json").get("summary", {})
    if (data / "synthesis.json").is_file():
        facts["data"] = read_json(data / "synthesis.json")
    return facts


def _hours(log: list[dict[str, Any]], steps: int) -> float:
    """What all steps took, by the mean of those that are in the log."""
    return round(_mean(log, "seconds") * steps / 3600, 2) if log else 0.0


def _mean(log: list[dict[str, Any]], key: str) -> float:
    return sum(line[key] for line in log) / len(log)


def _log(path: Path) -> list[dict[str, Any]]:
    """Lines of a training's log; of steps that were done twice, because a training went on from an older checkpoint,
    the later ones."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line] if path.is_file() else []
    return sorted({line["step"]: line for line in lines}.values(), key=lambda line: line["step"])
