"""Animate3D: animate any 3D model from a sentence, or from videos of how it should move.

The names below are the public face, documented with an example each in docs/api.md; everything else is a module away.
A name is loaded when it is first used, so that ``import animate3d`` costs nothing.
"""

import importlib

__version__ = "0.1.0"

# Where a public name is defined. `__init__.pyi` says the same to type checkers and editors.
# Not `export`: that is a subpackage, and an attribute cannot be both.
_NAMES = {
    "Gaussians": "animate3d.gaussians",
    "Mesh": "animate3d.meshes",
    "MultiViewVideoPipeline": "animate3d.mvvdm.pipeline",
    "Placement": "animate3d.meshes",
    "Trajectory": "animate3d.motion.trajectory",
    "animate": "animate3d.api",
    "bundled_model_folder": "animate3d.bundled_model",
    "export_animation": "animate3d.api",
    "load_gaussians": "animate3d.gaussians",
    "load_mesh": "animate3d.meshes",
    "render": "animate3d.api",
    "track": "animate3d.api",
}

__all__ = [*_NAMES]


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _NAMES:
        raise AttributeError(f"module 'animate3d' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
