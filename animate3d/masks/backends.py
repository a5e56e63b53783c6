"""The mask backends by name; a new one is added here."""

from __future__ import annotations

import torch

from animate3d.errors import InputError
from animate3d.masks.background import BackgroundSegmenter
from animate3d.masks.folder import Segmenter
from animate3d.masks.sam2 import HUB_MODELS, Sam2Segmenter, find_weights

BACKENDS = ("auto", "background", "sam2")


def choose_segmenter(backend: str, model: str | None = None, device: str | torch.device | None = None) -> Segmenter:
    """The segmenter for ``--backend`` and ``--model``.

    Args:
        backend: one of `BACKENDS`; ``auto`` is SAM 2 when its weights are on this machine, else the background.
        model: a folder or a hub name; by default the best of `HUB_MODELS` in the local cache.
        device: for SAM 2; by default CUDA when there is one.

    Raises:
        InputError: unknown backend, or weights that are not here. Nothing is downloaded.
    """
    if backend not in BACKENDS:
        raise InputError(f"The backend `{backend}` is unknown; known are: {', '.join(BACKENDS)}.")
    if backend == "background":
        if model is not None:
            raise InputError(
                "A SAM 2 model was given, but the backend `background` uses none; choose `--backend sam2`."
            )
        return BackgroundSegmenter()
    folder = find_weights(model)
    if folder is not None:
        return Sam2Segmenter(folder, device)
    # A model that was asked for by name is not quietly replaced by another method.
    if backend == "auto" and model is None:
        return BackgroundSegmenter()
    name = model or next(iter(HUB_MODELS))
    size = f"about {HUB_MODELS[name]}" if name in HUB_MODELS else "of unknown size"
    raise InputError(
        f"The SAM 2 weights `{name}` ({size}) are not on this machine, and nothing is downloaded unasked. "
        f"Fetch them with `hf download {name}`, or choose the backend `background`; the mask tool also takes the "
        "folder of a copy as --model."
    )


def check_backend(backend: str) -> None:
    """A backend that can be used, without loading it.

    Raises:
        InputError: as `choose_segmenter`.
    """
    if backend not in BACKENDS or (backend == "sam2" and find_weights(None) is None):
        choose_segmenter(backend)
