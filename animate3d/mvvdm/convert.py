"""Released parts to a pipeline, and to one folder that needs none of them again."""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.utils import logging as diffusers_logging
from omegaconf import OmegaConf
from safetensors import SafetensorError, safe_open
from transformers import CLIPImageProcessorPil, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection
from transformers.utils import logging as transformers_logging

from animate3d.errors import InputError, run_command
from animate3d.files import atomic_directory, existing_file, existing_folder, read_json
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.weights import (
    existing_motion_checkpoint,
    ip_adapter_files,
    load_motion_checkpoint,
    load_unet,
    resolve,
)
from animate3d.resources import find_resource

MVDREAM_FILES = ["model_index.json", "unet/*", "vae/*", "text_encoder/*", "tokenizer/*"]
ADAPTER_FILES = ["config.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"]
DAMAGED = (
    *(OSError, EOFError, ValueError, RuntimeError, LookupError, TypeError, AttributeError),
    *(SafetensorError, pickle.UnpicklingError),
)
"""What diffusers and transformers raise, depending on where a damaged file leads them."""
LONG_TO_LOAD = 2**28
"""Bytes from which on the libraries show how far they are; less is there at once."""


def assemble(
    config: Mapping[str, Any],
    motion_checkpoint: str | os.PathLike[str] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    untrained: bool = False,
) -> MultiViewVideoPipeline:
    """A pipeline from the sources that a config of inference or training names.

    Args:
        config: ``configs/inference/inference.yaml`` or ``configs/training/train.yaml`` as a mapping. When
            ``pretrained_model_path`` is a folder made by `convert`, that folder is the whole pipeline: the paths of the
            adapters and the attention settings are not read.
        motion_checkpoint: the method's trained weights; None or empty only for a converted folder, or ``untrained``.
        dtype: of all models.
        untrained: without a motion checkpoint, leave the method's own layers of released parts as they start.

    Raises:
        InputError: a source is missing, damaged, or does not fit.
    """
    source = resolve(source_in(config, "pretrained_model_path"), what="base model", patterns=MVDREAM_FILES)
    if motion_checkpoint:
        existing_motion_checkpoint(motion_checkpoint)  # before the large files are read
    if is_converted(source):
        pipeline = load_converted(source, dtype=dtype)
        if motion_checkpoint:
            load_motion_checkpoint(pipeline.unet, motion_checkpoint)
        if config.get("i2v_cond_time_zero"):
            pipeline.unet.register_to_config(i2v_cond_time_zero=True)
    else:
        if not motion_checkpoint and not untrained:
            raise InputError(
                f"{config['pretrained_model_path']} was not made by `animate3d convert-weights`, and a base model "
                "alone makes no videos: give such a folder (`--weights`; `pretrained_model_path` in a config), or the "
                "motion checkpoint (`--pretrained-unet-path`)."
            )
        pipeline = _assemble_released(source, config, motion_checkpoint or None, dtype)
    # What the config does not name, such as the kind of prediction, stays as the folder has it.
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config, **config.get("noise_scheduler_kwargs", {})
    )
    return pipeline


def source_in(config: Mapping[str, Any], key: str, where: object = "The config") -> str:
    """The folder or hub name that a config has under a key; ``where`` begins the message.

    Raises:
        InputError: it has none.
    """
    if not config.get(key):
        raise InputError(f"{where}: the key `{key}` is missing; it is a folder or a name on the model hub.")
    return str(config[key])


def _assemble_released(
    mvdream: Path, config: Mapping[str, Any], motion_checkpoint: str | os.PathLike[str] | None, dtype: torch.dtype
) -> MultiViewVideoPipeline:
    for part in ("unet", "vae", "text_encoder", "tokenizer"):
        existing_folder(mvdream / part, f"{part} of the base model")
    motion_adapter = resolve(source_in(config, "motion_adapter_path"), what="motion adapter", patterns=ADAPTER_FILES)
    ip_adapter, encoder = ip_adapter_files(source_in(config, "ip_adapter_path"))
    unet = load_unet(
        mvdream,
        motion_adapter,
        ip_adapter,
        motion_checkpoint,
        mvdream_attn_cfg=config.get("mvdream_attn_cfg"),
        motion_module_attn_cfg=config.get("motion_module_attn_cfg"),
        i2v_cond_time_zero=bool(config.get("i2v_cond_time_zero", False)),
    )
    try:
        return MultiViewVideoPipeline(
            vae=AutoencoderKL.from_pretrained(mvdream / "vae", dtype=dtype),
            text_encoder=CLIPTextModel.from_pretrained(mvdream / "text_encoder", dtype=dtype),
            tokenizer=CLIPTokenizer.from_pretrained(mvdream / "tokenizer"),
            unet=torch.nn.Module.to(unet, dtype),  # diffusers' own `to` warns without cause
            scheduler=DDIMScheduler(),
            feature_extractor=CLIPImageProcessorPil(),
            image_encoder=CLIPVisionModelWithProjection.from_pretrained(encoder, dtype=dtype),
        )
    except DAMAGED as error:
        reason = _reason(error, mvdream, encoder)
        raise InputError(f"A part of the base model {mvdream} cannot be read: {reason}") from error


def is_converted(folder: Path) -> bool:
    """Whether a folder is a whole pipeline of this package."""
    index = folder / "model_index.json"
    content = read_json(index) if index.is_file() else None
    return isinstance(content, dict) and content.get("_class_name") == MultiViewVideoPipeline.__name__


def load_converted(folder: str | os.PathLike[str], *, dtype: torch.dtype = torch.float32) -> MultiViewVideoPipeline:
    """The pipeline of a folder that `convert` or ``python -m animate3d.mvvdm.tiny`` wrote.

    Raises:
        InputError: not such a folder, or a file of it is missing or damaged.
    """
    folder = existing_folder(folder, "weights folder")
    if not is_converted(folder):
        raise InputError(
            f"{folder} is not a folder made by `animate3d convert-weights`: its model_index.json is missing or names "
            "another pipeline."
        )
    try:
        with _without_bars() if _size(folder) < LONG_TO_LOAD else nullcontext():
            return MultiViewVideoPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except DAMAGED as error:
        raise InputError(f"The weights in {folder} are incomplete or damaged: {_reason(error, folder)}") from error


def _size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@contextmanager
def _without_bars() -> Iterator[None]:
    """diffusers' and transformers' progress bars are off; several lines for a fraction of a second say nothing."""
    shown = [library for library in (diffusers_logging, transformers_logging) if library.is_progress_bar_enabled()]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()


def convert(
    output: str | os.PathLike[str],
    config: Mapping[str, Any],
    motion_checkpoint: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write the released parts as one folder for ``MultiViewVideoPipeline.from_pretrained``; whole or not at all."""
    pipeline = assemble(config, motion_checkpoint, dtype=dtype)
    with atomic_directory(output) as temporary:
        pipeline.save_pretrained(temporary)


def _reason(error: Exception, *folders: Path) -> str:
    """The first line of an error; safetensors' own do not say which file they are about, so that is looked for."""
    if isinstance(error, SafetensorError):
        for path in (path for folder in folders for path in sorted(folder.rglob("*.safetensors"))):
            try:
                with safe_open(path, "pt"):
                    pass
            except SafetensorError:
                return f"{path}: {_first_line(error)}"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


_EXAMPLES = """example:
  animate3d convert-weights weights/animate3d --motion-checkpoint pretrained_models/animate3d_motion_modules.ckpt

Afterwards the folder is all that is needed: `animate3d animate … --weights weights/animate3d`.
"""


def main(argv: list[str] | None = None) -> int:
    """Command line of ``animate3d convert-weights``."""
    parser = argparse.ArgumentParser(
        prog="animate3d convert-weights",
        description="Put the released weights together in one folder.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, help="folder to write")
    parser.add_argument("--motion-checkpoint", type=Path, required=True, help="the method's trained weights")
    parser.add_argument(
        "--config", type=Path, default=Path("configs/inference/inference.yaml"), help="inference config"
    )
    parser.add_argument("--base", help="MVDream's weights: folder or hub name (default: the config's)")
    parser.add_argument("--motion-adapter", help="AnimateDiff's adapter: folder or hub name (default: the config's)")
    parser.add_argument("--ip-adapter", help="IP-Adapter: folder, file or hub name (default: the config's)")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float32", help="of the written weights")
    options = parser.parse_args(argv)
    path = find_resource(options.config)
    config = read_config(path)
    sources = {
        "pretrained_model_path": options.base,
        "motion_adapter_path": options.motion_adapter,
        "ip_adapter_path": options.ip_adapter,
    }
    config.update({key: value for key, value in sources.items() if value is not None})
    source_in(config, "pretrained_model_path", path)
    convert(options.output, config, options.motion_checkpoint, dtype=DTYPES[options.dtype])
    return 0


DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """An inference config as plain values.

    Raises:
        InputError: missing, or not a YAML mapping.
    """
    path = existing_file(path, "config")
    try:
        config = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:  # the YAML and interpolation errors share no base class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"The config {path} cannot be read: {reason}") from error
    if not isinstance(config, dict):
        raise InputError(f"The config {path} is not a mapping of keys to values.")
    return {str(key): value for key, value in config.items()}


if __name__ == "__main__":
    run_command(main)
