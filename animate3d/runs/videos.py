"""Steps 3 and 4 of a run: a sentence and the static renders to videos, videos to RGBA frames."""

from __future__ import annotations

import importlib
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from animate3d.bundled_model.knowledge import asks_for_trained
from animate3d.errors import InputError
from animate3d.files import atomic_directory, existing_file, existing_folder, stamp
from animate3d.frames import numbered_images
from animate3d.motion.pixel_origins import ORIGINS, save_origins
from animate3d.mvvdm.sampler import RELEASED, SamplerSettings
from animate3d.progress import BESIDE, count_steps, counted
from animate3d.resources import find_resource
from animate3d.runs.presets import Preset
from animate3d.runs.sentences import in_turn

INFERENCE_CONFIG = "configs/inference/inference.yaml"
SMALLEST = 256
"""Smaller videos are enlarged to this many pixels."""


@dataclass(frozen=True)
class VideoOptions:
    """What the videos are made from.

    Attributes:
        prompt: what happens.
        weights: a converted model folder; None uses the sources that the inference config names.
        checkpoint: the method's motion checkpoint, without ``weights``.
        sampler: how they are sampled.
        mask_backend: auto, background or sam2.
        samples: videos that are made, with seeds one after the other; the best are chosen.
        bundled: the model is the one that comes with the package, which knows little and is asked what it knows.
        compile: compile the model, which changes its last digits only.
        quantize: int8 holds its weights in eight bits; None in the precision of the arithmetic.
        low_memory: memory comes before time also on a large GPU.
    """

    prompt: str
    weights: Path | None = None
    checkpoint: Path | None = None
    sampler: SamplerSettings = RELEASED
    mask_backend: str = "auto"
    samples: int = 1
    bundled: bool = False
    compile: bool = False
    quantize: str | None = None
    low_memory: bool = False

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise InputError("The prompt is empty; say what happens, for example --prompt 'a dragon is roaring'.")
        if self.samples < 1:
            raise InputError(f"The number of samples must be at least 1, got {self.samples}.")
        if self.weights is None and self.checkpoint is None:
            raise InputError(
                "Videos from a prompt need weights: --weights FOLDER (written by `animate3d convert-weights`) or "
                "--pretrained-unet-path FILE, or --preset laptop for the small model that is here already; with videos "
                "of your own give --frames instead of --prompt."
            )

    def sample(self, number: int, seed: int) -> VideoOptions:
        """One of the samples by its number: its seed follows those of the samples before."""
        return replace(self, sampler=replace(self.sampler, seed=seed + number), samples=1)

    def identity(self) -> dict[str, Any]:
        """What the videos depend on; weights count by the sizes and times of their files."""
        weights = {"weights": self.weights, "checkpoint": self.checkpoint}
        stamps = {key: None if path is None else stamp(path)["files"] for key, path in weights.items()}
        values = asdict(self)
        for name in ("compile", "low_memory"):  # change nothing but last digits
            del values[name]
        if self.quantize is None:  # absent in records of before, which stay valid
            del values["quantize"]
        return {**values, **stamps}


def check_video(options: VideoOptions) -> None:
    """What is not on this machine.

    Raises:
        InputError: a folder, a file or a mask backend.
    """
    if options.weights is not None:
        existing_folder(options.weights, "folder of weights")
    if options.checkpoint is not None:
        existing_file(options.checkpoint, "motion checkpoint")
    if options.mask_backend == "sam2":
        from animate3d.masks import check_backend

        check_backend(options.mask_backend)


Wanted: TypeAlias = tuple[VideoOptions, tuple[Path, ...]]
"""What videos are made from: how, and the condition image of every view."""

_ahead: dict[Wanted, tuple[Any, dict[str, Any]]] = {}  # the `MadeVideos` of `make_ahead`, and facts


def preset_videos(prompt: str, preset: Preset, **given: Any) -> VideoOptions:
    """The settings of a preset; values of `VideoOptions` and `SamplerSettings` that are given and not None win.

    Raises:
        InputError: the preset uses the bundled model, and this copy of the package has none.
    """
    values = {key: value for key, value in given.items() if value is not None}
    sampler = {item.name: values.pop(item.name) for item in fields(SamplerSettings) if item.name in values}
    if preset.bundled and not {"weights", "checkpoint"} & values.keys():
        from animate3d.bundled_model.folder import bundled_model_folder

        values |= {"weights": bundled_model_folder(), "bundled": True}
    return VideoOptions(prompt, sampler=replace(preset.sampler, **sampler), **values)


def import_ahead(options: VideoOptions | None, moves: str) -> None:
    """Begin to import what makes videos: seconds, of which some pass while kernels work without Python's lock.

    Args:
        options: what is asked for; nothing is imported where its prompt alone says that the motion will be computed.
        moves: auto, always or never: whether motions are computed.
    """
    if moves == "always":
        return
    if moves == "auto" and options is not None and options.bundled and not _known(options.prompt):
        return

    def load() -> None:
        with suppress(Exception):  # whoever needs it meets the same error, and tells it
            importlib.import_module("animate3d.mvvdm.inference")

    # No daemon: one that still imports when Python ends would abort it.
    threading.Thread(target=load, name=f"{BESIDE}import").start()


def _known(prompt: str) -> bool:
    """Whether a prompt asks for one thing, which the bundled model was trained on."""
    return len(in_turn(prompt)) == 1 and asks_for_trained(prompt)


def make_videos(options: VideoOptions, images: tuple[Path, ...], folder: Path) -> dict[str, Any]:
    """Step 3: lossless frames `made_frames` in ``folder``; a GIF, an MP4 and, if known, `ORIGINS` beside them.

    Args:
        images: the condition image of every view.

    Returns:
        facts of videos that `make_ahead` has made already.
    """
    from animate3d.mvvdm import inference  # diffusers takes seconds to import

    request, config = _asked(options, images)
    made, facts = _ahead.pop((options, images), (None, {}))
    if made is None:
        (made,) = _sampled([options], [request], config)
    shutil.rmtree(folder, ignore_errors=True)  # of another prompt
    base = folder / inference.result_name(0, options.prompt)
    inference.write_videos(base, made.frames, inference.record_of(request, config, options.checkpoint))
    if made.origins is not None:
        save_origins(made.origins, folder / ORIGINS)
    if options.sampler.size < SMALLEST:
        _enlarge(base, folder / "enlarged")
    return facts


def make_ahead(wanted: Sequence[Wanted]) -> None:
    """Make videos of several objects in one call of the model, where their settings are the same, for `make_videos`.

    Those that cannot be made so, for want of memory or since an input is unusable, are left to `make_videos`.
    """
    from animate3d.mvvdm import inference

    _ahead.clear()
    groups: dict[Any, list[Wanted]] = {}
    for one in wanted:
        request, _ = _asked(*one)
        if inference.goes_together(request):
            alike = replace(one[0].sample(0, 0), prompt="any")
            groups.setdefault((alike, len(one[1])), []).append(one)
    for group in groups.values():
        _make_together(group)


def _make_together(wanted: Sequence[Wanted]) -> None:
    if len(wanted) < 2:
        return
    import torch

    start, asked = time.perf_counter(), [_asked(*one) for one in wanted]
    try:
        made = _sampled([options for options, _ in wanted], [request for request, _ in asked], asked[0][1])
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        half = len(wanted) // 2
        _make_together(wanted[:half])
        _make_together(wanted[half:])
        return
    except InputError:
        return
    share = (time.perf_counter() - start) / len(wanted)
    facts = {"objects_in_call": len(wanted), "seconds_in_call": round(share, 2)}
    _ahead.update({one: (each, facts) for one, each in zip(wanted, made, strict=True)})


def _asked(options: VideoOptions, images: tuple[Path, ...]) -> tuple[Any, dict[str, Any]]:
    """The request for videos, and the inference config that it goes with."""
    from animate3d.mvvdm import inference

    config = inference.read_inference_config(find_resource(INFERENCE_CONFIG))
    if options.weights is not None:
        config["pretrained_model_path"] = str(options.weights)
    config |= {"compile": options.compile, "quantize": options.quantize}
    if options.low_memory:
        config["low_memory"] = True
    return inference.request_of(config, images, options.prompt, options.sampler), config


def _sampled(options: Sequence[VideoOptions], requests: Sequence[Any], config: dict[str, Any]) -> list[Any]:
    from animate3d.mvvdm import inference

    pipeline = inference.kept_pipeline(config, options[0].checkpoint)
    count_steps(pipeline, "videos")
    return inference.make_videos_together(pipeline, requests)


def made_frames(options: VideoOptions, folder: Path) -> Path:
    """Where `make_videos` leaves the frames ``{v*F+f}.png`` that go on."""
    if options.sampler.size < SMALLEST:
        return folder / "enlarged"
    return next(path for path in sorted(folder.glob("0-*")) if path.is_dir())


def _enlarge(frames: Path, target: Path) -> None:
    """Masks and optical flow count in pixels: a motion of a pixel or two is lost to them."""
    with atomic_directory(target) as temporary:
        for path in numbered_images(frames).values():
            with Image.open(path) as image:
                image.resize((SMALLEST, SMALLEST), Image.Resampling.BICUBIC).save(temporary / path.name)


def make_masks(options: VideoOptions, frames: Path, templates: Path, target: Path, views: int) -> list[str]:
    """Step 4: the frames with alpha channels in ``target``.

    Args:
        templates: folder of the static renders, whose alpha is the mask of frame 0.

    Returns:
        sentences about what may have gone wrong.
    """
    from animate3d.masks import choose_segmenter, segment_folder

    with counted(len(numbered_images(frames)), "masks", "image") as tell:
        report = segment_folder(
            frames,
            target,
            templates,
            choose_segmenter(options.mask_backend),
            views=views,
            progress=lambda done, total: tell(done),
        )
    return report.warnings()
