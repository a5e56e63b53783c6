"""What the runs of `animate3d animate` share, whether a mesh or a Gaussian model is animated.

Each step is a documented command, run in this process, so every step can also be run, inspected or replaced by hand.
Results lie in the output folder; what the steps hand on lies in ``work/`` below it.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor
from tqdm import tqdm

from animate3d import alignment
from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.errors import InputError
from animate3d.files import content_hash, existing_file, existing_folder, stamp
from animate3d.frames import (
    composite,
    contact_sheet,
    count_frames,
    load_frames,
    load_images,
    numbered_images,
    save_image,
)
from animate3d.meshes import Mesh, Placement
from animate3d.motion.score import explained_motion
from animate3d.motion.template import Surface, Template
from animate3d.motion.tracking import TrackSettings, track
from animate3d.rasterize.textured import render_mesh
from animate3d.resources import find_resource
from animate3d.steps import Steps
from animate3d.videos import INFERENCE_CONFIG, VideoOptions, make_masks, make_videos

STATIC_CONFIG = "custom/threestudio-animate3d/configs/visualize_four_view_static.yaml"
VISUALIZE_CONFIG = "custom/threestudio-animate3d/configs/visualize_four_view_frame_16.yaml"
STATIC_VIEWS = 4  # of the static render: those of the generated videos
UNKNOWN_RIGIDITY = 2.0  # factor for what the bundled model does not know: its videos are wrong in more places


@dataclass(frozen=True)
class RunOptions:
    """What every run is asked for; the command's flags have the same names.

    Attributes:
        model: what moves.
        frames: folder of RGBA images ``{v*F+f}.png``; None makes videos from ``video``.
        out: where the results go.
        fps: frames per second of the results.
        placement: a placement file or a placement; None places automatically.
        views: number of synchronised videos in ``frames``.
        seed: of everything random.
        config: of the motion fit.
        overrides: ``key=value`` for the motion fit.
        gpu: index of the CUDA device, used when there is one.
        video: the prompt and how videos are made of it.
        rigidity: factor on the weights that hold the model's shape, in tracking and in the fit.
    """

    model: Path
    frames: Path | None
    out: Path
    _: KW_ONLY
    config: str
    fps: float = 8.0
    placement: Placement | Path | None = None
    views: int = 4
    seed: int = 0
    overrides: tuple[str, ...] = ()
    gpu: str = "0"
    video: VideoOptions | None = None
    rigidity: float = 1.0


class Run(ABC):
    """The inputs of a run, read and checked, and the steps that do not depend on what is animated.

    A subclass reads its model, then calls `begin`. Its first step has to write `model_file` and `placement_file`.
    """

    fit_size: int
    """Pixels at which the motion is fitted; smaller frames are taken as they are."""
    fit_name: str
    """Of the folder that the motion fit writes to."""
    called: str
    """The model in messages."""

    options: RunOptions
    placement: Placement

    def begin(self, announce: Callable[[str], None], **facts: Any) -> None:
        """Name the files, open the record and note ``facts`` about the inputs in it."""
        options = self.options
        self.work = options.out / "work"
        self.model_file, self.placement_file = self.work / "model.ply", self.work / "placement.json"
        self.static_images = self.work / "static_vis" / "object" / "save" / "images"
        self.checkpoint = self.work / self.fit_name / "object" / "ckpts" / "last.ckpt"
        self._stiffer = 1.0  # than the options say, once the model is found not to know the object or the motion
        self._tracked: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # by the hash of the frames
        self.steps = Steps(options.out, announce)
        self.steps.describe(
            **facts,
            frames=None if options.frames is None else str(options.frames),
            prompt=None if options.video is None else options.video.prompt,
            seed=options.seed,
            views=options.views,
        )

    # What is animated

    @abstractmethod
    def draw(self, cameras: Cameras) -> Tensor:
        """The placed model at rest ``[V, H, W, 4]``, RGBA 0..1."""

    @abstractmethod
    def surface(self) -> Surface:
        """What is tracked."""

    @abstractmethod
    def advise(self, masks: Tensor) -> alignment.Advice:
        """How to place the model so that it fits the masks ``[V, H, W]`` of frame 0."""

    # Inputs

    def placement_given(self) -> Placement | None:
        """What the options ask for, None for an automatic placement."""
        given = self.options.placement
        return given if given is None or isinstance(given, Placement) else Placement.load(given)

    def read_frames(self, folder: Path) -> None:
        """The RGBA frames that the motion is fitted to.

        Raises:
            InputError: not a folder of enough square images.
        """
        folder = existing_folder(folder, "folder of frames")
        views = self.options.views
        self.frames_folder = folder
        self.frames = load_frames(folder, views, count_frames(folder, views))
        self.frames_hash = content_hash(numbered_images(folder))
        height, width = self.frames.shape[2:4]
        if height != width:
            raise InputError(f"The frames in {folder} are {width}x{height} pixels; they must be square.")
        if self.frames.shape[1] < 2:
            raise InputError(f"{folder} holds one frame per view; a motion needs at least 2.")
        for v, covered in enumerate((self.frames[:, 0, ..., 3] > 0.5).flatten(1).float().mean(1).tolist()):
            if covered in (0.0, 1.0):
                fault = "is empty: every pixel" if covered == 0 else "shows no outline: no pixel"
                raise InputError(
                    f"Frame 0 of view {v} in {folder} {fault} is transparent. The alpha has to cut out the object; "
                    "make masks first (see the documentation)."
                )

    # Steps

    def render_static(self) -> None:
        """Step 2: the four views that the videos start from."""
        keys = [
            "name=static_vis",
            *self.trial_keys(),
            f"system.geometry.geometry_convert_from={self.model_file}",
            f"system.geometry.load_ply_cfg.placement={self.placement_file}",
        ]
        self.steps.run(
            "2 four-view render",
            lambda resuming: self._launch(STATIC_CONFIG, keys, "test"),
            inputs={"model": self.model_file, "placement": self.placement_file},
            outputs=[self.static_images],
        )

    def choose_frames(self) -> float | None:
        """Steps 3 and 4: videos from the prompt and their foreground masks; of several samples the best.

        Returns:
            the score of the sample that was taken (`animate3d.motion.score`); None when there was only one.
        """
        video = self.options.video
        assert video is not None  # `check_options`
        if video.bundled:
            self._say_what_is_unknown(video)
        score = None
        if video.samples == 1:
            self.read_frames(self._make_frames(video, self.work, "", self.options.seed))
        else:
            score = self._choose_sample(video)
        pictures = (composite(self.frames, 0.5) * 255).round().byte().numpy()
        save_image(self.options.out / "videos.png", contact_sheet(pictures))
        return score

    def _choose_sample(self, video: VideoOptions) -> float:
        """Take the frames of the best sample; returns its score."""
        folders, scores = [], []
        for number in range(video.samples):
            label, seed = f" (sample {number + 1})", self.options.seed + number
            folders.append(self._make_frames(video, self.work / "samples" / str(number), label, seed))
            self.read_frames(folders[-1])
            facts = self.steps.run(
                f"4 score{label}",
                lambda resuming: {"score": self.score()},
                inputs={"placement": self.placement_file, "frames": self.frames_hash},
                settings={"views": len(self.frames)},
            )
            scores.append(float(facts["score"]))
            self.steps.announce(f"sample {number + 1} of {video.samples}: score {scores[-1]:.2f}")
        chosen = int(np.argmax(scores))
        self.steps.announce(f"taken: sample {chosen + 1}")
        self.read_frames(folders[chosen])
        return scores[chosen]

    def _say_what_is_unknown(self, video: VideoOptions) -> None:
        from animate3d.mvvdm.bundled.world import notices  # diffusers takes seconds to import

        def action(resuming: bool) -> dict[str, Any]:
            images = [self.static_images / f"{v}.png" for v in range(STATIC_VIEWS)]
            return {"notices": notices(video.prompt, images, video.weights)}

        weights = None if video.weights is None else stamp(video.weights)
        facts = self.steps.run(
            "3 what the model knows",
            action,
            inputs={"static": self.static_images},
            settings={"prompt": video.prompt, "weights": weights},
        )
        for sentence in facts["notices"]:
            self.steps.announce(f"note: {sentence}")
        if facts["notices"]:
            self._stiffer = UNKNOWN_RIGIDITY

    def _make_frames(self, video: VideoOptions, folder: Path, label: str, seed: int) -> Path:
        """One sample: its RGBA frames."""
        images = tuple(self.static_images / f"{v}.png" for v in range(self.options.views))
        videos, frames = folder / "videos", folder / "frames"
        weights = {"weights": video.weights, "checkpoint": video.checkpoint}
        stamps = {key: None if path is None else stamp(path) for key, path in weights.items()}
        settings = {**asdict(video), **stamps, "seed": seed}
        del settings["samples"]

        def generate(resuming: bool) -> dict[str, Any]:
            return {"frames": str(make_videos(video, images, videos, seed, self.steps.announce))}

        inputs = {"static": self.static_images, "config": find_resource(INFERENCE_CONFIG)}
        facts = self.steps.run(f"3 videos{label}", generate, inputs=inputs, settings=settings, outputs=[videos])
        raw = Path(facts["frames"])

        def cut_out(resuming: bool) -> dict[str, Any]:
            warnings = make_masks(video, raw, self.static_images, frames, self.options.views)
            for sentence in warnings:
                self.steps.announce(f"warning: {sentence}")
            return {"warnings": warnings}

        self.steps.run(
            f"4 masks{label}",
            cut_out,
            inputs={"videos": raw, "static": self.static_images},
            settings={"backend": video.mask_backend},
            outputs=[frames],
        )
        return frames

    def score(self) -> float:
        """How much of the current frames' change a tracked surface of the model shows too."""
        surface = self.surface()
        positions, *_ = self.track_surface(surface)
        views, _, size = self.frames.shape[:3]
        mesh = Mesh.from_faces(surface.vertices, surface.triangles, vertex_colors=surface.colors)
        drawn = render_mesh(mesh, positions, reconstruction_cameras(views, size), shading=False)
        return explained_motion(self.frames, torch.from_numpy(drawn).float() / 255)

    def check_alignment(self) -> None:
        """Frame 0 of every view has to show the placed model: the given frames fix the placement."""
        first = self.frames[:, 0]
        views, size = first.shape[:2]
        model = self.draw(reconstruction_cameras(views, size))
        overlap = alignment.silhouette_iou(first[..., 3], model[..., 3])
        if views == STATIC_VIEWS:
            # Videos that were generated from the static render show its blobs, which are wider than a coarse mesh.
            static = load_images([self.static_images / f"{v}.png" for v in range(views)])
            blobs = alignment.silhouette_iou(first[..., 3], static[..., 3])
            overlap = [max(pair) for pair in zip(overlap, blobs, strict=True)]
        picture, better = self.options.out / "alignment.png", self.work / "suggested_placement.json"
        if min(overlap) >= alignment.MIN_ALIGNMENT:
            picture.unlink(missing_ok=True)
            return
        advice = self.advise(first[..., 3])
        text = advice.text
        if advice.placement is not None:
            advice.placement.save(better)
            text += f" --placement {better}"
        alignment.save_comparison(first, model, overlap, text, picture)
        worst = int(np.argmin(overlap))
        raise InputError(
            f"Frame 0 of view {worst} in {self.frames_folder} does not match the silhouette of the placed "
            f"{self.called} (IoU {overlap[worst]:.2f}, {alignment.MIN_ALIGNMENT} is needed; see {picture}). {text}"
        )

    def track_surface(self, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
        """Its vertices ``[F, N, 3]`` and their rotations ``[F, N, 3, 3]``, followed through the frames."""
        if self.frames_hash in self._tracked:  # to score a sample, before it was taken
            return self._tracked[self.frames_hash]
        views, count, size = self.frames.shape[:3]
        with tqdm(total=count - 1, desc="tracking", unit="frame") as bar:
            tracked = track(
                Template(*surface),
                self.frames.numpy(),
                reconstruction_cameras(views, size),
                TrackSettings().scaled(self.rigidity),
                progress=lambda frame: bar.update(1) and None,
            )
        self._tracked[self.frames_hash] = tracked[:2]
        return self._tracked[self.frames_hash]

    def train(
        self,
        step: str,
        config: str,
        name: str,
        keys: Sequence[str],
        *,
        inputs: Mapping[str, Path | str],
        settings: Mapping[str, Any],
    ) -> Path:
        """A step that trains; an interrupted one goes on from its checkpoint.

        Args:
            step: its name in the record.
            config, keys: what is launched.
            name: of the folder that is written to.
            inputs, settings: beside the config and the seed, what decides whether the step is up to date.

        Returns:
            the last checkpoint.
        """
        checkpoints = self.work / name / "object" / "ckpts"
        last = checkpoints / "last.ckpt"
        keys = [f"name={name}", *self.trial_keys(), *keys]

        def action(resuming: bool) -> None:
            if resuming and last.is_file():
                return self._launch(config, [*keys, f"resume={last}"], "train")
            shutil.rmtree(checkpoints, ignore_errors=True)  # of other inputs, or incomplete
            return self._launch(config, keys, "train")

        self.steps.run(
            step,
            action,
            inputs={**inputs, "config": find_resource(config)},
            settings={**settings, "seed": self.options.seed},
            outputs=[last],
        )
        return last

    # Settings of the commands

    def trial_keys(self) -> list[str]:
        """Where a command writes."""
        return [
            "tag=object",
            f"exp_root_dir={self.work}",
            f"seed={self.options.seed}",
            "system.prompt_processor.prompt=animate",
        ]

    def data_keys(self) -> list[str]:
        """The frames and the cameras that see them."""
        views, count = self.frames.shape[:2]
        size = min(self.fit_size, self.frames.shape[2])
        frame_keys = ("data.total_frame", "system.n_frame", "data.random_camera.total_frame")
        view_keys = ("data.n_view", "system.n_view", "data.random_camera.n_view")
        return [
            f"data.image_root={self.frames_folder}",
            f"data.width={size}",
            f"data.height={size}",
            *(f"{key}={count}" for key in frame_keys),
            *(f"{key}={views}" for key in view_keys),
            f"data.default_azimuth_deg={self._azimuths()}",
        ]

    @property
    def rigidity(self) -> float:
        """Factor on the weights that hold the model's shape."""
        return self._stiffer * self.options.rigidity

    def rigidity_keys(self) -> list[str]:
        """The weight of rigidity, when it is not the config's own."""
        if self.rigidity == 1.0:
            return []
        weight = OmegaConf.load(find_resource(self.options.config)).system.loss.lambda_arap
        return [f"system.loss.lambda_arap={self.rigidity * weight:g}"]

    def four_view_keys(self, size: int) -> list[str]:
        """Renders from the cameras of the videos."""
        return [
            f"data.random_camera.eval_height={size}",
            f"data.random_camera.eval_width={size}",
            f"data.random_camera.eval_azimuth_deg=[{self._azimuths()}]",
        ]

    def _azimuths(self) -> list[float]:
        views = len(self.frames)
        return [360.0 * v / views for v in range(views)]

    def _launch(self, config: str, overrides: Sequence[str], mode: str) -> None:
        from animate3d.studio.launch import launch  # Lightning takes seconds to import: only when a step runs

        launch(config, overrides, mode, gpu=self.options.gpu)


def check_options(options: RunOptions) -> None:
    """What would otherwise come to light only after minutes of work.

    Raises:
        InputError: a value that cannot be used.
    """
    if not (np.isfinite(options.fps) and options.fps > 0):
        raise InputError(f"The number of frames per second must be positive, got {options.fps:g}.")
    if options.views < 1:
        raise InputError(f"The number of views must be at least 1, got {options.views}.")
    if options.frames is None and options.video is None:
        raise InputError("Give either a prompt or a folder of frames.")
    if options.frames is None and options.views != STATIC_VIEWS:
        raise InputError(f"Videos from a prompt have {STATIC_VIEWS} views, got {options.views}.")
    if options.video is not None and options.video.weights is not None:
        existing_folder(options.video.weights, "folder of weights")
    if options.video is not None and options.video.checkpoint is not None:
        existing_file(options.video.checkpoint, "motion checkpoint")
    existing_file(find_resource(options.config), "config file")
    wrong = [item for item in options.overrides if "=" not in item]
    if wrong:
        raise InputError(f"`{wrong[0]}` is not a setting of the form key=value.")


def reduced(images: Tensor, size: int) -> Tensor:
    """``[V, H, W, 4]`` at most ``size`` pixels high."""
    if images.shape[1] <= size:
        return images
    return torch.nn.functional.interpolate(images.movedim(-1, 1), size=(size, size), mode="area").movedim(1, -1)
