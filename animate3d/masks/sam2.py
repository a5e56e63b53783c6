"""Masks with SAM 2: the video model of transformers, prompted with the template mask of frame 0."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from animate3d.errors import InputError

if TYPE_CHECKING:
    from transformers import Sam2VideoModel
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

Image = NDArray[np.float32]

HUB_MODELS = {
    "facebook/sam2.1-hiera-large": "0.9 GB",
    "facebook/sam2.1-hiera-base-plus": "0.32 GB",
    "facebook/sam2.1-hiera-small": "0.18 GB",
    "facebook/sam2.1-hiera-tiny": "0.16 GB",
}
"""Released models, the best first, and the size of their weights."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, with which the models were trained
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def find_weights(model: str | os.PathLike[str] | None = None) -> Path | None:
    """Folder with the configuration and weights of a SAM 2 video model on this machine.

    Args:
        model: a folder, or a hub name to look up in the local cache; by default any of `HUB_MODELS`.

    Raises:
        InputError: a folder was given that holds no such model.
    """
    if model is None:
        return next((folder for name in HUB_MODELS if (folder := find_weights(name))), None)
    path = Path(model)
    if path.is_dir():
        if (path / "config.json").is_file() and any((path / name).is_file() for name in _WEIGHTS):
            return path
        raise InputError(f"{path} holds no SAM 2 model: config.json and model.safetensors are needed.")
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = [try_to_load_from_cache(str(model), name) for name in ("config.json", *_WEIGHTS)]
    except HFValidationError as error:
        raise InputError(f"The SAM 2 model {model} is neither a folder nor a hub name.") from error
    found = [Path(entry) for entry in cached[1:] if isinstance(entry, str)]
    return found[0].parent if found and isinstance(cached[0], str) else None


class Sam2Segmenter:
    """Cuts the object of one view out of its frames with SAM 2; the network of a folder is loaded when first used."""

    name = "sam2"
    parallel = False

    def __init__(self, folder: str | os.PathLike[str], device: str | torch.device | None = None) -> None:
        self._folder = Path(folder)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model: Sam2VideoModel | None = None

    def segment(self, frames: Iterable[NDArray[np.uint8]], template: Image) -> Iterator[Image]:
        """See `Segmenter.segment`; the network is given all frames at once."""
        model = self._load()
        height, width = template.shape
        with torch.inference_mode():
            session = self._session(model, frames, template)
            for output in model.propagate_in_video_iterator(session, start_frame_idx=0):
                if output.frame_idx == 0:
                    yield template
                    continue
                # Resizing the logits rather than the mask keeps a soft edge about a pixel wide.
                logits = output.pred_masks[0, 0].float().cpu().numpy()
                alpha = 1 / (1 + np.exp(-cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)))
                yield alpha.astype(np.float32)

    def _session(
        self, model: Sam2VideoModel, frames: Iterable[NDArray[np.uint8]], template: Image
    ) -> Sam2VideoInferenceSession:
        """The video and its prompt as the model takes them.

        transformers' own processor does the same, but needs torchvision, which nothing else here does.
        """
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        height, width = template.shape
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
        video = torch.stack(
            [(_square(torch.from_numpy(frame).permute(2, 0, 1), model) / 255 - mean) / std for frame in frames]
        )
        session = Sam2VideoInferenceSession(
            video=video,
            video_height=height,
            video_width=width,
            inference_device=self._device,
            inference_state_device=self._device,
            dtype=model.dtype,
        )
        mask = _square(torch.from_numpy(template > 0.5)[None], model) >= 0.5
        session.add_mask_inputs(session.obj_id_to_idx(1), 0, mask[None].float())
        session.obj_with_new_inputs = [1]
        return session

    def _load(self) -> Sam2VideoModel:
        if self._model is None:
            from safetensors import SafetensorError
            from transformers import Sam2VideoModel

            dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
            try:
                model = Sam2VideoModel.from_pretrained(self._folder, dtype=dtype, local_files_only=True)
            except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
                raise InputError(f"The SAM 2 model in {self._folder} cannot be loaded ({error}).") from error
            torch.nn.Module.to(model, self._device)
            self._model = model.eval()
        return self._model


def _square(image: Tensor, model: Sam2VideoModel) -> Tensor:
    """Resize ``[C, H, W]`` to the model's input ``[C, S, S]``, float."""
    size = model.config.image_size
    sides = (size, size) if isinstance(size, int) else tuple(size)
    return F.interpolate(image[None].float(), sides, mode="bilinear", align_corners=False, antialias=True)[0]
