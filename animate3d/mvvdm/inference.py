"""Condition images and a sentence to synchronised videos on disk: what ``inference.py`` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image, UnidentifiedImageError

from animate3d.errors import InputError
from animate3d.files import (
    atomic_file,
    content_hash,
    existing_file,
    existing_folder,
    read_json,
    sha256,
    stamp,
    write_json,
)
from animate3d.frames import save_frames, save_gif, save_mp4, side_by_side
from animate3d.motion.pixel_origins import PixelOrigins
from animate3d.mvvdm.convert import DTYPES, assemble, read_config
from animate3d.mvvdm.model.compiled import Compiler
from animate3d.mvvdm.model.origins import own_origins
from animate3d.mvvdm.model.quantized import quantize
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.pipeline import MultiViewVideoOutput, MultiViewVideoPipeline
from animate3d.mvvdm.sampler import LARGEST_SEED, RELEASED, SamplerSettings
from animate3d.mvvdm.weights import existing_motion_checkpoint
from animate3d.studio.registry import near_names

Number = TypeVar("Number", int, float)
FPS = 8.0
ENOUGH_MEMORY = 11 * 2**30
"""Bytes of a GPU that holds the whole pipeline at the documented size."""
DEFAULTS: dict[str, Any] = {
    "output_dir": "outputs",
    "seed": [RELEASED.seed],
    "steps": RELEASED.steps,
    "guidance_scale": RELEASED.guidance_scale,
    "freeinit_enabled": True,
    "freeinit_num_iters": RELEASED.freeinit_num_iters,
    "i2v_similarity_init": None,
    "device": "auto",
    "dtype": "auto",
    "offload": False,
    "sequential_guidance": False,
    "low_memory": "auto",
    "compile": False,
    "quantize": None,
}
MODEL_KEYS = (
    *("pretrained_model_path", "motion_adapter_path", "ip_adapter_path", "i2v_cond_time_zero"),
    *("mvdream_attn_cfg", "motion_module_attn_cfg", "noise_scheduler_kwargs", "dtype"),
)
"""Keys of an inference config that say what the model is."""
QUANTIZED = ("int8",)
"""Precisions, below those of arithmetic, in which the UNet's weights can be held."""


@dataclass(frozen=True)
class VideoRequest:
    """One set of videos to make.

    Attributes:
        images: the V condition images, in the order of the views.
        prompt: what happens.
        sampler: how they are sampled.
        similarity_init: see ``i2v_similarity_init`` of the pipeline.
        sequential_guidance: less memory, more time, same result.
        decode_chunk_size: images decoded at a time.
    """

    images: tuple[Path, ...]
    prompt: str
    sampler: SamplerSettings = RELEASED
    similarity_init: dict[str, float] | None = None
    sequential_guidance: bool = False
    decode_chunk_size: int = 16


def find_images(root: str | os.PathLike[str], name: str, views: int) -> tuple[Path, ...]:
    """``{root}/{name}_{v}.png``, or ``{root}/{v}.png`` without a name.

    Raises:
        InputError: an image is missing.
    """
    root = existing_folder(root, "folder of condition images")
    paths = [root / (f"{name}_{view}.png" if name else f"{view}.png") for view in range(views)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"{root} lacks {', '.join(missing)}; {views} views need {paths[0].name} to {paths[-1].name}.")
    return tuple(paths)


def result_name(index: int, prompt: str) -> str:
    """The documented name of a result without suffix: number and the first ten words of the prompt."""
    words = prompt.replace("/", "_").replace("\\", "_").replace("\0", "").split()
    return f"{index}-{'-'.join(words[:10])}".encode()[:200].decode(errors="ignore")


def goes_together(request: VideoRequest) -> bool:
    """Whether the videos may be sampled in one call with others: longer ones go on as their own motion tells."""
    return request.sampler.frames <= request.sampler.context_length


class MadeVideos(NamedTuple):
    """Videos of one object.

    Attributes:
        frames: uint8 ``[V, F, H, W, 3]``
        origins: where in the first image of their view the pixels of frames 1 and later come from; None for models that
            do not say.
    """

    frames: np.ndarray
    origins: PixelOrigins | None = None


def make_videos(pipeline: MultiViewVideoPipeline, request: VideoRequest) -> np.ndarray:
    """Run the model. uint8 ``[V, F, H, W, 3]``"""
    return make_videos_together(pipeline, [request])[0].frames


def make_videos_together(pipeline: MultiViewVideoPipeline, requests: Sequence[VideoRequest]) -> list[MadeVideos]:
    """Run the model once for requests that differ in images, prompts and seeds; each has its own random numbers.

    The videos of each are not to the last bit what it alone gives.
    """
    request, sampler = requests[0], requests[0].sampler
    generators = [torch.Generator().manual_seed(each.sampler.seed) for each in requests]
    if sampler.freeinit_num_iters:
        pipeline.enable_free_init(num_iters=sampler.freeinit_num_iters)
    else:
        pipeline.disable_free_init()
    made = pipeline(
        [each.prompt for each in requests],
        [[_open(path) for path in each.images] for each in requests],
        num_frames=sampler.frames,
        context_length=sampler.context_length,
        height=sampler.size,
        width=sampler.width or sampler.size,
        num_inference_steps=sampler.steps,
        guidance_scale=sampler.guidance_scale,
        guided_steps=sampler.guided_steps,
        generator=generators[0] if len(generators) == 1 else generators,
        i2v_similarity_init=request.similarity_init,
        sequential_guidance=request.sequential_guidance,
        decode_chunk_size=request.decode_chunk_size,
        output_type="np",
    )
    assert isinstance(made, MultiViewVideoOutput)
    videos = [(frames * 255).round().astype(np.uint8) for frames in made.frames]
    if made.origins is None:
        return [MadeVideos(frames) for frames in videos]
    parts = [part.float().cpu().numpy() for part in own_origins(made.origins)]
    return [MadeVideos(frames, PixelOrigins(*own)) for frames, *own in zip(videos, *parts, strict=True)]


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(existing_file(path, "condition image")) as image:
            image.load()
            return image
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path} is damaged or not an image.") from error


def write_videos(base: Path, frames: np.ndarray, record: dict[str, Any]) -> None:
    """Write ``base.gif``, ``base.mp4`` and the lossless ``base/{v*F+f}.png`` of frames uint8 ``[V, F, H, W, 3]``.

    Last comes ``base.json``, what they were made from: its presence says that the result is whole.
    """
    side = side_by_side(frames)
    record_path(base).unlink(missing_ok=True)
    save_frames(base, frames)
    save_gif(_with_suffix(base, ".gif"), side, FPS)
    save_mp4(_with_suffix(base, ".mp4"), side, FPS)
    write_json(record_path(base), {**record, "views": len(frames), "frames": frames.shape[1]})


def record_path(base: Path) -> Path:
    """Where the settings of a result are written."""
    return _with_suffix(base, ".json")


def _with_suffix(base: Path, suffix: str) -> Path:
    return base.with_name(base.name + suffix)  # prompts may contain dots


def record_of(request: VideoRequest, config: dict[str, Any], checkpoint: Path | None) -> dict[str, Any]:
    """Everything a result depends on: settings, hashes of the images, identity of the weights."""
    model = {key: config.get(key) for key in MODEL_KEYS}
    if config.get("quantize"):  # absent in records of before, which stay valid
        model["quantize"] = config["quantize"]
    local = {key: stamp(path) for key, path in model.items() if key.endswith("_path") and path and Path(path).exists()}
    motion = None if checkpoint is None else stamp(existing_motion_checkpoint(checkpoint))
    settings = asdict(request)
    del settings["decode_chunk_size"]  # changes nothing
    settings["images"] = [{"path": str(path), "sha256": sha256(path)} for path in request.images]
    return {"settings": settings, "model": model, "weights": local, "motion_checkpoint": motion}


def is_made(base: Path, record: dict[str, Any]) -> bool:
    """Whether a whole result with the same record is already there."""
    if not (record_path(base).is_file() and base.is_dir() and _with_suffix(base, ".gif").is_file()):
        return False
    found = read_json(record_path(base))
    return isinstance(found, dict) and {key: found.get(key) for key in record} == record


def load_pipeline(config: dict[str, Any], checkpoint: Path | None) -> MultiViewVideoPipeline:
    """The pipeline on its device, with the config's options of speed and memory."""
    device = choose_device(str(config["device"]))
    prepare = prepare_unet(device, config["quantize"], compiled=bool(config["compile"]))
    pipeline = assemble(config, checkpoint, dtype=choose_dtype(str(config["dtype"]), device))
    prepare(pipeline.unet)
    if hasattr(pipeline.vae, "enable_slicing"):  # diffusers' own; the small autoencoder needs no slicing
        pipeline.vae.enable_slicing()
    if config["offload"] and device.type == "cpu":
        raise InputError("`offload` moves models between a GPU and the CPU; on the CPU there is nothing to move.")
    if config["offload"] or low_memory(config, device):
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return pipeline


def prepare_unet(device: torch.device, quantized: str | None, *, compiled: bool) -> Callable[[MultiViewUNet], None]:
    """What makes a UNet, which only runs on ``device`` from then on, as small (one of `QUANTIZED`) or as fast as asked.

    Raises:
        InputError: an unknown precision; before anything is loaded.
    """
    if quantized not in (None, *QUANTIZED):
        raise InputError(f"`quantize` is {quantized!r}; it can be {' or '.join(QUANTIZED)}, or null.")

    def prepare(unet: MultiViewUNet) -> None:
        if device.type == "cuda":  # as the images lie there; else every call would turn every kernel around
            torch.nn.Module.to(unet, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if quantized:
            quantize(unet)
        if compiled:
            unet.compiler = Compiler()

    return prepare


_kept: dict[str, MultiViewVideoPipeline] | None = None  # the last one by what it was loaded from, if it is kept


def keep_loaded() -> None:
    """From now on the last video model stays in memory for the next videos of this process."""
    global _kept
    _kept = {} if _kept is None else _kept


def kept_pipeline(config: dict[str, Any], checkpoint: Path | None) -> MultiViewVideoPipeline:
    """`load_pipeline`, or what it loaded before from the same files, where that is kept."""
    if _kept is None:
        return load_pipeline(config, checkpoint)
    loaded = {name: value for name, value in config.items() if name not in ("seed", "output_dir")}
    paths = [checkpoint, *(value for name, value in loaded.items() if name.endswith("_path") and value)]
    key = content_hash([loaded, [stamp(path) for path in paths if path and Path(path).exists()]])
    if key not in _kept:
        _kept.clear()  # before the next one is loaded: there may be no room for two
        _kept[key] = load_pipeline(config, checkpoint)
    return _kept[key]


def low_memory(config: dict[str, Any], device: torch.device) -> bool:
    """Whether memory comes before time: as the config says, or where the GPU has less than `ENOUGH_MEMORY`."""
    wanted = config["low_memory"]
    if wanted not in ("auto", True, False):
        raise InputError(f"`low_memory` is {wanted!r}; it can be true, false or auto.")
    if device.type != "cuda":
        return False
    if wanted == "auto":
        return torch.cuda.get_device_properties(device).total_memory < ENOUGH_MEMORY
    return bool(wanted)


def choose_device(name: str) -> torch.device:
    """``auto`` is the first GPU where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"The device `{name}` is not known; give cpu, cuda, cuda:1, mps or auto.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA GPU on this machine; use --device cpu.")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is float16 on a GPU, float32 on the CPU."""
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise InputError(f"The dtype `{name}` is not known; it can be {', '.join(DTYPES)} or auto.")
    return DTYPES[name]


def read_inference_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """An inference config; keys that the file leaves out have the values of `DEFAULTS`.

    Raises:
        InputError: unreadable, or an unknown key.
    """
    config = read_config(path)
    known = {*DEFAULTS, *MODEL_KEYS, "prompt"}  # of the ``config.yaml`` beside results, which is read again
    for key in config:
        if key not in known:
            raise InputError(f"{path}: there is no key `{key}`{near_names(key, known)}.")
    return {**DEFAULTS, **config}


def sampler_of(config: dict[str, Any], **sizes: int) -> SamplerSettings:
    """The sampler's settings of an inference config, without seeds, and with sizes, which a config does not have.

    Raises:
        InputError: no videos can be made so.
    """
    rounds = _number(config, "freeinit_num_iters", int) if config["freeinit_enabled"] else 0
    return SamplerSettings(
        steps=_number(config, "steps", int),
        guidance_scale=_number(config, "guidance_scale", float),
        freeinit_num_iters=rounds,
        **sizes,
    )


def _number(config: dict[str, Any], key: str, kind: Callable[[Any], Number]) -> Number:
    try:
        return kind(config[key])
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"`{key}` is {config[key]!r}; it is a number.") from error


def request_of(config: dict[str, Any], images: tuple[Path, ...], prompt: str, sampler: SamplerSettings) -> VideoRequest:
    """Videos that are sampled so, with what else an inference config says."""
    low = low_memory(config, choose_device(str(config["device"])))
    return VideoRequest(
        images,
        prompt,
        sampler,
        config["i2v_similarity_init"],
        sequential_guidance=bool(config["sequential_guidance"]) or low,
        decode_chunk_size=4 if low else 16,
    )


def run(
    config: dict[str, Any],
    *,
    prompt: str,
    images: tuple[Path, ...],
    save_name: str,
    checkpoint: Path | None = None,
    frames: int = RELEASED.frames,
    height: int = RELEASED.size,
    width: int = RELEASED.size,
    force: bool = False,
    announce: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Make one result per seed of the config; a result that is already there with the same settings is reused.

    Args:
        config: inference config; keys that are absent take `DEFAULTS`.
        prompt, images: see `VideoRequest`.
        save_name: folder below the config's ``output_dir``.
        checkpoint: the method's trained weights; None for a converted folder.
        frames, height, width: of every video.
        force: make everything again.
        announce: told what is made, reused or replaced.

    Returns:
        folders of lossless frames, one per seed; the GIF and the MP4 have the same name plus suffix.
    """
    config = {**DEFAULTS, **config}
    sampler = sampler_of(config, frames=frames, size=height, width=width)
    folder, pipeline = Path(config["output_dir"]) / save_name, None
    results = []
    for index, seed in enumerate(seeds_of(config)):
        request = request_of(config, images, prompt, replace(sampler, seed=seed))
        base = folder / result_name(index, prompt)
        record = record_of(request, config, checkpoint)
        results.append(base)
        if not force and is_made(base, record):
            announce(f"reused {base}.gif: made before with the same settings (--force makes it again)")
            continue
        existed = base.exists() or _with_suffix(base, ".gif").exists()
        pipeline = pipeline or kept_pipeline(config, checkpoint)
        write_videos(base, make_videos(pipeline, request), record)
        announce(f"{'replaced' if existed else 'wrote'} {base}.gif, {base}.mp4 and lossless frames in {base}/")
    write_config(folder, config, prompt)
    return results


def write_config(folder: Path, config: dict[str, Any], prompt: str | list[str]) -> None:
    """Note in ``config.yaml`` what the results of a folder were made with."""
    with atomic_file(folder / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.create({**config, "prompt": prompt})))


def seeds_of(config: dict[str, Any]) -> list[int]:
    """The seeds of an inference config; random ones are drawn.

    Raises:
        InputError: see `checked_seed`.
    """
    value = config["seed"]
    seeds = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = [checked_seed(seed, "The seed") for seed in seeds]
    return [int(torch.randint(2**31, (1,))) if number < 0 else number for number in numbers]


def checked_seed(value: Any, where: str) -> int:
    """A seed, or -1 for a random one.

    Raises:
        InputError: it is neither; ``where`` begins the sentence.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # YAML reads 1e3 as a float
    try:
        number = int(str(value))
    except ValueError as error:
        raise InputError(f"{where} is {value!r}; give a whole number, -1 for a random one.") from error
    if not -1 <= number <= LARGEST_SEED:
        raise InputError(f"{where} is {number}; it lies between 0 and {LARGEST_SEED}, or is -1 for a random one.")
    return number
