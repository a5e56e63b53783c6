"""What is installed, what works on this machine, and what to install for the rest."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import animate3d
from animate3d.errors import InputError, available
from animate3d.export.blender import blender

_OPTIONAL = (
    # import name, distribution, what it is for, extra
    ("gsplat", "gsplat", "CUDA rasteriser", "cuda"),
    ("xformers", "xformers", "memory-efficient attention on CUDA", "cuda"),
    ("bpy", "bpy", "FBX and Alembic export, FBX import (Python 3.11 only)", "blender"),
    ("av", "av", "reading training videos", "train"),
    ("peft", "peft", "LoRA fine-tuning", "train"),
    ("tensorboard", "tensorboard", "training curves", "train"),
    ("matplotlib", "matplotlib", "plots of `animate3d evaluate`", "eval"),
    ("DracoPy", "DracoPy", "glTF compressed with Draco", "gltf"),
    ("meshoptimizer", "meshoptimizer", "glTF compressed with meshopt", "gltf"),
    ("py_dem_bones", "py-dem-bones", "`--skeleton`", "skeleton"),
    ("viser", "viser", "`animate3d view` and `animate3d app`", "viewer"),
    ("ray", "ray", "`animate3d batch` with workers and on a cluster", "cluster"),
    ("zstandard", "zstandard", "`.spz` files of version 4", "splats"),
)


def report() -> str:
    """A table of devices, backends, exporters and optional packages, as text."""
    import torch

    cuda = torch.cuda.is_available()
    found = blender()
    writer = f" fbx abc ({found})" if found else "; fbx and abc need: pip install 'animate3d[blender]', or a Blender"
    lines = [
        f"animate3d {animate3d.__version__}, Python {platform.python_version()}, torch {torch.__version__}",
        f"  device      {torch.cuda.get_device_name(0) if cuda else 'CPU (no CUDA device)'}",
        f"  rasteriser  {_rasteriser(cuda)}",
        f"  exporters   glb gltf usd obj ply vat{writer}",
        f"  weights     bundled model: {_bundled_model()}",
        "              released weights: give their folder with --weights; docs/mvvdm.md says how to get them",
        "  packages",
    ]
    for module, distribution, purpose, extra in _OPTIONAL:
        try:
            found = version(distribution) if available(module) else None
        except PackageNotFoundError:
            found = None
        state = found or f"missing: pip install 'animate3d[{extra}]'"
        lines.append(f"    {distribution:14}{state:44}{purpose}")
    return "\n".join(lines)


def _rasteriser(cuda: bool) -> str:
    if not (cuda and available("gsplat")):
        return "cpu (numba)"
    from animate3d.rasterize.gsplat_extension import is_compiled

    return "cuda (gsplat)" if is_compiled() else "cuda (gsplat; its first use compiles it, one to five minutes)"


def _bundled_model() -> str:
    from animate3d.bundled_model.folder import bundled_model_folder  # these take seconds
    from animate3d.creatures.captions import FAMILY_MOTIONS

    try:
        folder = bundled_model_folder()
    except InputError:
        return "missing; make it with `make train-bundled` (hours)"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size / 1e6:.0f} MB, knows {', '.join(FAMILY_MOTIONS)} (--preset laptop)"
