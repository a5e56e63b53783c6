"""Gaussian steps 1 to 4 of one object, resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from animate3d.errors import InputError
from animate3d.evaluation.testset import VIEWS, TestObject
from animate3d.files import existing_folder
from animate3d.frames import count_frames
from animate3d.runs.steps import Steps

CONFIGS = "custom/threestudio-animate3d/configs"
STEPS = ("recon", "recon_vis", "refine", "testset")
"""Names of the steps, for `overrides`."""
RELEASED_WEIGHTS = Path("pretrained_models/animate3d_motion_modules.ckpt")
_SAVE_EVERY = 50  # steps; what an interruption costs at most


@dataclass(frozen=True)
class StepOptions:
    """How the steps are run.

    Attributes:
        results: gets ``recon``, ``recon_vis``, ``refine`` and ``{stage}_testset``.
        refine: run step 3; otherwise step 4 shows the reconstruction.
        weights: folder of the video model; None for the released parts.
        recon_steps, refine_steps: training steps.
        gpu: CUDA device.
        overrides: ``key=value`` for every step, or ``step:key=value`` with a name of `STEPS`.
    """

    results: Path
    refine: bool = True
    weights: Path | None = None
    recon_steps: int = 800
    refine_steps: int = 200
    gpu: str = "0"
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for item in self.overrides:
            step = _addressed(item)
            if "=" not in item or (step is not None and step not in STEPS):
                raise InputError(
                    f"The override `{item}` is not key=value or step:key=value (steps: {', '.join(STEPS)})."
                )
        if min(self.recon_steps, self.refine_steps) < 1:
            raise InputError("Training needs at least 1 step.")

    @property
    def stage(self) -> str:
        """The last one that is trained."""
        return "refine" if self.refine else "recon"

    def for_step(self, name: str) -> list[str]:
        """Overrides of one step, the general ones first."""
        general = [item for item in self.overrides if _addressed(item) is None]
        own = [item.partition(":")[2] for item in self.overrides if _addressed(item) == name]
        return general + own


def _addressed(override: str) -> str | None:
    step, colon, _ = override.partition("=")[0].partition(":")
    return step if colon else None


class ObjectRun:
    """The documented commands for one object; what is done and has not changed is skipped.

    The record is ``{results}/steps/<name>/run.json``.
    """

    def __init__(self, item: TestObject, options: StepOptions, announce: Callable[[str], None]) -> None:
        self.item, self.options = item, options
        self.steps = Steps(options.results / "steps" / item.name, announce)

    def run(self) -> None:
        """All steps.

        Raises:
            InputError: an input is missing or unusable. KeyboardInterrupt: stopped; what was trained is saved.
        """
        frames = count_frames(existing_folder(self.item.videos, "folder of given videos"), VIEWS)
        self.steps.describe(object=self.item.name, prompt=self.item.prompt)
        self._frames = [
            f"data.total_frame={frames}",
            f"system.n_frame={frames}",
            f"data.random_camera.total_frame={frames}",
            f"data.random_camera.batch_size={VIEWS * frames}",
        ]
        checkpoint = self._train("recon", "motion_recon_frame_16", self.item.videos, self.options.recon_steps, [])
        if self.options.refine:
            targets = self._show("recon_vis", "visualize_four_view_frame_16", "recon_vis", checkpoint)
            model = [f"system.weights={checkpoint}", *self._video_model()]
            checkpoint = self._train(
                "refine", "refine_frame_16", targets, self.options.refine_steps, model, after=checkpoint
            )
        stage = self.options.stage
        self._show("testset", "visualize_testset_frame_16", f"{stage}_testset", checkpoint)

    def _video_model(self) -> list[str]:
        if self.options.weights is None:
            return []
        sections = ("guidance", "prompt_processor")
        return [f"system.{part}.pretrained_model_name_or_path={self.options.weights}" for part in sections]

    def _common(self, name: str) -> list[str]:
        return [
            f"name={name}",
            f"tag={self.item.name}",
            f"exp_root_dir={self.options.results}",
            f"system.prompt_processor.prompt={self.item.prompt or self.item.name.replace('_', ' ')}",
            f"system.geometry.geometry_convert_from={self.item.model}",
            *self._frames,
        ]

    def _train(
        self, name: str, config: str, images: Path, count: int, more: Sequence[str], *, after: Path | None = None
    ) -> Path:
        checkpoints = self.options.results / name / self.item.name / "ckpts"
        done, last = checkpoints / f"epoch=0-step={count}.ckpt", checkpoints / "last.ckpt"
        keys = [
            *self._common(name),
            f"data.image_root={images}",
            f"trainer.max_steps={count}",
            "trainer.limit_val_batches=0",  # turntables to look at, which cost more than the training
            f"checkpoint.every_n_train_steps={_SAVE_EVERY}",
            "checkpoint.save_top_k=1",
            *more,
            *self.options.for_step(name),
        ]

        def action(resuming: bool) -> None:
            if resuming and last.is_file():
                self._launch(config, [*keys, f"resume={last}"], "train")
                return
            last.unlink(missing_ok=True)  # of an earlier run; it must not be continued after an interruption
            self._launch(config, keys, "train")

        inputs: dict[str, Path | str] = {"model": self.item.model, "images": images}
        if after is not None:
            inputs["start"] = after
        self.steps.run(name, action, inputs=inputs, settings={"config": config, "keys": keys}, outputs=(done,))
        return done

    def _show(self, step: str, config: str, name: str, checkpoint: Path) -> Path:
        images = self.options.results / name / self.item.name / "save" / "images"
        keys = [*self._common(name), f"resume={checkpoint}", *self.options.for_step(step)]
        self.steps.run(
            step,
            lambda resuming: self._launch(config, keys, "test"),
            inputs={"checkpoint": checkpoint},
            settings={"config": config, "keys": keys},
            outputs=(images,),
        )
        return images

    def _launch(self, config: str, keys: Sequence[str], mode: str) -> None:
        from animate3d.studio.launch import launch

        launch(f"{CONFIGS}/{config}.yaml", keys, mode, gpu=self.options.gpu)
