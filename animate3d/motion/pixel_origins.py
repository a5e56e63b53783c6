"""Where in frame 0 the pixels of videos come from, as a video model says it, and the file that keeps this."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from animate3d.errors import InputError
from animate3d.files import atomic_file

ORIGINS = "origins.npz"
"""Name of the file, in the folder of the videos."""
_SMALL = np.float16


class PixelOrigins(NamedTuple):
    """Where in the first image of their own view the pixels of frames 1 and later come from.

    Attributes:
        places: ``[V, F-1, 2, h, w]`` x and y, in pixels of this size.
        trust: ``[V, F-1, h, w]`` 0..1, how surely the first image shows the point at all.
    """

    places: NDArray[np.floating]
    trust: NDArray[np.floating]


def save_origins(origins: PixelOrigins, path: Path) -> None:
    """Write origins to an npz file, in half precision: a thirtieth of a pixel."""
    with atomic_file(path) as temporary:
        np.savez_compressed(temporary, **{name: part.astype(_SMALL) for name, part in origins._asdict().items()})


def load_origins(path: Path) -> PixelOrigins:
    """Read what `save_origins` wrote.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return PixelOrigins(*(stored[name].astype(np.float32) for name in PixelOrigins._fields))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} is no file of origins ({error}); remove it, or make the videos again.") from error
