"""Names to classes: ``@register("kebab-name")`` and ``find("kebab-name")``, and the host's log."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from animate3d.errors import InputError

__version__ = "0.2.3"
"""Version of the threestudio extension API that the embedded host offers (plugins check it)."""

Class = TypeVar("Class", bound=type)

_classes: dict[str, Any] = {}
failed_plugins: dict[str, str] = {}
"""Plugin folder -> why it could not be loaded; `find` reports them, since one of them may hold the missing name."""

_log = logging.getLogger("pytorch_lightning")


class UnknownNameError(InputError, KeyError):
    """Nothing is registered under a name that a config asks for."""

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0])


def register(name: str) -> Callable[[Class], Class]:
    """Class decorator that makes a class available to configs as ``name``.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(cls: Class) -> Class:
        if name in _classes:
            raise ValueError(f"Module {name} already exists! Names of extensions conflict!")
        _classes[name] = cls
        return cls

    return decorate


def find(name: str) -> Any:
    """The class registered as ``name``; ``"main:mixin1,mixin2"`` derives one from the mixins and ``main``.

    Raises:
        UnknownNameError: with the nearest registered names and the plugins that failed to load.
    """
    if ":" in name:
        main, mixins = name.split(":", 1)
        bases = [find(mixin) for mixin in mixins.split(",")] + [find(main)]
        return type(f"{main}.{mixins}", tuple(bases), {})
    if name in _classes:
        return _classes[name]
    problem = f"Nothing is registered as '{name}'" if name else "A component type is empty (set its `..._type` key)"
    message = f"{problem}{near_names(name, _classes)}."
    for plugin, reason in failed_plugins.items():
        message += f" The plugin '{plugin}' failed to load: {reason}."
    raise UnknownNameError(message)


def near_names(name: str, known: Iterable[str]) -> str:
    """Part of an error sentence: near names, or all of them when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f" (near: {', '.join(near)})"
    return f" (known: {', '.join(known)})" if known else ""


def registered() -> dict[str, Any]:
    """A copy of the table of registered classes."""
    return dict(_classes)


def restore(classes: dict[str, Any]) -> None:
    """Go back to an earlier copy, so that a plugin that failed half-way leaves no names behind."""
    _classes.clear()
    _classes.update(classes)


def name_of_config(config_class: type) -> str:
    """Registered name of the component that ``config_class`` configures, or the class's own name."""
    for name, cls in _classes.items():
        if getattr(cls, "Config", None) is config_class:
            return name
    return config_class.__qualname__.removesuffix(".Config")


def get_rank() -> int:
    """Rank of this process in a distributed run, else 0."""
    for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"):
        if key in os.environ:
            return int(os.environ[key])
    return 0


def info(message: str, *args: object) -> None:
    """Log on rank zero."""
    if get_rank() == 0:
        _log.info(message, *args)


def debug(message: str, *args: object) -> None:
    """Log on rank zero, shown with ``--verbose``."""
    if get_rank() == 0:
        _log.debug(message, *args)


def warn(message: str, *args: object) -> None:
    """Log a warning on rank zero."""
    if get_rank() == 0:
        _log.warning(message, *args)
