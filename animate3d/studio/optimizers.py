"""Optimisers and schedulers from configs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from animate3d.errors import InputError
from animate3d.studio.registry import near_names


def get_parameters(model: nn.Module, name: str) -> Iterable[nn.Parameter]:
    """Parameters of the attribute ``a.b.c`` of ``model``."""
    part: Any = model
    for attribute in name.split("."):
        part = getattr(part, attribute)
    if isinstance(part, nn.Module):
        return part.parameters()
    return [part] if isinstance(part, nn.Parameter) else []


def parse_optimizer(config: Any, model: nn.Module) -> torch.optim.Optimizer:
    """Build ``config.name`` with ``config.args``.

    With ``config.params`` (attribute path -> settings), one named group per entry; parameters that are not listed
    are not optimised. Otherwise all parameters.

    Raises:
        InputError: unknown optimiser. AttributeError: unknown path.
    """
    if config.get("params", None) is not None:
        groups: Any = [{"params": get_parameters(model, n), "name": n, **args} for n, args in config.params.items()]
    else:
        groups = model.parameters()
    optimizer_class = _find(torch.optim, config.name, torch.optim.Optimizer, "optimiser")
    return optimizer_class(groups, **config.get("args", {}))


def parse_scheduler(config: Any, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Build a learning-rate scheduler as Lightning wants it; ``interval`` is ``epoch`` (default) or ``step``."""
    interval = config.get("interval", "epoch")
    if interval not in ("epoch", "step"):
        raise InputError(f"A scheduler's interval is 'epoch' or 'step', not '{interval}'.")
    if config.name in ("SequentialLR", "ChainedScheduler"):
        parts = [parse_scheduler(part, optimizer)["scheduler"] for part in config.schedulers]
        if config.name == "SequentialLR":
            scheduler: Any = lr_scheduler.SequentialLR(optimizer, parts, milestones=list(config.milestones))
        else:
            scheduler = lr_scheduler.ChainedScheduler(parts)
    else:
        scheduler_class = _find(lr_scheduler, config.name, lr_scheduler.LRScheduler, "scheduler")
        scheduler = scheduler_class(optimizer, **config.get("args", {}))
    return {"scheduler": scheduler, "interval": interval}


def _find(module: Any, name: str, base: type, what: str) -> Any:
    known = [k for k, v in vars(module).items() if isinstance(v, type) and issubclass(v, base)]
    if name not in known:
        raise InputError(f"There is no {what} '{name}'{near_names(name, known)}.")
    return getattr(module, name)
