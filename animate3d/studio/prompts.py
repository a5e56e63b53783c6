"""Prompts: view-dependent wording, text embeddings, and their cache on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from animate3d.errors import InputError
from animate3d.files import atomic_file, existing_file
from animate3d.studio.base import BaseObject
from animate3d.studio.misc import cleanup
from animate3d.studio.registry import info, register, warn


def hash_prompt(model: str, prompt: str) -> str:
    """Name of a prompt's file in the cache."""
    return md5(f"{model}-{prompt}".encode()).hexdigest()


def shift_azimuth_deg(azimuth: Tensor) -> Tensor:
    """Azimuth in [-180, 180)."""
    return (azimuth + 180) % 360 - 180


@dataclass
class DirectionConfig:
    """A class of view directions: its wording and which cameras belong to it."""

    name: str
    prompt: Callable[[str], str]
    negative_prompt: Callable[[str], str]
    condition: Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass
class PromptProcessorOutput:
    """Text embeddings, and the choice of the right ones for a batch of cameras.

    Attributes:
        text_embeddings, uncond_text_embeddings: ``[1, L, D]``
        text_embeddings_vd, uncond_text_embeddings_vd: ``[4, L, D]`` in the order of ``directions``.
    """

    text_embeddings: Tensor
    uncond_text_embeddings: Tensor
    text_embeddings_vd: Tensor
    uncond_text_embeddings_vd: Tensor
    directions: list[DirectionConfig]
    direction2idx: dict[str, int]
    prompt: str
    prompts_vd: list[str]

    def get_direction_indices(self, elevation: Tensor, azimuth: Tensor, camera_distances: Tensor) -> Tensor:
        """Index into ``directions`` of every camera ``[B]`` (degrees); a later direction wins."""
        indices = torch.zeros_like(elevation, dtype=torch.long)
        for i, direction in enumerate(self.directions):
            indices[direction.condition(elevation, azimuth, camera_distances)] = i
        return indices

    def get_text_embeddings(
        self, elevation: Tensor, azimuth: Tensor, camera_distances: Tensor, view_dependent_prompting: bool = True
    ) -> Tensor:
        """Embeddings of ``B`` cameras ``[2B, L, D]``: the conditional ones, then the unconditional ones."""
        batch_size = elevation.shape[0]
        if view_dependent_prompting:
            indices = self.get_direction_indices(elevation, azimuth, camera_distances).to(self.text_embeddings.device)
            return torch.cat([self.text_embeddings_vd[indices], self.uncond_text_embeddings_vd[indices]])
        expand = (batch_size, -1, -1)
        return torch.cat([self.text_embeddings.expand(expand), self.uncond_text_embeddings.expand(expand)])


class PromptProcessor(BaseObject):
    """Words a prompt for every direction; a subclass turns text into embeddings.

    Nothing is encoded, loaded or downloaded before the processor is called.
    """

    @dataclass
    class Config(BaseObject.Config):
        prompt: str = "a hamburger"
        prompt_front: str | None = None
        prompt_side: str | None = None
        prompt_back: str | None = None
        prompt_overhead: str | None = None
        negative_prompt: str = ""
        pretrained_model_name_or_path: str = "runwayml/stable-diffusion-v1-5"
        overhead_threshold: float = 60.0
        front_threshold: float = 45.0
        back_threshold: float = 45.0
        view_dependent_prompt_front: bool = False
        use_cache: bool = True
        spawn: bool = True
        """Accepted for threestudio's configs; encoding happens in this process and frees its model."""
        use_perp_neg: bool = False
        perp_neg_f_sb: Any = (1, 0.5, -0.606)
        perp_neg_f_fsb: Any = (1, 0.5, +0.967)
        perp_neg_f_fs: Any = (4, 0.5, -2.426)
        perp_neg_f_sf: Any = (4, 0.5, -2.426)
        use_prompt_debiasing: bool = False
        pretrained_model_name_or_path_prompt_debiasing: str = "bert-base-uncased"
        prompt_debiasing_mask_ids: list[int] | None = None

    cache_dir = Path(".threestudio_cache/text_embeddings")

    def configure(self) -> None:  # type: ignore[override]
        """Word the prompt for every direction."""
        for key in ("use_perp_neg", "use_prompt_debiasing"):
            if self.cfg[key]:
                raise InputError(f"{key} is not part of the embedded host; leave it false.")
        if self.cfg.view_dependent_prompt_front:
            wording = {d: f"{'backside' if d == 'back' else d} view of {{}}" for d in _DIRECTIONS}
        else:
            wording = {d: f"{{}}, {d} view" for d in _DIRECTIONS}
        conditions = {
            "side": lambda ele, azi, dis: torch.ones_like(ele, dtype=torch.bool),
            "front": lambda ele, azi, dis: shift_azimuth_deg(azi).abs() < self.cfg.front_threshold,
            "back": lambda ele, azi, dis: shift_azimuth_deg(azi).abs() > 180 - self.cfg.back_threshold,
            "overhead": lambda ele, azi, dis: ele > self.cfg.overhead_threshold,
        }
        # Not str.format on the prompt itself: it may contain braces.
        self.directions = [
            DirectionConfig(d, lambda s, w=wording[d]: w.replace("{}", s), lambda s: s, conditions[d])  # type: ignore[misc]
            for d in _DIRECTIONS
        ]
        self.direction2idx = {d: i for i, d in enumerate(_DIRECTIONS)}
        self.prompt = self.preprocess_prompt(self.cfg.prompt)
        self.negative_prompt = self.cfg.negative_prompt
        given = [self.cfg.get(f"prompt_{d}") for d in _DIRECTIONS]
        self.prompts_vd = [g or d.prompt(self.prompt) for g, d in zip(given, self.directions, strict=True)]
        self.negative_prompts_vd = [d.negative_prompt(self.negative_prompt) for d in self.directions]
        info("Using prompt [%s] and negative prompt [%s]", self.prompt, self.negative_prompt)
        worded = " ".join(f"[{d}]:[{p}]" for d, p in zip(_DIRECTIONS, self.prompts_vd, strict=True))
        info("Using view-dependent prompts %s", worded)
        self._output: PromptProcessorOutput | None = None

    def encode(self, prompts: list[str]) -> Tensor:
        """Embeddings ``[P, L, D]`` of ``P`` texts; override."""
        raise NotImplementedError

    def __call__(self) -> PromptProcessorOutput:
        """Embeddings of the prompt; computed or read from the cache at the first call."""
        if self._output is None:
            self._output = self._prepare()
        return self._output

    def _prepare(self) -> PromptProcessorOutput:
        texts = [self.prompt, self.negative_prompt, *self.prompts_vd, *self.negative_prompts_vd]
        kept = {text: self._read(text) if self.cfg.use_cache else None for text in texts}
        missing = [text for text, embedding in kept.items() if embedding is None]
        if missing:
            with torch.no_grad():
                embeddings = self.encode(missing)
            for text, embedding in zip(missing, embeddings, strict=True):
                kept[text] = embedding.detach().cpu().clone()
                with atomic_file(self._cached(text)) as temporary:
                    torch.save(kept[text], temporary)
            cleanup()
        loaded = torch.stack([embedding for text in texts if (embedding := kept[text]) is not None])
        text, uncond, vd, uncond_vd = loaded.to(self.device).split([1, 1, 4, 4])
        return PromptProcessorOutput(
            text_embeddings=text,
            uncond_text_embeddings=uncond,
            text_embeddings_vd=vd,
            uncond_text_embeddings_vd=uncond_vd,
            directions=self.directions,
            direction2idx=self.direction2idx,
            prompt=self.prompt,
            prompts_vd=self.prompts_vd,
        )

    def _read(self, text: str) -> Tensor | None:
        """The embedding ``[L, D]`` of a text in the cache; None where there is none, or a damaged one."""
        path = self._cached(text)
        if not path.is_file():
            return None
        try:
            embedding = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # the unpickler raises whatever a damaged file leads it into
            embedding = None
        if isinstance(embedding, Tensor):
            return embedding
        warn("%s is damaged; the prompt [%s] is encoded again.", path, text)
        return None

    def _cached(self, text: str) -> Path:
        return self.cache_dir / f"{hash_prompt(self.cfg.pretrained_model_name_or_path, text)}.pt"

    def preprocess_prompt(self, prompt: str) -> str:
        """``lib:word_word`` becomes the one prompt of ``load/prompt_library.json`` that has these words."""
        if not prompt.startswith("lib:"):
            return prompt
        words = prompt[4:].lower().split("_")
        library = json.loads(existing_file(os.path.join("load", "prompt_library.json"), "prompt library").read_text())
        matches = [p for p in library["dreamfusion"] if all(w in p.lower() for w in words)]
        if len(matches) != 1:
            raise InputError(f"{len(matches)} prompts of the library contain {' and '.join(words)}; exactly one must.")
        info("Find matched prompt in library: %s", matches[0])
        return matches[0]


_DIRECTIONS = ("side", "front", "back", "overhead")


@register("stable-diffusion-prompt-processor")
class StableDiffusionPromptProcessor(PromptProcessor):
    """Embeddings of Stable Diffusion's CLIP text encoder (subfolders ``tokenizer`` and ``text_encoder``)."""

    def encode(self, prompts: list[str]) -> Tensor:
        """``[P, 77, D]``; longer texts are cut, with a warning."""
        from transformers import CLIPTextModel, CLIPTokenizer

        model = self.cfg.pretrained_model_name_or_path
        try:
            tokenizer = CLIPTokenizer.from_pretrained(model, subfolder="tokenizer")
            encoder = CLIPTextModel.from_pretrained(model, subfolder="text_encoder")
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"The text encoder of '{model}' cannot be loaded ({reason}); set "
                "system.prompt_processor.pretrained_model_name_or_path to a diffusers folder or model name."
            ) from error
        encoder = encoder.eval().to(self.device)  # type: ignore[arg-type]  # its stub is wrong
        length = tokenizer.model_max_length
        for prompt in prompts:
            if len(tokenizer(prompt).input_ids) > length:
                warn("The prompt [%s] is longer than %d tokens; the rest is ignored.", prompt, length)
        tokens = tokenizer(prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return encoder(tokens.input_ids.to(self.device))[0].float()
