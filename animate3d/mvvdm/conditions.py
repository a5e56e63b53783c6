"""Condition images: what users have, made into what the model was trained with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from animate3d import frames
from animate3d.errors import InputError

if TYPE_CHECKING:  # diffusers takes seconds to import
    from animate3d.mvvdm.model.attention import Prompt
    from animate3d.mvvdm.model.unet import MultiViewUNet
    from animate3d.mvvdm.windows import Windows

logger = logging.getLogger(__name__)

GREY = round(255 * frames.GREY)
"""The background of every training image."""


@dataclass
class Conditions:
    """What the UNet needs besides noisy latents; the rows are (b v).

    Text and image have, with guidance, the unconditional rows first; the others are the same with and without.
    """

    views: int
    text: Tensor
    image: Tensor
    camera: Tensor | None
    first_frame: Tensor  # [(b v), c, 1, h, w]
    windows: Windows | None = None  # of a video that is longer than what the UNet sees at once
    prompts: dict[tuple[int, int], tuple[Tensor, Prompt]] = field(default_factory=dict)

    def prompt(self, unet: MultiViewUNet, rows: slice) -> Prompt:
        """The prompt of some rows; one object for all steps, so that its keys and values are made once."""
        start, stop, _ = rows.indices(len(self.text))
        text, prompt = self.prompts.get((start, stop), (None, None))
        if prompt is None or text is not self.text:  # a callback can replace the text
            prompt = unet.prompt(self.text[rows], {"image_embeds": self.image[rows]})
            self.prompts[start, stop] = self.text, prompt
        return prompt


def prepare_images(images: Sequence[Image.Image], height: int, width: int) -> list[Image.Image]:
    """RGB images of the videos' shape, of any size, on the grey background; warns about everything it had to change."""
    prepared, notes = [], []
    for image in images:
        if "A" in image.getbands() or "transparency" in image.info:
            image, changed = _on_grey(image.convert("RGBA"))
            if changed:
                notes.append("transparent pixels are shown on the grey (128) that the model was trained with")
        elif _white_border(image):
            notes.append(
                "an image has a white background, which the model never saw: results are better with a transparent "
                "background, or with grey (128)"
            )
        image = image.convert("RGB")
        padded = _pad(image, height, width)
        if padded is not image:
            notes.append(
                f"an image of {image.width}x{image.height} is padded with grey to {padded.width}x{padded.height}"
            )
        prepared.append(padded)
    for note in dict.fromkeys(notes):
        logger.warning("Condition images: %s.", note)
    return prepared


def _on_grey(image: Image.Image) -> tuple[Image.Image, bool]:
    """An RGBA image as RGB on the grey, and whether that changed a colour.

    Step 2 stores colours that are on the grey already and the coverage as alpha: these are taken as they are.
    """
    color, alpha = np.asarray(image)[..., :3], np.asarray(image)[..., 3]
    outside = color[alpha == 0].astype(int)
    if outside.size and (abs(outside - GREY) <= 1).all():
        return image.convert("RGB"), False
    composed = Image.alpha_composite(Image.new("RGBA", image.size, (GREY, GREY, GREY, 255)), image).convert("RGB")
    return composed, not np.array_equal(np.asarray(composed), color)


def _white_border(image: Image.Image) -> bool:
    pixels = np.asarray(image.convert("RGB"))
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool((border >= 250).all(axis=-1).mean() > 0.9)


def _pad(image: Image.Image, height: int, width: int) -> Image.Image:
    if image.width * height == image.height * width:
        return image
    if image.width * height > image.height * width:
        size = (image.width, round(image.width * height / width))
    else:
        size = (round(image.height * width / height), image.height)
    padded = Image.new("RGB", size, (GREY, GREY, GREY))
    padded.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return padded


def to_tensor(images: Sequence[Image.Image], height: int, width: int) -> Tensor:
    """``[N, 3, height, width]`` float32 in -1..1, as the image autoencoder wants it.

    Bilinear without smoothing down to half the size, as in the reference; with smoothing below that, where it would
    skip pixels.
    """
    resized = []
    for image in images:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        if pixels.shape[-2:] != (height, width):
            smooth = pixels.shape[-2] > 2 * height or pixels.shape[-1] > 2 * width
            pixels = interpolate(pixels, (height, width), mode="bilinear", antialias=smooth)
        resized.append(pixels)
    return torch.cat(resized) * 2 - 1


def group_images(images: object) -> list[list[Image.Image]]:
    """One list of V images per object, from one object's images or a list of such lists.

    Raises:
        InputError: no images, something that is not an image, or objects with different numbers of views.
    """
    if not isinstance(images, Sequence) or isinstance(images, str) or not images:
        raise InputError("`images` is empty or not a list; give the V images of one object, or a list of such lists.")
    groups = [list(group) for group in images] if isinstance(images[0], Sequence) else [list(images)]
    opened = [[_image(item) for item in group] for group in groups]
    counts = sorted({len(group) for group in opened})
    if len(counts) != 1 or counts[0] == 0:
        raise InputError(f"Every object of a call needs the same number of images; these have {counts}.")
    return opened


def _image(item: object) -> Image.Image:
    if isinstance(item, Image.Image):
        return item
    if isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 3 and item.shape[-1] in (3, 4):
        return Image.fromarray(item)
    raise InputError(f"A condition image is a {type(item).__name__}; give PIL images or uint8 arrays [H, W, 3 or 4].")


def embed_text(
    tokenizer: Any, text_encoder: Any, device: torch.device, prompt: str | Sequence[str], batch: int, what: str
) -> Tensor:
    """Text embeddings ``[batch, 77, D]`` of one sentence for all objects or one for each; warns about what is cut off.

    Raises:
        InputError: their number does not fit; says ``what`` they are.
    """
    prompts = [prompt] * batch if isinstance(prompt, str) else list(prompt)
    if len(prompts) == 1:
        prompts *= batch
    if len(prompts) != batch:
        raise InputError(f"{len(prompts)} {what} for {batch} objects; give one for each or one for all.")
    length = tokenizer.model_max_length
    ids = tokenizer(prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    for text in dict.fromkeys(prompts):
        tokens = tokenizer(text, add_special_tokens=False).input_ids
        if len(tokens) > length - 2:
            lost = tokenizer.decode(tokens[length - 2 :]).strip()
            logger.warning("The prompt is longer than %d tokens; this is cut off: %s", length, lost)
    return text_encoder(ids.to(device))[0]
