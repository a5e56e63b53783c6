"""Steps 3 and 4 for `animate`: a sentence and the static renders to videos, videos to RGBA frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from animate3d.errors import InputError
from animate3d.files import atomic_directory
from animate3d.frames import numbered_images
from animate3d.resources import find_resource
from animate3d.runs.presets import Preset

INFERENCE_CONFIG = "configs/inference/inference.yaml"
SMALLEST = 256
"""Smaller videos are enlarged to this many pixels."""


@dataclass(frozen=True)
class VideoOptions:
    """What the videos are made from.

    Attributes:
        prompt: what happens.
        weights: a converted model folder; None takes the sources that the inference config names.
        checkpoint: the method's motion checkpoint, without ``weights``.
        frames: of every video.
        size: pixels, a multiple of 64.
        steps, guidance_scale, freeinit_num_iters: in place of the config's.
        mask_backend: auto, background or sam2.
        samples: videos that are made, with seeds one after the other; the best are taken.
        bundled: the model is the one that comes with the package, which knows little and is asked what it knows.
    """

    prompt: str
    weights: Path | None = None
    checkpoint: Path | None = None
    frames: int = 16
    size: int = 256
    steps: int | None = None
    guidance_scale: float | None = None
    freeinit_num_iters: int | None = None
    mask_backend: str = "auto"
    samples: int = 1
    bundled: bool = False

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise InputError("The prompt is empty; say what happens, for example --prompt 'a dragon is roaring'.")
        if self.frames < 2:
            raise InputError(f"A video needs at least 2 frames, got {self.frames}.")
        if self.samples < 1:
            raise InputError(f"The number of samples must be at least 1, got {self.samples}.")
        if self.weights is None and self.checkpoint is None:
            raise InputError(
                "Videos from a prompt need weights: --weights FOLDER (written by `animate3d convert-weights`) or "
                "--pretrained-unet-path FILE, or --preset laptop for the small model that is here already; with videos "
                "of your own give --frames instead of --prompt."
            )


def preset_videos(prompt: str, preset: Preset, **given: Any) -> VideoOptions:
    """The settings of a preset; values that are given and not None win.

    Raises:
        InputError: the preset takes the bundled model, and this copy of the package has none.
    """
    values: dict[str, Any] = {
        "frames": preset.frames,
        "size": preset.size,
        "steps": preset.steps,
        "guidance_scale": preset.guidance_scale,
        "freeinit_num_iters": preset.freeinit_num_iters,
    }
    values |= {key: value for key, value in given.items() if value is not None}
    if preset.bundled and not {"weights", "checkpoint"} & values.keys():
        from animate3d.bundled_model.folder import bundled_model_folder  # diffusers takes seconds to import

        values |= {"weights": bundled_model_folder(), "bundled": True}
    return VideoOptions(prompt, **values)


def make_videos(
    options: VideoOptions, images: tuple[Path, ...], folder: Path, seed: int, announce: Callable[[str], None]
) -> Path:
    """Step 3: the folder of lossless frames ``{v*F+f}.png``, a GIF and an MP4 beside it.

    Args:
        images: the condition image of every view.
        folder: gets the result under its documented name.
    """
    from animate3d.mvvdm.convert import read_config  # diffusers takes seconds to import
    from animate3d.mvvdm.inference import run

    config: dict[str, Any] = read_config(find_resource(INFERENCE_CONFIG))
    given = {
        "pretrained_model_path": None if options.weights is None else str(options.weights),
        "steps": options.steps,
        "guidance_scale": options.guidance_scale,
        "freeinit_num_iters": options.freeinit_num_iters,
        "freeinit_enabled": None if options.freeinit_num_iters is None else options.freeinit_num_iters > 0,
    }
    config |= {key: value for key, value in given.items() if value is not None}
    config |= {"seed": [seed], "output_dir": str(folder.parent)}
    results = run(
        config,
        prompt=options.prompt,
        images=images,
        save_name=folder.name,
        checkpoint=options.checkpoint,
        frames=options.frames,
        height=options.size,
        width=options.size,
        announce=announce,
    )
    return results[0] if options.size >= SMALLEST else _enlarged(results[0], folder / "enlarged")


def _enlarged(frames: Path, target: Path) -> Path:
    """Masks and optical flow count in pixels: a motion of a pixel or two is lost to them."""
    with atomic_directory(target) as temporary:
        for path in numbered_images(frames).values():
            with Image.open(path) as image:
                image.resize((SMALLEST, SMALLEST), Image.Resampling.BICUBIC).save(temporary / path.name)
    return target


def make_masks(options: VideoOptions, frames: Path, templates: Path, target: Path, views: int) -> list[str]:
    """Step 4: the frames with alpha channels in ``target``.

    Args:
        templates: folder of the static renders, whose alpha is the mask of frame 0.

    Returns:
        sentences about what may have gone wrong.
    """
    from animate3d.masks import choose_segmenter, segment_folder

    with tqdm(desc="masks", unit="image", delay=0.5) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = segment_folder(
            frames, target, templates, choose_segmenter(options.mask_backend), views=views, progress=progress
        )
    return report.warnings()
