"""A picture and a sentence to a video, by any image-to-video pipeline of diffusers."""

from __future__ import annotations

import ast
import inspect
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from animate3d.errors import InputError, MissingDependencyError
from animate3d.files import stamp
from animate3d.progress import count_steps

INDEX = "model_index.json"
STEADY = ", the camera does not move, plain grey background"
"""Said after every prompt: the driver wants a fixed camera."""
_RATES = {"Wan": 16, "CogVideoX": 8, "StableVideoDiffusion": 7}
"""Frames per second that the families were trained with; 24 for others."""
_GIVEN = ("image", "prompt", "generator", "last_image", "output_type")


@dataclass(frozen=True)
class VideoModel:
    """An image-to-video model and how it is used.

    Attributes:
        name: a folder, or a name on the Hugging Face hub.
        prompt: what happens; None for models that take no text.
        frames: None for the model's own number.
        size: height in pixels; None for the model's own.
        steps, guidance_scale: None for the model's own.
        seed: of the noise.
        settings: further arguments of its call.
        loop: end where the video began, where the model can.
    """

    name: str
    prompt: str | None = None
    frames: int | None = None
    size: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    loop: bool = False

    def identity(self) -> dict[str, Any]:
        """What a video depends on; a folder counts by the sizes and times of its files."""
        folder = Path(self.name)
        return {**vars(self), "files": stamp(folder)["files"] if folder.is_dir() else None}


@dataclass(frozen=True)
class Shape:
    """Of the video that a model makes.

    Attributes:
        width, height: pixels.
        frames: their number.
        fps: frames per second.
    """

    width: int
    height: int
    frames: int
    fps: float


def parse_settings(given: tuple[str, ...]) -> dict[str, Any]:
    """``key=value`` to arguments: numbers, booleans and None where a value is written like one, else text."""
    settings: dict[str, Any] = {}
    for setting in given:
        key, separator, value = setting.partition("=")
        if not (separator and key.isidentifier()):
            raise InputError(f"--video-setting takes key=value, got `{setting}`.")
        try:
            settings[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[key] = {"true": True, "false": False, "none": None}.get(value.lower(), value)
    return settings


def load_generator(model: VideoModel, announce: Callable[[str], None], gpu: str = "0") -> Any:
    """The pipeline, on the GPU where there is one; a model that is not here is downloaded, with its size told before.

    Raises:
        InputError: no such model, one that is not safetensors, or one that starts from no image.
    """
    import diffusers  # takes seconds

    folder = _folder(model.name, announce)
    name = str(json.loads((folder / INDEX).read_text()).get("_class_name", ""))
    kinds = [getattr(diffusers, each, None) for each in (name, name.replace("Pipeline", "ImageToVideoPipeline"))]
    kind = next((each for each in kinds if each is not None and "image" in _parameters(each)), None)
    if kind is None:
        raise InputError(f"{model.name} is a {name or 'model of no known kind'}, which makes no video from an image.")
    device = torch.device(f"cuda:{gpu}" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    try:
        pipeline = kind.from_pretrained(folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"The model {model.name} cannot be loaded ({said}); it needs safetensors files.") from error
    if device.type == "cuda":
        pipeline.enable_model_cpu_offload(device=device)
    count_steps(pipeline, "video")
    return pipeline


def _folder(name: str, announce: Callable[[str], None]) -> Path:
    """Where a model lies."""
    if (Path(name) / INDEX).is_file():
        return Path(name)
    if Path(name).exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(f"{name} is no folder of a diffusers pipeline ({INDEX} is missing), nor a name on the hub.")
    from diffusers import DiffusionPipeline
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(DiffusionPipeline.download(name, use_safetensors=True, local_files_only=True))
    except (OSError, ValueError, LocalEntryNotFoundError, HFValidationError):
        pass  # not here yet
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise InputError(f"The model {name} is not on this machine, and HF_HUB_OFFLINE forbids to download it.")
    try:
        files = HfApi().model_info(name, files_metadata=True).siblings or []
        parts = [file for file in files if "/" in file.rfilename and file.rfilename.endswith(".safetensors")]
        size = sum(file.size or 0 for file in parts) / 1e9
        announce(f"downloading {name} from the Hugging Face hub, at most {size:.1f} GB")
        return Path(DiffusionPipeline.download(name, use_safetensors=True))
    except (OSError, ValueError) as error:  # no connection, no such model, no safetensors
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"The model {name} is not on this machine and cannot be downloaded ({said}).") from error


def _parameters(kind: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind.__call__).parameters


def shape_of(pipeline: Any, model: VideoModel) -> Shape:
    """The size that was asked for, or the model's own, as the model can have it."""
    known = _parameters(type(pipeline))
    wanted = model.settings
    height, width = (wanted.get(side) or _default(pipeline, known, side) for side in ("height", "width"))
    if model.size is not None and "height" not in wanted:
        height, width = model.size, wanted.get("width") or model.size * width / height
    multiple = _multiple(pipeline)
    height, width = (max(multiple, math.floor(side / multiple + 0.5) * multiple) for side in (height, width))
    frames = int(wanted.get("num_frames") or model.frames or _default(pipeline, known, "num_frames"))
    every = int(_first(pipeline, "vae_scale_factor_temporal", "vae_temporal_compression_ratio") or 1)
    frames = max(2, math.ceil((frames - 1) / every) * every + 1)
    rate = wanted.get("frame_rate") or wanted.get("fps")
    name = type(pipeline).__name__
    fps = rate or next((value for family, value in _RATES.items() if name.startswith(family)), 24)
    return Shape(width, height, frames, float(fps))


def _first(holder: Any, *names: str) -> Any:
    return next((value for name in names if (value := getattr(holder, name, None)) is not None), None)


def _default(pipeline: Any, known: Mapping[str, inspect.Parameter], name: str) -> int:
    """The model's own height, width or number of frames."""
    value = known[name].default if name in known else None
    if isinstance(value, int):
        return value
    network = _first(pipeline, "transformer", "unet")
    key = {"height": "sample_height", "width": "sample_width", "num_frames": "sample_frames"}[name]
    config = dict(getattr(network, "config", {}))
    if name == "num_frames":
        return int(config.get(key) or config.get("num_frames") or 25)
    sample = config.get(key) or config.get("sample_size") or 64
    return int(sample if isinstance(sample, int) else sample[name == "width"]) * _latent(pipeline)


def _latent(pipeline: Any) -> int:
    """Pixels per latent."""
    names = ("vae_scale_factor_spatial", "vae_spatial_compression_ratio", "vae_scale_factor")
    return int(_first(pipeline, *names) or 8)


def _multiple(pipeline: Any) -> int:
    """Heights and widths are multiples of this."""
    network = _first(pipeline, "transformer", "unet")
    config = dict(getattr(network, "config", {}))
    patch = config.get("patch_size", 1)
    if "down_block_types" in config:  # a UNet halves its features
        patch = 2 ** (len(config["down_block_types"]) - 1)
    return _latent(pipeline) * int(patch if isinstance(patch, int) else patch[-1])


def arguments_of(pipeline: Any, model: VideoModel, still: Image.Image, shape: Shape) -> dict[str, Any]:
    """What the pipeline's call is given, by the names that it takes.

    Raises:
        InputError: a setting that it does not take, or no prompt for one that needs it.
    """
    known = _parameters(type(pipeline))
    foreign = [name for name in model.settings if name not in known or name in _GIVEN]
    if foreign:
        raise InputError(
            f"{type(pipeline).__name__} takes no setting `{foreign[0]}`; it takes "
            f"{', '.join(name for name in known if name not in ('self', *_GIVEN))}."
        )
    if model.prompt is None and "prompt" in known:
        raise InputError(f"{model.name} makes a video of what a sentence says: give --prompt too.")
    given: dict[str, Any] = {
        "image": still,
        "prompt": None if model.prompt is None else model.prompt + STEADY,
        "height": shape.height,
        "width": shape.width,
        "num_frames": shape.frames,
        "num_inference_steps": model.steps,
        "guidance_scale": model.guidance_scale,
        "generator": torch.Generator().manual_seed(model.seed),
        "last_image": still if model.loop else None,
        "output_type": "np",
    }
    given |= {name: value for name, value in model.settings.items() if name not in ("height", "width", "num_frames")}
    return {name: value for name, value in given.items() if name in known and value is not None}


def closes_loops(pipeline: Any) -> bool:
    """Whether the pipeline takes the picture to end with."""
    return "last_image" in _parameters(type(pipeline))


def generate(pipeline: Any, model: VideoModel, still: Image.Image, shape: Shape) -> NDArray[np.uint8]:
    """Run the model. ``[F, H, W, 3]``

    Raises:
        InputError: the model made no finite pictures.
        MissingDependencyError: the pipeline needs a package that is not installed.
    """
    given = arguments_of(pipeline, model, still.convert("RGB"), shape)
    try:
        with torch.no_grad():
            frames = pipeline(**given).frames[0]
    except (ImportError, NameError) as error:  # some pipelines of diffusers notice only here what is not installed
        raise MissingDependencyError(
            f"{type(pipeline).__name__} needs a package that is not installed: pip install {error.name}."
        ) from error
    video = np.stack([np.asarray(frame, np.float32) for frame in frames])
    if not np.isfinite(video).all():
        raise InputError(f"The model {model.name} made pictures that are not finite; try another --seed or data type.")
    return (video.clip(0, 1) * 255 + 0.5).astype(np.uint8)
