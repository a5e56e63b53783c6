"""Clips to what the model reads: latents, text and image embeddings; on request kept on disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from animate3d.files import atomic_file
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training.draws import Draws
from animate3d.mvvdm.training.loss import Denoising

CHUNK = 16
"""Images the autoencoder encodes at a time."""


class Encoder:
    """The frozen models in front of the UNet.

    Args:
        pipeline: its autoencoder, text and image models are used, where they are.
        cache: folder that keeps what was encoded; entries are named by content, so they never go stale.
    """

    def __init__(self, pipeline: MultiViewVideoPipeline, cache: str | os.PathLike[str] | None = None) -> None:
        self.pipeline = pipeline
        self.cache = None if cache is None else _Cache(Path(cache), pipeline)
        self._texts: dict[str, Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where results are."""
        return self.pipeline.vae.device

    def __call__(self, clips: Tensor, texts: list[str], camera: Tensor, draws: Draws) -> Denoising:
        """Encode one batch.

        Args:
            clips: ``[B, V, F, 3, H, W]`` in -1..1.
            texts: B prompts; those that `draws` drops are read as empty.
            camera: ``[B, V, 16]``
        """
        encoded = [self._clip(clip) for clip in clips]
        mean, std, image = (torch.stack([item[key] for item in encoded]) for key in ("mean", "std", "image"))
        scale = self.pipeline.vae.config["scaling_factor"]
        latents = (mean + std * draws.posterior.to(self.device)) * scale  # [B, V, F, C, h, w]
        dropped = ["" if drop else text for text, drop in zip(texts, draws.drop_text.tolist(), strict=True)]
        return Denoising(
            latents=latents.transpose(2, 3),
            noise=draws.noise.to(self.device),
            timesteps=draws.timesteps.to(self.device),
            text=torch.stack([self._text(text) for text in dropped]).float(),
            image_embeds=image.float(),
            camera=camera.to(self.device),
        )

    def _clip(self, clip: Tensor) -> dict[str, Tensor]:
        """Mean and deviation of the latents ``[V, F, C, h, w]``, and image embeddings ``[V, E]``."""
        pixels = to_uint8(clip)
        if self.cache is not None and (found := self.cache.read(pixels)) is not None:
            return {key: value.to(self.device) for key, value in found.items()}
        encoded = {"image": image_embeds(self.pipeline, pixels[:, 0]), **self._latents(clip)}
        if self.cache is not None:
            self.cache.write(pixels, encoded)
        return encoded

    @torch.no_grad()
    def _latents(self, clip: Tensor) -> dict[str, Tensor]:
        vae = self.pipeline.vae
        parts = [
            vae.encode(part.to(device=vae.device, dtype=vae.dtype)).latent_dist
            for part in clip.flatten(0, 1).split(CHUNK)
        ]
        return {
            name: torch.cat([getattr(part, name).float() for part in parts]).unflatten(0, clip.shape[:2])
            for name in ("mean", "std")
        }

    def _text(self, text: str) -> Tensor:
        if text not in self._texts:
            if len(self._texts) >= 4096:  # 0.25 MB each
                self._texts.clear()
            found = None if self.cache is None else self.cache.read(text)
            if found is None:
                found = {"text": text_embeds(self.pipeline, text)}
                if self.cache is not None:
                    self.cache.write(text, found)
            self._texts[text] = found["text"].to(self.device)
        return self._texts[text]


def to_uint8(clip: Tensor) -> Tensor:
    """Pixels from -1..1 to 0..255, cut off and not rounded: that is how the reference made its image condition."""
    return ((clip + 1) / 2 * 255).clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def image_embeds(pipeline: MultiViewVideoPipeline, images: Tensor) -> Tensor:
    """Embeddings ``[N, E]`` of uint8 images ``[N, 3, H, W]``, by the path that inference takes."""
    arrays = list(images.movedim(1, -1).cpu().numpy())
    pixels = pipeline.feature_extractor(images=arrays, return_tensors="pt").pixel_values
    encoder = pipeline.image_encoder
    return encoder(pixels.to(device=encoder.device, dtype=encoder.dtype)).image_embeds


@torch.no_grad()
def text_embeds(pipeline: MultiViewVideoPipeline, text: str) -> Tensor:
    """Embedding ``[77, D]`` of a prompt; longer prompts are cut."""
    tokenizer = pipeline.tokenizer
    ids = tokenizer(
        [text], padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).input_ids
    return pipeline.text_encoder(ids.to(pipeline.text_encoder.device))[0][0]


class _Cache:
    def __init__(self, folder: Path, pipeline: MultiViewVideoPipeline) -> None:
        # Another autoencoder or another precision must not find these entries.
        self.folder = folder / _fingerprint(pipeline)

    def _path(self, content: Tensor | str) -> Path:
        digest = hashlib.sha256()
        if isinstance(content, Tensor):
            digest.update(repr(tuple(content.shape)).encode())
            digest.update(content.cpu().contiguous().numpy().tobytes())
        else:
            digest.update(content.encode())
        name = digest.hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def read(self, content: Tensor | str) -> dict[str, Tensor] | None:
        path = self._path(content)
        if not path.is_file():
            return None
        try:
            return load_file(path)
        except (SafetensorError, OSError):
            return None  # damaged: encode again and replace it

    def write(self, content: Tensor | str, tensors: dict[str, Tensor]) -> None:
        with atomic_file(self._path(content)) as temporary:
            save_file({key: value.cpu().contiguous() for key, value in tensors.items()}, temporary)


def _fingerprint(pipeline: MultiViewVideoPipeline) -> str:
    digest = hashlib.sha256()
    for model in (pipeline.vae, pipeline.text_encoder, pipeline.image_encoder):
        digest.update(str(model.dtype).encode())
        for name, value in model.state_dict().items():
            sums: Any = value.double()
            digest.update(f"{name} {tuple(value.shape)} {sums.sum().item()} {sums.abs().sum().item()}".encode())
    return digest.hexdigest()[:16]
