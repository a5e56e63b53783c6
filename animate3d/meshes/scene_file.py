"""Scene files: which models there are, where each stands and what each does; docs/scenes.md has the format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.load import load_mesh
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.objects import objects_of, unique_names
from animate3d.meshes.placement import Placement
from animate3d.meshes.scene import Member, assemble, side_by_side, upright

SUFFIXES = (".yaml", ".yml", ".json")
_KEYS = ("model", "name", "placement", "prompt")
_PLACEMENT_KEYS = ("position", "rotation_degrees", "scale")


@dataclass(frozen=True)
class Entry:
    """One object as a scene file has it.

    Attributes:
        model: its mesh file.
        name: None for the file's.
        position: ``(x, y, z)`` in the scene where the origin of its file goes; None places it beside the others.
        rotation_degrees: about x, then y, then z of the scene, of the upright model.
        scale: factor on its size.
        prompt: a sentence of its own.
    """

    model: Path
    name: str | None = None
    position: tuple[float, float, float] | None = None
    rotation_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    prompt: str | None = None


def is_scene_file(path: str | os.PathLike[str]) -> bool:
    """Whether the name is that of a scene file."""
    return Path(path).suffix.lower() in SUFFIXES


def load_models(models: Sequence[Path], objects: str = "one", *, keeps_rig: bool = False) -> Mesh:
    """What a run animates: a mesh, or a scene of several.

    Args:
        models: one mesh file, or a scene file, or several mesh files that become objects side by side.
        objects: how one file is taken apart, see `objects_of`; files of several stay one object each.
        keeps_rig: see `load_mesh`.

    Raises:
        InputError: a file that cannot be used, or several of which one is a scene file.
    """
    scenes = [path for path in models if is_scene_file(path)]
    if scenes and len(models) > 1:
        raise InputError(
            f"{scenes[0]} is a scene file, which names all objects: give it alone, or add the models to it."
        )
    if not scenes and len(models) == 1:
        return objects_of(load_mesh(models[0], keeps_rig=keeps_rig), objects)
    if objects != "one":
        raise InputError("--objects takes one file apart; several models, or a scene file, are objects already.")
    entries = read_scene(scenes[0]) if scenes else [Entry(path) for path in models]
    return placed_scene(entries, scenes[0] if scenes else None, keeps_rig=keeps_rig)


def placed_scene(entries: Sequence[Entry], source: Path | None, *, keeps_rig: bool = False) -> Mesh:
    """The objects of a scene in one mesh; those without a position stand side by side on the ground."""
    meshes = [load_mesh(entry.model, keeps_rig=keeps_rig) for entry in entries]
    placements = [_own_placement(entry, mesh) for entry, mesh in zip(entries, meshes, strict=True)]
    boxes = []
    for mesh, placement in zip(meshes, placements, strict=True):
        there = placement.apply(mesh.vertices[np.unique(mesh.corners)])
        boxes.append(np.stack([there.min(axis=0), there.max(axis=0)]))
    steps = side_by_side(boxes, [entry.position is not None for entry in entries])
    names = unique_names([entry.name or mesh.name for entry, mesh in zip(entries, meshes, strict=True)])
    members = [
        Member(name, Placement(p.rotation, p.scale, p.translation + step), prompt=entry.prompt, source=mesh.source)
        for name, p, step, entry, mesh in zip(names, placements, steps, entries, meshes, strict=True)
    ]
    return assemble(meshes, members, source)


def read_scene(path: Path) -> list[Entry]:
    """The objects of a scene file, whose models lie relative to it.

    Raises:
        InputError: missing, not YAML or JSON, or something in it is not as docs/scenes.md says.
    """
    import yaml  # 20 ms, for those who have a scene file

    try:
        value = yaml.safe_load(existing_file(path, "scene file").read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path} is not a readable YAML or JSON file ({said}).") from error
    listed = value.get("objects") if isinstance(value, Mapping) else value
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{path} names no objects: it is a list of entries with a `model` each (docs/scenes.md).")
    return [_entry(item, f"Object {number + 1} of {path}", path.parent) for number, item in enumerate(listed)]


def _entry(item: Any, where: str, folder: Path) -> Entry:
    values = _known({"model": item} if isinstance(item, str) else item, _KEYS, where)
    model = _text(values, "model", where)
    if model is None:
        raise InputError(f"{where} has no `model`; give the path of its mesh file.")
    placement = _known(
        values.get("placement") or {}, _PLACEMENT_KEYS, f"The placement of {where[0].lower()}{where[1:]}"
    )
    scale = _numbers([placement.get("scale", 1.0)], 1, "scale", where)[0]
    if scale <= 0:
        raise InputError(f"{where} has the scale {scale:g}; it must be above 0.")
    position, turn = placement.get("position"), placement.get("rotation_degrees", 0.0)
    if not isinstance(turn, list):  # one number turns about the vertical
        turn = [0.0, turn, 0.0]
    return Entry(
        folder / model,
        _text(values, "name", where),
        None if position is None else _numbers(position, 3, "position", where),
        _numbers(turn, 3, "rotation_degrees", where),
        scale,
        _text(values, "prompt", where),
    )


def _known(item: Any, keys: Sequence[str], where: str) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise InputError(f"{where} is not a mapping with the keys {', '.join(keys)}.")
    unknown = [str(key) for key in item if key not in keys]
    if unknown:
        raise InputError(f"{where} has the unknown key `{unknown[0]}`; known are: {', '.join(keys)}.")
    return item


def _text(values: Mapping[str, Any], key: str, where: str) -> str | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value.splitlines()) > 1:
        raise InputError(f"{where} has {value!r} as its `{key}`; that is a text of one line.")
    return value


def _numbers(value: Any, count: int, key: str, where: str) -> Any:
    plain = isinstance(value, list) and all(type(part) in (int, float) and np.isfinite(part) for part in value)
    if not plain or len(value) != count:
        wanted = "a number" if count == 1 else f"{count} numbers"
        raise InputError(f"{where} has {value!r} as its `{key}`; that is {wanted}.")
    return tuple(float(part) for part in value)


def _own_placement(entry: Entry, mesh: Mesh) -> Placement:
    turn = Rotation.from_euler("xyz", entry.rotation_degrees, degrees=True).as_matrix().round(15)
    return Placement(turn @ upright(mesh.up_axis), entry.scale, np.array(entry.position or (0.0, 0.0, 0.0)))
