"""threestudio's modules and the names in them that plugins import, and which embedded module holds each."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

SURFACE: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("registry", ("register", "find", "info", "warn", "debug", "__version__")),
    "utils.typing": ("typing", ()),
    "utils.base": ("base", ("Updateable", "BaseObject", "BaseModule")),
    "utils.config": (
        "config",
        ("ExperimentConfig", "config_to_primitive", "dump_config", "load_config", "parse_structured"),
    ),
    "utils.misc": (
        "misc",
        (
            "C",
            "barrier",
            "cleanup",
            "find_last_path",
            "finish_with_cleanup",
            "get_device",
            "get_rank",
            "load_module_weights",
            "parse_version",
        ),
    ),
    "utils.ops": ("ops", ()),
    "utils.loss": ("loss", ()),
    "utils.saving": ("saving", ("SaverMixin",)),
    "systems.base": ("systems", ("BaseSystem", "BaseLift3DSystem")),
    "systems.utils": ("optimizers", ("parse_optimizer", "parse_scheduler")),
    "models.geometry.base": ("models", ("BaseGeometry",)),
    "models.materials.base": ("models", ("BaseMaterial",)),
    "models.background.base": ("models", ("BaseBackground",)),
    "models.renderers.base": ("models", ("Renderer", "Rasterizer", "VolumeRenderer")),
    "models.exporters.base": ("models", ("Exporter", "ExporterOutput")),
    "models.prompt_processors.base": ("prompts", ("PromptProcessor", "PromptProcessorOutput", "hash_prompt")),
    "models.networks": ("networks", ("get_encoding", "get_mlp")),
    "data.uncond": (
        "random_cameras",
        (
            "RandomCameraDataModuleConfig",
            "RandomCameraDataset",
            "RandomCameraIterableDataset",
            "RandomCameraDataModule",
        ),
    ),
}
"""Module below ``threestudio`` -> embedded module below ``animate3d.studio``, and the host's own names in it.

Modules without names hold functions that are the same on every host.
"""

MARK = "__animate3d_embedded__"


def host_names(embedded: bool) -> dict[str, object]:
    """The host's own names and what they stand for, in the embedded host or in the real threestudio."""
    paths = {
        m: f"animate3d.studio.{e}" if embedded else f"threestudio.{m}".rstrip(".") for m, (e, _) in SURFACE.items()
    }
    return {
        name: getattr(importlib.import_module(paths[module]), name)
        for module, (_, names) in SURFACE.items()
        for name in names
    }


def is_embedded() -> bool:
    """Whether plugins in this process get the embedded host: the real one has not been imported."""
    host = sys.modules.get("threestudio")
    return host is None or hasattr(host, MARK)


def alias_threestudio() -> None:
    """Let plugins written as ``from threestudio.utils.base import BaseModule`` load in the embedded host.

    ``threestudio`` and its submodules then name the embedded modules. Nothing is done where the real one is installed.
    """
    if "threestudio" in sys.modules or find_spec("threestudio") is not None:
        return
    for module, (embedded, _) in SURFACE.items():
        parts = ["threestudio", *(module.split(".") if module else [])]
        for depth in range(1, len(parts)):
            _package(".".join(parts[:depth]))
        source = importlib.import_module(f"animate3d.studio.{embedded}")
        if not module:
            vars(_package("threestudio")).update({n: getattr(source, n) for n in SURFACE[""][1]})
            continue
        sys.modules[".".join(parts)] = source
        setattr(sys.modules[".".join(parts[:-1])], parts[-1], source)


def _package(name: str) -> ModuleType:
    if name not in sys.modules:
        package = ModuleType(name, "Alias of animate3d.studio, the embedded host.")
        package.__path__ = []
        package.__spec__ = ModuleSpec(name, None, is_package=True)
        setattr(package, MARK, True)
        sys.modules[name] = package
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, package)
    return sys.modules[name]
