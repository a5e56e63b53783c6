"""Gaussian steps 1 to 4 of an object of a test set, in the folders of the documented commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animate3d.errors import InputError
from animate3d.evaluation.testset import TestObject
from animate3d.export.gaussian_motion import render_testset
from animate3d.meshes import Placement
from animate3d.runs.base import check_options
from animate3d.runs.fit import Training
from animate3d.runs.gaussians import GaussianRun
from animate3d.runs.options import GaussianOptions
from animate3d.runs.overrides import REFINE, settings_of
from animate3d.runs.videos import VideoOptions

RELEASED_WEIGHTS = Path("pretrained_models/animate3d_motion_modules.ckpt")
_SAVED = ("checkpoint.every_n_train_steps=50", "checkpoint.save_top_k=1")  # 50 steps are what an interruption costs


@dataclass(frozen=True)
class StepOptions:
    """How the steps are run.

    Attributes:
        results: gets ``recon``, ``recon_vis``, ``refine`` and ``{stage}_testset``.
        refine: run step 3; otherwise step 4 shows the reconstruction.
        weights: folder of the video model; None for the released parts.
        recon_steps, refine_steps: training steps.
        gpu: CUDA device.
        overrides: ``key=value`` for the reconstruction, ``refine:key=value`` for the refinement.
        render_size, target_size: pixels of the test views, and of the renders that refinement starts from.
    """

    results: Path
    refine: bool = True
    weights: Path | None = None
    recon_steps: int = 800
    refine_steps: int = 200
    gpu: str = "0"
    overrides: tuple[str, ...] = ()
    render_size: int = 1024
    target_size: int = 1024

    def __post_init__(self) -> None:
        settings_of(REFINE, self.overrides)
        if min(self.recon_steps, self.refine_steps) < 1:
            raise InputError("Training needs at least 1 step.")

    @property
    def stage(self) -> Literal["recon", "refine"]:
        """The last stage that is trained."""
        return "refine" if self.refine else "recon"

    def of(self, item: TestObject) -> GaussianOptions:
        """The run of one object, whose model stands before the cameras as it is."""
        video = None
        if self.refine:
            checkpoint = RELEASED_WEIGHTS if self.weights is None else None
            video = VideoOptions(item.prompt or item.name.replace("_", " "), self.weights, checkpoint)
        return GaussianOptions(
            item.model,
            item.videos,
            self.results,
            placement=Placement.identity(),
            gpu=self.gpu,
            video=video,
            overrides=self.overrides,
            refine=self.refine,
            render_size=self.render_size,
            target_size=self.target_size,
        )


class ObjectRun(GaussianRun):
    """The documented steps of one object; its record is ``{results}/steps/<name>/run.json``."""

    def __init__(self, item: TestObject, options: StepOptions, announce: Callable[[str], None]) -> None:
        self.item, self.chosen = item, options
        asked = options.of(item)
        check_options(asked)
        super().__init__(asked, announce)

    @property
    def record_folder(self) -> Path:
        return self.options.out / "steps" / self.item.name

    def training(self, name: str) -> Training:
        steps = self.chosen.refine_steps if name == "refine" else self.chosen.recon_steps
        return Training(self.options.out, name, 0, self.options.gpu, tag=self.item.name, steps=steps, keys=_SAVED)

    @property
    def targets(self) -> Path:
        return self._images("recon_vis")

    def run(self) -> None:
        """All steps.

        Raises:
            InputError: an input is missing or unusable. KeyboardInterrupt: stopped; what was trained is saved.
        """
        with self.at_work():
            self.convert()
            checkpoint = self.fit(None)
            if self.options.refine:
                checkpoint = self.refine(checkpoint)
            views, size = self._images(f"{self.chosen.stage}_testset"), self.options.render_size
            self.steps.run(
                "7 test views",
                lambda: render_testset(self.motion(checkpoint, view_dependent=False), views, size=size),
                inputs={"checkpoint": checkpoint},
                settings={"size": size},
                outputs=[views],
            )

    def _images(self, name: str) -> Path:
        return self.options.out / name / self.item.name / "save" / "images"
