"""Many animated files rendered in MV-Video's layout: here or on a cluster, and of them what is missing.

What was made of an object is noted in ``<out>/.objects/<uid>.json`` by whoever made it, when its videos are whole;
``uid_info_dict.json``, which has tens of megabytes for a data set, is written from these notes once at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from animate3d.cluster import Ended, each
from animate3d.errors import Animate3DError, InputError
from animate3d.files import read_json, stamp, write_json
from animate3d.mvvdm.data.records import N_VIEWS, licence_of
from animate3d.mvvdm.data.render import describe, render_file

SUFFIXES = (".glb", ".gltf", ".fbx")
FAILED = "failed.json"
"""The sentences of the objects that could not be rendered, by their ids; absent where there are none."""
_NOTES = ".objects"
Views = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Animated:
    """An object of a data set: its file, and what the info file says of it."""

    path: Path
    uid: str
    prompt: str = ""
    licence: str = ""
    url: str = ""


@dataclass(frozen=True)
class Rendering:
    """How objects are rendered, and where to."""

    out: Path
    seed: int = 0
    size: int = 512


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The given files, and those below the given folders, in the order of their names.

    Raises:
        InputError: a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        below = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not below:
            raise InputError(f"{path} holds no animated files ({', '.join(SUFFIXES)}).")
        found += below
    return found


def with_info(items: Sequence[Animated], path: Path) -> list[Animated]:
    """The objects with prompt, licence and address from a JSON that has them by id, as ``uid_info_dict.json`` has.

    Raises:
        InputError: the file has another form.
    """
    infos = read_json(path)
    if not isinstance(infos, dict):
        raise InputError(f'{path} must map the ids of objects to {{"prompt": …, "license": …, "url": …}}.')
    told = []
    for item in items:
        info = infos.get(item.uid, {})
        info = info[0] if isinstance(info, list) and info else info
        if not isinstance(info, dict):
            raise InputError(f'{path}: `{item.uid}` must have {{"prompt": …, "license": …, "url": …}}.')
        said = {"prompt": info.get("prompt"), "licence": licence_of(info), "url": info.get("url")}
        told.append(Animated(item.path, item.uid, **{k: str(v or getattr(item, k)) for k, v in said.items()}))
    return told


def render_many(
    items: Sequence[Animated], how: Rendering, *, address: str | None = None, force: bool = False, views: Views = iter
) -> Iterator[Ended]:
    """Render the objects that are missing; yields how each of all has ended, those that are there first.

    Args:
        address: see `animate3d.cluster.each`.
        force: render also what is there from the same file with the same settings.
        views: wraps the views as they are drawn, in this process.
    """
    missing: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for item in items:
        made = None if force else _made(item, how)
        if made is None:
            missing[item.uid] = (item, how, views if address is None else iter)
            continue
        entries[item.uid] = made
        yield Ended(item.uid, sorted(made))
    try:
        for ended in each(_render, missing, address):
            if ended.error is None:
                entries[ended.key] = ended.facts
                yield Ended(ended.key, sorted(ended.facts))
            else:
                failed[ended.key] = ended.error
                yield ended
    finally:
        if entries:
            describe(how.out, entries)
        _write_failed(how.out, failed, items)


def _write_failed(out: Path, failed: dict[str, str], items: Sequence[Animated]) -> None:
    """Those of objects that this command was not asked for stay."""
    path, asked = out / FAILED, {item.uid for item in items}
    before = read_json(path) if path.is_file() else {}
    failed = {**{uid: why for uid, why in before.items() if uid not in asked}, **failed}
    if failed:
        write_json(path, dict(sorted(failed.items())))
    else:
        path.unlink(missing_ok=True)


def _note(item: Animated, how: Rendering) -> Path:
    return how.out / _NOTES / f"{item.uid}.json"


def _identity(item: Animated, how: Rendering) -> dict[str, Any]:
    """What the videos and their entries follow from."""
    said = {key: value for key, value in asdict(item).items() if key != "path"}
    return {**said, "seed": how.seed, "size": how.size, "file": stamp(item.path)["files"]}


def _made(item: Animated, how: Rendering) -> dict[str, Any] | None:
    """The entries of an object that is there; None where it is not, or not from the same file and settings."""
    try:
        note = read_json(_note(item, how))
        entries: dict[str, Any] = note["entries"]
        same = note["from"] == _identity(item, how)
    except (Animate3DError, KeyError, TypeError):
        return None
    folders = [how.out / "videos" / item.uid / name for name in entries]
    whole = all((folder / f"view_{view}.mp4").is_file() for folder in folders for view in range(N_VIEWS))
    return entries if same and whole else None


def _render(task: tuple[Animated, Rendering, Views]) -> dict[str, Any]:
    item, how, views = task
    said = {key: getattr(item, key) for key in ("uid", "prompt", "licence", "url")}
    try:
        entries = render_file(item.path, how.out, **said, seed=how.seed, size=how.size, progress=views)
    except (Animate3DError, MemoryError):
        raise
    except Exception as error:  # whatever a strange file leads Blender and the rasteriser into
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{item.path} cannot be rendered ({reason}).") from error
    write_json(_note(item, how), {"from": _identity(item, how), "entries": entries})
    return entries
