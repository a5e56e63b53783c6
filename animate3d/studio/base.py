"""Base classes of every component: a typed ``Config``, ``configure()``, and hooks at every step."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from animate3d.studio.config import parse_structured
from animate3d.studio.misc import get_device, load_module_weights


class Updateable:
    """Receives the step number before (`update_step`) and after (`update_step_end`) every batch."""

    def do_update_step(self, epoch: int, global_step: int, on_load_weights: bool = False) -> None:
        """Update the components this one holds, then itself."""
        for part in self._updateable_parts():
            part.do_update_step(epoch, global_step, on_load_weights=on_load_weights)
        self.update_step(epoch, global_step, on_load_weights=on_load_weights)

    def do_update_step_end(self, epoch: int, global_step: int) -> None:
        """Do what `do_update_step` does, after the optimiser step."""
        for part in self._updateable_parts():
            part.do_update_step_end(epoch, global_step)
        self.update_step_end(epoch, global_step)

    def _updateable_parts(self) -> list[Updateable]:
        # Properties count too: a geometry that its renderer also exposes is updated twice per step. Plugins
        # written for threestudio see exactly these calls, so hooks have to be idempotent.
        parts = []
        for name in _names(self):
            try:
                part = getattr(self, name)
            except Exception:  # Lightning's properties raise outside of a running trainer
                continue
            if isinstance(part, Updateable):
                parts.append(part)
        return parts

    def update_step(self, epoch: int, global_step: int, on_load_weights: bool = False) -> None:
        """Override to follow a schedule."""

    def update_step_end(self, epoch: int, global_step: int) -> None:
        """Override to act after the optimiser step."""


def _names(holder: Any) -> list[str]:
    """Public attributes of an object, and those of its class that may hold a component, sorted.

    Twice in every step the methods of Lightning and torch, hundreds of them, would take longer than all else here.
    """
    modules = holder.__dict__.get("_modules", ())
    return _sorted_names(holder.__class__, tuple(holder.__dict__), tuple(modules))


@lru_cache(maxsize=256)
def _sorted_names(cls: type, own: tuple[str, ...], modules: tuple[str, ...]) -> list[str]:
    names = {name for name in (*own, *modules) if not name.startswith("_")}
    return sorted(names.union(_maybe_parts(cls)))


@lru_cache(maxsize=256)
def _maybe_parts(cls: type) -> frozenset[str]:
    """Public names of a class that may hold a component: no functions, and no properties that say they are values."""
    return frozenset(
        name for name in dir(cls) if not name.startswith("_") and not _is_plain(inspect.getattr_static(cls, name))
    )


def _is_plain(attribute: object) -> bool:
    if isinstance(attribute, property):  # computing a value takes time, and looking at one waits for the device
        returned = getattr(attribute.fget, "__annotations__", {}).get("return", "")
        return getattr(returned, "__name__", returned) in ("Tensor", "bool", "int", "float", "str")
    return isinstance(attribute, FunctionType | classmethod | staticmethod | type)


class BaseObject(Updateable):
    """A component without parameters."""

    @dataclass
    class Config:
        pass

    cfg: Any

    def __init__(self, cfg: dict[str, Any] | DictConfig | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.cfg = parse_structured(self.Config, {} if cfg is None else cfg)
        self.device = get_device()
        self.configure(*args, **kwargs)

    def configure(self, *args: Any, **kwargs: Any) -> None:
        """Override to build what the config describes."""


class BaseModule(nn.Module, Updateable):
    """A component with parameters or buffers."""

    @dataclass
    class Config:
        weights: str | None = None
        """``"path/to.ckpt:module_name"``: load these weights after `configure`."""

    cfg: Any

    def __init__(self, cfg: dict[str, Any] | DictConfig | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.cfg = parse_structured(self.Config, {} if cfg is None else cfg)
        self.device = get_device()
        self.configure(*args, **kwargs)
        if self.cfg.weights is not None:
            path, module_name = self.cfg.weights.rsplit(":", 1)
            state, epoch, global_step = load_module_weights(path, module_name=module_name, map_location="cpu")
            self.load_state_dict(state)
            self.do_update_step(epoch, global_step, on_load_weights=True)
        self._dummy: torch.Tensor
        self.register_buffer("_dummy", torch.zeros(0), persistent=False)

    def configure(self, *args: Any, **kwargs: Any) -> None:
        """Override to build what the config describes."""
