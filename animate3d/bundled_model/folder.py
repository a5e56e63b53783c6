"""Where the bundled model lies, and the size of its videos."""

from __future__ import annotations

from pathlib import Path

from animate3d.errors import InputError

PACKAGE_FOLDER = Path(__file__).resolve().parent / "weights"
SIZE, VIEWS, FRAMES = 64, 4, 16
"""Pixels, views and frames of the bundled model's videos."""


def bundled_model_folder() -> Path:
    """The folder of the bundled model, for ``MultiViewVideoPipeline.from_pretrained``.

    Raises:
        InputError: this copy of the package came without it.
    """
    if not (PACKAGE_FOLDER / "model_index.json").is_file():
        raise InputError(
            f"This copy of the package has no bundled model ({PACKAGE_FOLDER} is missing): train it with "
            "`make train-bundled`, or give the folder of another model with --weights."
        )
    return PACKAGE_FOLDER
