"""Text and image encoders of the bundled model, trained to distinguish what captions name.

Nobody's released CLIP would fit in a few megabytes, and the world of the bundled model is small: families, their
motions, colours and patterns. Phrases of the same motion are pulled together, words that are not known are learned to
be passed over. Afterwards the encoders are frozen, as in the full training.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from tqdm import trange
from transformers import CLIPImageProcessorPil, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from animate3d.creatures.captions import FAMILY_MOTIONS, OTHER_NAMES, captions, vocabulary
from animate3d.creatures.looks import COLORS, PATTERNS
from animate3d.small_model.clips import Clips
from animate3d.small_model.models import IMAGE_WIDTH, TEXT_WIDTH

FAMILIES = list(FAMILY_MOTIONS)
ALL_MOTIONS = [(family, motion) for family, motions in FAMILY_MOTIONS.items() for motion in motions]
COLOR_NAMES = ["", *COLORS]
PATTERN_NAMES = ["", *(pattern for pattern in PATTERNS if pattern != "plain")]
FILLERS = ("cute", "little", "big", "small", "happily", "slowly", "quickly", "beautiful", "friendly", "cartoon", "very")
"""Words that do not change the meaning of a sentence."""
LAST = 20
"""Steps at the end over which the share of right answers is averaged."""


def all_words() -> list[str]:
    """The words that the tokenizer knows as a whole."""
    others = [name for names in OTHER_NAMES.values() for name in names]
    return sorted({*vocabulary(), *others, *FILLERS, ".", ","})


# -- text ------------------------------------------------------------------------------------------------------------


def train_text_encoder(
    encoder: CLIPTextModel, tokenizer: CLIPTokenizer, *, steps: int = 1200, batch: int = 64, seed: int = 0
) -> dict[str, float]:
    """Train the text encoder in place; returns how often a linear layer reads motion and colour off sentences."""
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    heads = nn.ModuleDict(
        {
            "motion": nn.Linear(TEXT_WIDTH, len(ALL_MOTIONS)),
            "color": nn.Linear(TEXT_WIDTH, len(COLOR_NAMES)),
            "pattern": nn.Linear(TEXT_WIDTH, len(PATTERN_NAMES)),
        }
    )
    optimizer, schedule = _optimizer([*encoder.parameters(), *heads.parameters()], 1e-3, steps)
    right = {"motion": 0.0, "color": 0.0}
    encoder.train()
    for step in (bar := trange(steps, desc="text encoder")):
        labels = _draw_labels(generator, batch)
        # Two sentences of the same meaning have to give the same embedding, which the UNet gets the mean of.
        sentences = [_sentence(generator, *row) for _ in range(2) for row in labels.tolist()]
        pooled = embed(encoder, tokenizer, sentences).mean(dim=1)
        one, other = pooled.chunk(2)
        targets = dict(zip(heads, labels.T.repeat(1, 2), strict=True))
        logits = {name: head(pooled) for name, head in heads.items()}
        loss = sum((cross_entropy(logits[name], targets[name]) for name in heads), start=3 * mse_loss(one, other))
        _step(optimizer, schedule, loss)
        bar.set_postfix(loss=f"{loss.item():.3f}")
        if step >= steps - LAST:
            for name in right:
                right[name] += float((logits[name].argmax(dim=1) == targets[name]).float().mean()) / LAST
    encoder.eval()
    return {name: round(value, 4) for name, value in right.items()}


def embed(encoder: CLIPTextModel, tokenizer: CLIPTokenizer, sentences: list[str]) -> Tensor:
    """Embeddings ``[N, S, D]`` of sentences."""
    length = tokenizer.model_max_length
    ids = tokenizer(sentences, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    return encoder(ids.to(encoder.device))[0]


def _draw_labels(generator: np.random.Generator, count: int) -> Tensor:
    colors = generator.integers(len(COLOR_NAMES), size=count) * (generator.random(count) < 0.6)
    patterns = generator.integers(len(PATTERN_NAMES), size=count)
    return torch.from_numpy(np.stack([generator.integers(len(ALL_MOTIONS), size=count), colors, patterns], axis=1))


def _sentence(generator: np.random.Generator, motion: int, color: int, pattern: int) -> str:
    """One of the captions of a meaning, sometimes worded as nobody foresaw."""
    family, name = ALL_MOTIONS[motion]
    words = str(generator.choice(captions(family, name, COLOR_NAMES[color], PATTERN_NAMES[pattern]))).split()
    if generator.random() < 0.2:
        words = [str(generator.choice(OTHER_NAMES[family])) if word == family else word for word in words]
    if generator.random() < 0.2:
        words = [word for word in words if word not in ("a", "an", "the", "is")]
    for _ in range(generator.integers(3) if generator.random() < 0.4 else 0):
        strange = "".join(chr(ord("a") + code) for code in generator.integers(26, size=generator.integers(3, 8)))
        word = str(generator.choice(FILLERS)) if generator.random() < 0.5 else strange
        words.insert(int(generator.integers(len(words) + 1)), word)
    return " ".join(words) + ("." if generator.random() < 0.2 else "")


# -- images ----------------------------------------------------------------------------------------------------------


def train_image_encoder(
    encoder: CLIPVisionModelWithProjection,
    extractor: CLIPImageProcessorPil,
    clips: Clips,
    *,
    steps: int = 600,
    batch: int = 64,
    seed: int = 0,
) -> dict[str, float]:
    """Train the image encoder in place; returns the share of images whose family a linear layer reads off."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    families, colors = (
        torch.tensor([_find(text, names) for text in clips.texts]) for names in (FAMILIES, COLOR_NAMES[1:])
    )
    heads = nn.ModuleDict(
        {
            "family": nn.Linear(IMAGE_WIDTH, len(FAMILIES)),
            "color": nn.Linear(IMAGE_WIDTH, len(COLORS)),
            "view": nn.Linear(IMAGE_WIDTH, clips.pixels.shape[1]),
        }
    )
    optimizer, schedule = _optimizer([*encoder.parameters(), *heads.parameters()], 1e-3, steps)
    views, frames = clips.pixels.shape[1:3]
    right = 0.0
    encoder.train()
    for step in (bar := trange(steps, desc="image encoder")):
        index = torch.randint(len(clips.texts) * views * frames, (batch,), generator=generator)
        clip, view = index // (views * frames), index // frames % views
        embeds = encoder(normalized(clips.images(index), extractor)).image_embeds
        targets = {"family": families[clip], "color": colors[clip], "view": view}
        logits = {name: head(embeds) for name, head in heads.items()}
        # Half of the captions name no colour: -1, which is left out.
        losses = (cross_entropy(logits[name], targets[name], ignore_index=-1, reduction="sum") for name in heads)
        loss = sum(losses, torch.zeros(())) / batch
        _step(optimizer, schedule, loss)
        bar.set_postfix(loss=f"{loss.item():.3f}")
        if step >= steps - LAST:
            right += float((logits["family"].argmax(dim=1) == families[clip]).float().mean()) / LAST
    encoder.eval()
    return {"family": round(right, 4)}


def normalized(images: Tensor, extractor: CLIPImageProcessorPil) -> Tensor:
    """Images ``[N, 3, H, W]`` in -1..1 as the feature extractor gives them to the encoder."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (extractor.image_mean, extractor.image_std))
    return ((images + 1) / 2 - mean) / std


def _find(text: str, names: list[str]) -> int:
    words = re.findall(r"\w+", text.lower())
    return next((index for index, name in enumerate(names) if name in words), -1)


# -- both ------------------------------------------------------------------------------------------------------------


def _optimizer(
    parameters: list[nn.Parameter], rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)


def _step(optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([value for group in optimizer.param_groups for value in group["params"]], 1.0)
    optimizer.step()
    schedule.step()
