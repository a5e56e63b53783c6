"""The parts of the bundled model, small enough to be trained on two CPU cores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from animate3d.bundled_model.folder import SIZE, VIEWS
from animate3d.mvvdm.model.motion_module import MotionTransformer
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.tiny import END, NOISE_SCHEDULE, START, clip_tokenizer

MAX_TOKENS = 24
TEXT_WIDTH, IMAGE_WIDTH = 96, 64
UNET_WIDTHS, HEAD_WIDTH = (64, 128, 160), 32
LATENT_DEVIATION = 0.7
"""Standard deviation of scaled latents. Creatures fill a tenth of an image and stand out even from much noise: with
less signal, the motion is decided at more of the noise levels."""


def build_tokenizer(words: Iterable[str]) -> CLIPTokenizer:
    """CLIP's tokenizer with every given word as one token; others fall apart into pieces of them."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,
        min_frequency=1,
        end_of_word_suffix="</w>",
        initial_alphabet=letters,
        # Or the trainer numbers those of the words in the order of a hash map, which no seed repeats.
        special_tokens=[f"{letter}</w>" for letter in letters],
        show_progress=False,
    )
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Whitespace()
    learned.train_from_iterator(sorted(set(words)), trainer)
    state = json.loads(learned.to_str())["model"]
    tokens = [*state["vocab"], START, END]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in state["merges"]]
    return clip_tokenizer(tokens, merges, MAX_TOKENS)


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A CLIP text encoder of two layers, untrained."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=3,
            projection_dim=TEXT_WIDTH,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_image_encoder() -> CLIPVisionModelWithProjection:
    """A CLIP image encoder of three layers over 16 patches, untrained."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=96,
            intermediate_size=192,
            num_hidden_layers=3,
            num_attention_heads=3,
            projection_dim=IMAGE_WIDTH,
            image_size=SIZE,
            patch_size=16,
        )
    )


def build_feature_extractor() -> CLIPImageProcessorPil:
    """The processor that brings images to the size of the image encoder."""
    return CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})


def build_scheduler() -> DDIMScheduler:
    """The noise levels of the full model, for velocities; few steps have to begin where there is nothing but noise."""
    changes = {"prediction_type": "v_prediction", "timestep_spacing": "trailing", "steps_offset": 0}
    return DDIMScheduler(**{**NOISE_SCHEDULE, **changes})


def build_unet(latent_channels: int, patch_size: int) -> MultiViewUNet:
    """Convolutions alone at the finest level; every attention of the full model at the two others.

    Its head for `Origins` says that every pixel stays where it is.
    """
    heads = tuple(width // HEAD_WIDTH for width in UNET_WIDTHS)
    unet = MultiViewUNet(
        sample_size=SIZE // patch_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("DownBlockMotion", "CrossAttnDownBlockMotion", "CrossAttnDownBlockMotion"),
        up_block_types=("CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion", "UpBlockMotion"),
        block_out_channels=UNET_WIDTHS,
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=TEXT_WIDTH,
        num_attention_heads=heads,
        motion_num_attention_heads=heads,
        image_embed_dim=IMAGE_WIDTH,
        num_views=VIEWS,
        i2v_cond_time_zero=True,
        learned_encoding_size=SIZE // patch_size,
        concat_first_frame=True,
        pooled_text=True,
        frame_embedding=True,
        position_embedding=True,
        levels_without_motion=(0,),
        origin_factor=patch_size,
    )
    silence_residuals(unet)
    head = cast(Any, unet.origin_head).layers
    nn.init.normal_(head[2].weight, std=0.002)
    nn.init.zeros_(head[2].bias)
    return unet


@torch.no_grad()
def silence_residuals(unet: MultiViewUNet) -> None:
    """Let every residual branch start at zero, which speeds up the first thousand steps of a training from scratch."""
    last: list[Any] = [unet.conv_out]
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D):
            last.append(module.conv2)
        elif isinstance(module, Transformer2DModel | MotionTransformer):
            last.append(module.proj_out)
    for layer in last:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def build_autoencoder() -> PatchAutoencoder:
    """An autoencoder of patches of 4×4 pixels with eight components, untrained."""
    return PatchAutoencoder(patch_size=4, latent_channels=8, refiner_channels=(96, 48, 24), refiner_layers=2)
