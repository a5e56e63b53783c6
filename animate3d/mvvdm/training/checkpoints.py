"""Checkpoints: names, contents, which are kept, and the way back into models and optimisers.

``checkpoint-epoch-N.ckpt`` after N epochs and ``checkpoint-step-N.ckpt`` after N steps hold ``epoch`` (finished
epochs), ``global_step``, ``state_dict``, ``optimizer`` and ``lr_scheduler``; a step checkpoint also the position in the
data, and a float16 training its loss scale. ``latest.ckpt`` points to the newest.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from animate3d.errors import InputError
from animate3d.files import atomic_file
from animate3d.mvvdm.model.unet import is_trained
from animate3d.mvvdm.weights import describe, read_tensors

LATEST = "latest.ckpt"
KEYS = ("epoch", "global_step", "state_dict", "optimizer", "lr_scheduler")
_NAME = re.compile(r"checkpoint-(epoch|step)-(\d+)\.ckpt")


def checkpoint_name(unit: str, number: int, variant: str = "") -> str:
    """File name of a checkpoint after ``number`` epochs or steps (``unit``)."""
    return f"checkpoint-{unit}-{number}{'-' if variant else ''}{variant}.ckpt"


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all; it is on the disk when this returns."""
    with atomic_file(path) as temporary:
        torch.save(dict(content), temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def point_latest(path: Path) -> None:
    """Let ``latest.ckpt`` beside a checkpoint point to it."""
    folder = Path(tempfile.mkdtemp(prefix=".latest-", dir=path.parent))
    try:
        (folder / LATEST).symlink_to(path.name)
        os.replace(folder / LATEST, path.parent / LATEST)
    finally:
        folder.rmdir()


def find_latest(folder: Path) -> Path | None:
    """The checkpoint that ``latest.ckpt`` points to; None when there is none.

    Raises:
        InputError: it points to a file that is gone.
    """
    link = folder / LATEST
    if not link.is_symlink() and not link.exists():
        return None
    if not link.exists():
        raise InputError(f"{link} points to {os.readlink(link)}, which is gone; give the checkpoint to continue from.")
    return link.resolve()


def prune(folder: Path, keep: int) -> None:
    """Remove old checkpoints with their variants: of epochs all but the newest ``keep`` (-1: none are removed), of
    steps all but the newest.

    What ``latest.ckpt`` points to stays in any case.
    """
    numbers: dict[str, list[int]] = {"epoch": [], "step": []}
    for path in folder.glob("checkpoint-*.ckpt"):
        match = _NAME.fullmatch(path.name)
        if match:
            numbers[match[1]].append(int(match[2]))
    latest = find_latest(folder)
    kept = {"epoch": keep if keep > 0 else len(numbers["epoch"]), "step": 1}
    for unit, found in numbers.items():
        for number in sorted(found)[: max(len(found) - kept[unit], 0)]:
            if latest is not None and latest.name == checkpoint_name(unit, number):
                continue
            for path in [folder / checkpoint_name(unit, number), *folder.glob(f"checkpoint-{unit}-{number}-*.ckpt")]:
                path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint to continue from (never unpickles code).

    Raises:
        InputError: damaged, or no checkpoint of a training.
    """
    content = read_tensors(path, remedy="continue from an earlier one with `resume_from_checkpoint=FILE`")
    missing = [key for key in KEYS if key not in content]
    if missing:
        tensors = content.get("state_dict", content)
        raise InputError(
            f"{path} cannot be continued from, it lacks {', '.join(missing)}: {describe(list(tensors))}. To start a "
            "new training from its weights, give it as `unet_checkpoint_path`."
        )
    return content


# -- models and optimisers, sharded or not ---------------------------------------------------------------------------


def full(value: Any) -> Any:
    """A tensor as a whole on the CPU. On sharded tensors every process must call this."""
    if isinstance(value, DTensor):
        value = value.full_tensor()
    return value.detach().cpu() if isinstance(value, Tensor) else value


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor laid out as ``parameter`` is."""
    value = value.to(device=parameter.device)
    if isinstance(parameter, DTensor) and value.shape == parameter.shape:
        return distribute_tensor(value, parameter.device_mesh, parameter.placements)
    return value


def model_state(unet: nn.Module, *, everything: bool = False) -> dict[str, Tensor]:
    """What a checkpoint holds of the model: its trained part, and whatever else learns; or all of it."""
    learning = {name for name, parameter in unet.named_parameters() if parameter.requires_grad}
    beyond = [name for name in learning if not is_trained(name)]
    if any(".lora_" in name for name in learning):
        names = learning
    elif everything or beyond:
        names = set(unet.state_dict())
    else:
        names = {name for name in unet.state_dict() if is_trained(name)}
    return {name: full(value) for name, value in unet.state_dict().items() if name in names}


def load_model_state(unet: nn.Module, state: Mapping[str, Tensor], source: object) -> None:
    """Put back what `model_state` gave.

    Raises:
        InputError: the checkpoint is of another model, or another set of parameters learns now.
    """
    own = unet.state_dict()
    learning = {name for name, parameter in unet.named_parameters() if parameter.requires_grad}
    wrong = [name for name in state if name not in own or own[name].shape != state[name].shape]
    wrong += [name for name in learning if name not in state]
    if wrong:
        raise InputError(
            f"{source} is of another model, or other parameters learn now (such as {wrong[0]}); continue with the "
            "config it was trained with."
        )
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(like(value, own[name]))


def optimizer_state(optimizer: Optimizer) -> dict[str, Any]:
    """The optimiser's state with whole tensors, numbered as PyTorch does."""
    state = optimizer.state_dict()
    values = {
        number: {key: full(value) for key, value in entries.items()} for number, entries in state["state"].items()
    }
    return {"state": values, "param_groups": state["param_groups"]}


def load_optimizer_state(optimizer: Optimizer, state: Mapping[str, Any], source: object) -> None:
    """Put back what `optimizer_state` gave.

    Raises:
        InputError: of another set of parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    values: dict[int, dict[str, Any]] = {}
    for number, entries in state["state"].items():
        if number >= len(parameters):
            break
        parameter = parameters[number]
        values[number] = {
            key: like(value, parameter) if isinstance(value, Tensor) and value.ndim else value
            for key, value in entries.items()
        }
    try:
        optimizer.load_state_dict({"state": values, "param_groups": state["param_groups"]})
    except (ValueError, KeyError) as error:
        raise InputError(f"The optimiser of {source} belongs to other parameters than those that learn now.") from error
