"""A complete pipeline of a few megabytes with random weights, for tests and dry runs. Downloads nothing.

python -m animate3d.mvvdm.tiny FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from tqdm import tqdm
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from animate3d.errors import run_command
from animate3d.files import atomic_directory
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline

START, END = "<|startoftext|>", "<|endoftext|>"
NOISE_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "steps_offset": 1,
    "clip_sample": False,
}
UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (16, 16, 32, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 32,
    "num_attention_heads": 4,
    "motion_num_attention_heads": 4,
    "image_embed_dim": 24,
    "learned_encoding_size": 8,
}


def tiny_pipeline(seed: int = 0, unet: Mapping[str, Any] | None = None) -> MultiViewVideoPipeline:
    """Build it, with other arguments of `MultiViewUNet` if they are given; the same seed gives the same weights."""
    generator = torch.Generator().manual_seed(seed)
    size: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens: dict[str, Any] = {"vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    text = CLIPTextConfig(**tokens, **size, intermediate_size=64, projection_dim=32)
    vision = CLIPVisionConfig(**size, intermediate_size=48, projection_dim=24, image_size=224, patch_size=32)
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        sample_size=64,
    )
    models = {
        "vae": vae,
        "text_encoder": CLIPTextModel(text),
        "image_encoder": CLIPVisionModelWithProjection(vision),
        "unet": MultiViewUNet(**{**UNET, **(unet or {})}),
    }
    for model in models.values():
        randomize(model, generator)
        model.eval()
    return MultiViewVideoPipeline(
        **models,
        tokenizer=_tokenizer(),
        scheduler=DDIMScheduler(**NOISE_SCHEDULE),
        feature_extractor=CLIPImageProcessorPil(),
    )


@torch.no_grad()
def randomize(model: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep signals at their size and leave no branch silent."""

    def draw(tensor: Tensor, scale: float) -> Tensor:
        return scale * torch.randn(tensor.shape, generator=generator).to(tensor)

    norms = {
        f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.LayerNorm | nn.GroupNorm)
    }
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            fan_in = parameter[0].numel()
            parameter.copy_(draw(parameter, max(0.05, 0.8 / fan_in**0.5)))
        elif name in norms:
            parameter.copy_(1 + draw(parameter, 0.05))
        else:
            parameter.copy_(draw(parameter, 0.5 if name.endswith("mix_factor") else 0.05))


def _tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer with single characters for words."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    shifted = range(256, 256 + 256 - len(printable))  # CLIP shows bytes that do not print as later characters
    letters = [chr(code) for code in (*printable, *shifted)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    return clip_tokenizer(tokens, [], 77)


def clip_tokenizer(tokens: Sequence[str], merges: Sequence[str], length: int) -> CLIPTokenizer:
    """CLIP's tokenizer with other tokens (`START` and `END` among them) and merges, for texts of ``length`` tokens."""
    settings = {"model_max_length": length, "bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", **settings}))
        return CLIPTokenizer.from_pretrained(folder)


def write_tiny(folder: str | os.PathLike[str], seed: int = 0) -> None:
    """Write the tiny pipeline as a folder for ``MultiViewVideoPipeline.from_pretrained``."""
    with atomic_directory(folder) as temporary:
        tiny_pipeline(seed).save_pretrained(temporary)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.mvvdm.tiny",
        description="Write a multi-view video model of a few megabytes with random weights.",
        epilog="example:\n  python -m animate3d.mvvdm.tiny weights/tiny",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")
    options = parser.parse_args(argv)
    write_tiny(options.folder, options.seed)
    tqdm.write(f"wrote {options.folder}: a model with random weights, for tests and dry runs")
    return 0


if __name__ == "__main__":
    run_command(main)
