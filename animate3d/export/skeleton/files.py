"""A skeleton as a file of arrays, to be used again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.export.skeleton.rig import Rig, Skinned
from animate3d.files import atomic_file

_RIG = ("parents", "joints", "axes", "rotations", "translations", "influences", "weights")


def save_skeleton(found: Skinned, path: Path) -> None:
    """Write a ``.npz`` that needs no pickle."""
    arrays = {name: getattr(found.rig, name) for name in _RIG}
    arrays |= {"names": np.array(found.rig.names), "mean_errors": found.mean_errors, "max_errors": found.max_errors}
    arrays["note"] = np.array(found.note)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_skeleton(path: Path) -> Skinned:
    """Read what `save_skeleton` wrote.

    Raises:
        InputError: it is something else.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            rig = Rig(arrays["names"].tolist(), *(arrays[name] for name in _RIG))
            note = str(arrays["note"]) if "note" in arrays else ""
            return Skinned(rig, arrays["mean_errors"], arrays["max_errors"], note)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} holds no skeleton ({error}); delete it and run again.") from error
