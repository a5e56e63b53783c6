"""Objects of a test set, as it is published, and their results, as the documented steps leave them.

TESTSET/pretrained_gaussian/<name>.ply
TESTSET/tracking_rgba_images/<name>/{v*F+f}.png
TESTSET/prompts.json                              {name: prompt}; of our own
RESULTS/{recon,refine}/<name>/ckpts/epoch=0-step=<n>.ckpt
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from animate3d.errors import InputError
from animate3d.files import existing_file, existing_folder, read_json

STAGES = ("recon", "refine")
VIEWS = 4
"""Number of videos of every object."""
MODELS, VIDEOS, PROMPTS = "pretrained_gaussian", "tracking_rgba_images", "prompts.json"


@dataclass(frozen=True)
class TestObject:
    """An object of a test set: its static Gaussians, the folder of its given videos, what happens if that is known."""

    __test__ = False

    name: str
    model: Path
    videos: Path
    prompt: str | None = None


def read_testset(folder: Path, chosen: Sequence[str] = ()) -> list[TestObject]:
    """The objects of a folder by name, or those that were chosen.

    Raises:
        InputError: another layout, an unknown name, or a prompts file that is none.
    """
    models = existing_folder(folder / MODELS, "folder of the test set's models")
    names = sorted(path.stem for path in models.glob("*.ply"))
    if not names:
        raise InputError(f"{models} holds no ply file.")
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise InputError(f"The test set has no object `{unknown[0]}`; it has {', '.join(names)}.")
    prompts = _prompts(folder / PROMPTS)
    return [
        TestObject(name, models / f"{name}.ply", folder / VIDEOS / name, prompts.get(name))
        for name in (dict.fromkeys(chosen) or names)
    ]


def _prompts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    value = read_json(path)
    if not isinstance(value, dict) or not all(isinstance(prompt, str) and prompt.strip() for prompt in value.values()):
        raise InputError(f"{path} must hold one prompt by the name of each object: {{name: prompt}}.")
    return value


@dataclass(frozen=True)
class Checkpoint:
    """The result of a stage's training.

    Attributes:
        path: the file of the latest step.
        step: how far it was trained; None for a file whose name does not say.
        config: what it was trained with, if that is there.
    """

    path: Path
    step: int | None
    config: Path | None

    @classmethod
    def at(cls, path: Path) -> Checkpoint:
        """A checkpoint file in a run's folder (``ckpts/`` next to ``configs/``)."""
        path = existing_file(path, "checkpoint")
        config = path.parent.parent / "configs" / "parsed.yaml"
        return cls(path, _step(path), config if config.is_file() else None)


def find_checkpoint(results: Path, stage: str, name: str) -> Checkpoint:
    """The checkpoint of the latest step of a stage.

    Raises:
        InputError: there is none.
    """
    folder = results / stage / name / "ckpts"
    steps = {path: step for path in folder.glob("*.ckpt") if (step := _step(path)) is not None}
    if steps:
        return Checkpoint.at(max(steps, key=lambda path: steps[path]))
    if (folder / "last.ckpt").is_file():
        return Checkpoint.at(folder / "last.ckpt")
    raise InputError(f"{folder} holds no checkpoint; run the documented step that makes it first.")


def _step(path: Path) -> int | None:
    match = re.search(r"step=(\d+)", path.name)
    return int(match[1]) if match else None
