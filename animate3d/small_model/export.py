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
from animate3d.small_model.card import model_card
from animate3d.small_model.joint import AVERAGES, LEARNED, LOG, load_average

START, REFINER = "start", "refiner"
START_FACTS, REFINER_FACTS = "start.json", "refiner.json"
MOST_BYTES = 40 * 2**20


def trained_pipeline(out: str | os.PathLike[str]) -> MultiViewVideoPipeline:
    """The model in a folder of `train`, done or under way, with averaged weights in float32.

    Raises:
        InputError: the training has no weights yet.
    """
    out = existing_folder(out, "training of the bundled model")
    pipeline = load_converted(out / START)
    load_average(pipeline, out / AVERAGES)
    if (out / REFINER).is_dir():
        pipeline.register_modules(vae=PatchAutoencoder.from_pretrained(out / REFINER))
    pipeline.set_progress_bar_config(disable=True)
    for name in LEARNED:
        getattr(pipeline, name).eval()
    return pipeline


def export(out: Path, folder: Path) -> None:
    """Write the model that the package ships from the folder of its training; what is there is replaced.

    Raises:
        InputError: the training has no weights yet, or the files are larger than a package should be.
    """
    pipeline = trained_pipeline(out)
    for model in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.image_encoder):
        torch.nn.Module.to(model, dtype=torch.float16)
    facts = collect_facts(out)
    facts["parameters"] = {
        name: sum(value.numel() for value in getattr(pipeline, name).parameters())
        for name in ("unet", "vae", "text_encoder", "image_encoder")
    }
    with atomic_directory(folder) as temporary:
        pipeline.save_pretrained(temporary)
        (temporary / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        (temporary / "model_card.md").write_text(model_card(facts))
        size = sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file())
        if size > MOST_BYTES:
            raise InputError(f"The model has {size / 2**20:.1f} MB; the package takes {MOST_BYTES // 2**20}.")


def collect_facts(out: Path) -> dict[str, Any]:
    """The facts of a training for the model card."""
    lines = _log(out / AVERAGES / LOG)
    every = max(1, len(lines) // 20)
    parts = [lines[start : start + every] for start in range(0, len(lines), every)]
    last = lines[-1]
    facts: dict[str, Any] = {
        "steps": last["step"],
        "minutes": round(last["seconds"] / 60, 1),
        "clips": last["clips"],
        "visits": last["seen"],
        "losses": {
            str(part[-1]["step"]): {
                **{name: round(_mean(part, name), 4) for name in ("loss", "pixels")},
                "learning_rate": round(part[-1]["lr"], 6),
            }
            for part in parts
        },
    }
    for name in (START_FACTS, REFINER_FACTS):
        if (out / name).is_file():
            facts[Path(name).stem] = read_json(out / name)
    if (out / "evaluation" / "evaluation.json").is_file():
        facts["evaluation"] = read_json(out / "evaluation" / "evaluation.json").get("summary", {})
    return facts


def _mean(log: list[dict[str, Any]], key: str) -> float:
    return sum(line[key] for line in log) / len(log)


def _log(path: Path) -> list[dict[str, Any]]:
    """Lines of a training's log; of steps that were done twice, because a training went on from an older checkpoint,
    the later ones."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line] if path.is_file() else []
    return sorted({line["step"]: line for line in lines}.values(), key=lambda line: line["step"])
