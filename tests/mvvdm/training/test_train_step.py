"""The training step against the reference's recorded one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from golden.subset import kept
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import NOISE_SCHEDULE
from animate3d.mvvdm.training.draws import Draws
from animate3d.mvvdm.training.encode import Encoder, image_embeds, to_uint8
from animate3d.mvvdm.training.loss import Denoising, denoising_loss, noisy_latents, predict
from animate3d.mvvdm.training.trainable import freeze, recompute_activations
from animate3d.mvvdm.weights import unet_arguments

VARIANTS = ["pinned", "pinned_cond_time_zero"]
TRAINED = ("i2v.", "motion_modules.")


@pytest.fixture(scope="module")
def reference(golden: Path) -> MultiViewVideoPipeline:
    """The recorded tiny models."""
    parts = golden / "tiny_components"
    settings = json.loads((golden / "unet_tiny" / "config.json").read_text())
    unet = MultiViewUNet(**unet_arguments(settings["unet"], settings["motion_adapter"]), image_embed_dim=24)
    unet.load_state_dict(load_file(parts / "unet" / "diffusion_pytorch_model.safetensors"))
    return MultiViewVideoPipeline(
        vae=AutoencoderKL.from_pretrained(parts / "vae").eval(),
        text_encoder=CLIPTextModel.from_pretrained(parts / "text_encoder").eval(),
        tokenizer=CLIPTokenizer.from_pretrained(parts / "tokenizer"),
        unet=unet.train(),
        scheduler=DDIMScheduler(**NOISE_SCHEDULE),
        feature_extractor=CLIPImageProcessorPil.from_pretrained(parts / "feature_extractor"),
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(parts / "image_encoder").eval(),
    )


@pytest.fixture(scope="module")
def recorded(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "train_step" / "cases.safetensors")


@pytest.fixture(scope="module")
def meta(golden: Path) -> dict[str, dict]:
    return json.loads((golden / "train_step" / "cases.json").read_text())


def encode(reference: MultiViewVideoPipeline, recorded: dict[str, Tensor], texts: list[str], name: str) -> Denoising:
    pixels = recorded["batch.pixel_values_u8"]
    batch, views, frames = pixels.shape[:3]
    draws = Draws(
        posterior=recorded[f"{name}.rng.00.vae_posterior"].unflatten(0, (batch, views, frames)),
        noise=recorded[f"{name}.rng.01.torch.randn_like"],
        timesteps=recorded[f"{name}.rng.02.torch.randint"],
        drop_text=torch.zeros(batch, dtype=torch.bool),
    )
    return Encoder(reference)(pixels / 127.5 - 1, texts, recorded["batch.cameras"], draws)


def test_the_image_condition_matches_the_reference(
    reference: MultiViewVideoPipeline, recorded: dict[str, Tensor]
) -> None:
    first = to_uint8(recorded["batch.pixel_values_u8"][:, :, 0] / 127.5 - 1).flatten(0, 1)
    expected = recorded["image_embeds.transformers_4.25.1_pinned"]
    torch.testing.assert_close(image_embeds(reference, first), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "recompute"),
    [
        pytest.param("pinned", False, marks=pytest.mark.slow),
        ("pinned", True),
        ("pinned_cond_time_zero", False),
        pytest.param("pinned_cond_time_zero", True, marks=pytest.mark.slow),
    ],
)
def test_loss_and_gradients_match_the_reference(
    golden: Path,
    reference: MultiViewVideoPipeline,
    recorded: dict[str, Tensor],
    meta: dict[str, dict],
    name: str,
    recompute: bool,
) -> None:
    unet, scheduler = reference.unet, reference.scheduler
    trained = freeze(unet, TRAINED)
    assert list(trained) == meta["trainable_names"]
    unet.register_to_config(i2v_cond_time_zero=meta[name]["i2v_cond_time_zero"])
    batch = encode(reference, recorded, meta["batch"]["texts"], name)
    noisy = recorded[f"{name}.noisy_latents"]
    torch.testing.assert_close(kept(noisy_latents(batch, scheduler), noisy), noisy, atol=1e-5, rtol=0)

    unet.zero_grad()
    restore = recompute_activations(unet) if recompute else None
    loss = denoising_loss(unet, batch, scheduler)
    loss.backward()
    if restore is not None:
        restore()
    assert abs(loss.item() - meta[name]["loss"]) <= 1e-5
    assert loss.item() == pytest.approx(recorded[f"{name}.loss"].item(), abs=1e-5)
    for key, expected in meta[name]["grad_norms"].items():
        norm = trained[key].grad.norm().item()
        assert norm == pytest.approx(expected, rel=1e-3, abs=1e-9), key
    assert all(p.grad is None for key, p in unet.named_parameters() if key not in trained)


def test_the_prediction_matches_the_reference(
    reference: MultiViewVideoPipeline, recorded: dict[str, Tensor], meta: dict[str, dict]
) -> None:
    reference.unet.register_to_config(i2v_cond_time_zero=False)
    batch = encode(reference, recorded, meta["batch"]["texts"], "pinned")
    with torch.no_grad():
        predicted = predict(reference.unet, batch, reference.scheduler)
    expected = recorded["pinned.model_pred"]
    torch.testing.assert_close(kept(predicted, expected), expected, atol=1e-4, rtol=0)
    if "pinned.target" in recorded:
        assert torch.equal(batch.noise, recorded["pinned.target"])
