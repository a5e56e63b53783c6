"""The steps that train a field: the only ones that start the host, with a config and ``key=value``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from animate3d.files import existing_folder
from animate3d.resources import find_resource
from animate3d.runs.steps import Steps

_YAML_KEYS = ("placement", "initial_motion")  # the host reads other paths as plain text


@dataclass(frozen=True)
class Training:
    """Where a field is trained: ``{root}/{name}/{tag}``.

    Attributes:
        steps: 0 for the config's own number; else the checkpoint of that step is the result.
        keys: further ``key=value`` of every training.
    """

    root: Path
    name: str
    seed: int
    gpu: str
    tag: str = "object"
    steps: int = 0
    keys: tuple[str, ...] = ()

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.root / self.name / self.tag / "ckpts"

    @property
    def result(self) -> Path:
        """The checkpoint of the last step."""
        return self.checkpoints / (f"epoch=0-step={self.steps}.ckpt" if self.steps else "last.ckpt")

    def run(
        self,
        record: Steps,
        step: str,
        config: str,
        keys: Sequence[str],
        *,
        inputs: Mapping[str, Path | str],
        settings: Mapping[str, Any],
    ) -> Path:
        """A step that trains; an interrupted one goes on from its checkpoint.

        Args:
            record, step: where the step is recorded, and its name there.
            config, keys: what is launched.
            inputs, settings: as well as the config and the seed, what decides whether the step is up to date.

        Returns:
            `result`
        """
        last = self.checkpoints / "last.ckpt"
        keys = [
            *(f"name={self.name}", f"tag={self.tag}", path_setting("exp_root_dir", self.root), f"seed={self.seed}"),
            "system.prompt_processor.prompt=animate",
            *([f"trainer.max_steps={self.steps}"] if self.steps else []),
            "trainer.limit_val_batches=0",  # turntables to look at, which cost more than the training
            *self.keys,
            *keys,
        ]

        def start() -> None:
            shutil.rmtree(self.checkpoints, ignore_errors=True)  # of other inputs, or incomplete
            self.launch(config, keys)

        def go_on() -> None:
            if last.is_file():
                self.launch(config, [*keys, path_setting("resume", last)])
            else:
                start()

        record.run(
            step,
            start,
            resume=go_on,
            inputs={**inputs, "config": find_resource(config)},
            settings={**settings, "seed": self.seed, "steps": self.steps},
            outputs=[self.result],
        )
        return self.result

    def launch(self, config: str, keys: Sequence[str]) -> None:
        """Train in this process."""
        from animate3d.studio.launch import launch  # Lightning takes seconds to import: only when a step runs

        launch(config, keys, "train", gpu=self.gpu)


def path_setting(key: str, path: Path) -> str:
    """``key=path`` for a path of any characters: OmegaConf would interpolate ``${…}``, YAML read ``: `` and `` #``."""
    text = str(path).replace("${", "\\${")
    quoted = key.rsplit(".", 1)[-1] in _YAML_KEYS
    return f"{key}={json.dumps(text, ensure_ascii=False) if quoted else text}"


def frame_settings(folder: Path, shape: Sequence[int], size: int, azimuths: Sequence[float]) -> list[str]:
    """The frames ``[V, F, …]`` of a folder at ``size`` pixels, and the cameras that see them."""
    views, count = shape[:2]
    frame_keys = ("data.total_frame", "system.n_frame", "data.random_camera.total_frame")
    view_keys = ("data.n_view", "system.n_view", "data.random_camera.n_view")
    return [
        path_setting("data.image_root", folder),
        f"data.width={size}",
        f"data.height={size}",
        *(f"{key}={count}" for key in frame_keys),
        *(f"{key}={views}" for key in view_keys),
        f"data.default_azimuth_deg={list(azimuths)}",
    ]


def rigidity_settings(config: str, rigidity: float) -> list[str]:
    """The weight of rigidity, when it is not the config's own."""
    if rigidity == 1.0:
        return []
    weight = OmegaConf.load(find_resource(config)).system.loss.lambda_arap
    return [f"system.loss.lambda_arap={rigidity * weight:g}"]


def video_model_settings(weights: Path | None, checkpoint: Path | None) -> list[str]:
    """The video model of a refinement; None for what the config names."""
    settings = []
    if weights is not None:
        path = existing_folder(weights, "folder of weights")
        parts = ("guidance", "prompt_processor")
        settings += [path_setting(f"system.{part}.pretrained_model_name_or_path", path) for part in parts]
    if checkpoint is not None:
        settings.append(path_setting("system.guidance.pretrained_unet_path", checkpoint))
    return settings
