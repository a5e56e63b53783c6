"""Data sets of moving creatures in MV-Video's layout.

``DIR/videos/<uid>/<00,01,…>/view_0.mp4 …``, ``DIR/uid_info_dict.json`` and ``DIR/clips.json``, the list that
`animate3d.mvvdm.data.build_dataset` reads (the folder itself stands for MV-Video's 16 views). ``DIR/held_out`` has the
same of creatures that no training clip shows, with the truth: ``trajectory.npz`` next to the videos, and the creatures
as object folders in ``creatures/<uid>``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from animate3d.cluster import each
from animate3d.creatures.captions import FAMILY_MOTIONS, draw_caption
from animate3d.creatures.creatures import make_creature, move, save_creature
from animate3d.creatures.looks import draw_words
from animate3d.errors import InputError
from animate3d.files import atomic_directory, read_json, write_json
from animate3d.mvvdm.data.records import UID_INFO
from animate3d.small_model.data.plan import ClipPlan, CreaturePlan, plan
from animate3d.small_model.data.videos import write_video
from animate3d.small_model.data.views import ELEVATION, render_views

SETTINGS, LIST, TRAJECTORY = "synthesis.json", "clips.json", "trajectory.npz"
HELD_OUT, CREATURES = "held_out", "creatures"
LICENCE = "CC0"
VERSION = 1
"""Version of what a seed makes; a folder is only continued by the version that began it."""

Task: TypeAlias = "tuple[CreaturePlan, Path, Settings]"
Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Settings:
    """The settings that a data set is a function of.

    Attributes:
        clips, held_out: numbers of clips to train on, and of other creatures.
        size, frames: side, even, and length of the videos.
        views: evenly spaced, from azimuth 0.
        families: names in `FAMILIES`.
    """

    clips: int
    held_out: int
    seed: int = 0
    size: int = 64
    frames: int = 8
    views: int = 4
    families: tuple[str, ...] = tuple(FAMILY_MOTIONS)

    def __post_init__(self) -> None:
        smallest = {"clips": 1, "held_out": 0, "seed": 0, "size": 16, "frames": 1, "views": 1}
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise InputError(f"`{name}` is {getattr(self, name)}; it must be at least {least}.")
        if self.size % 2:
            raise InputError(f"The size is {self.size}; videos need an even one.")


def synthesize(
    folder: str | os.PathLike[str],
    settings: Settings,
    *,
    workers: int = 1,
    address: str | None = None,
    progress: Progress = lambda items, total: items,
) -> None:
    """Write a data set, or what is missing of it.

    The files follow from the settings alone, whatever the number of workers.

    Args:
        folder: a new folder, or one of a run with the same settings that was stopped or had fewer clips.
        workers: processes on this machine, without ``address``.
        address: of a Ray cluster that does the work, ``auto`` or ``ray://host:10001``, or ``local`` for this machine;
            the folder is one that all of its machines see.
        progress: wraps the creatures as they are done, given their number.

    Raises:
        InputError: the folder holds a data set with other settings.
    """
    folder = Path(folder)
    _claim(folder, settings)
    parts = {
        folder: plan(settings.clips, settings.seed, settings.families),
        folder / HELD_OUT: plan(settings.held_out, settings.seed, settings.families, held_out=True),
    }
    tasks = [
        (creature, part, settings)
        for part, creatures in parts.items()
        for creature in creatures
        if not _is_done(part, creature)
    ]
    run = _run(tasks, workers) if address is None else _run_on_ray(tasks, address)
    for _ in progress(run, len(tasks)):
        pass
    for part, creatures in parts.items():
        _describe(part, creatures)


def write_creature_clips(creature: CreaturePlan, part: Path, settings: Settings) -> None:
    """All clips of one creature; its folder below ``videos`` appears when they are complete."""
    made = make_creature(creature.family, creature.seed)
    placement = made.mesh.automatic_placement()
    held_out = part.name == HELD_OUT
    if held_out:
        with atomic_directory(part / CREATURES / creature.uid) as temporary:
            save_creature(made, temporary)
    with atomic_directory(part / "videos" / creature.uid) as temporary:
        for clip in creature.clips:
            positions = move(made, clip.motion, settings.frames, clip.amplitude, clip.speed)
            placed = placement.apply(positions)
            videos = render_views(made.mesh, placed, views=settings.views, size=settings.size)
            target = temporary / clip.name
            target.mkdir()
            for view, frames in enumerate(videos):
                write_video(target / f"view_{view}.mp4", frames)
            if held_out:
                truth: dict[str, Any] = {
                    "positions": placed.astype(np.float32),
                    "placement": placement.matrix(),
                    "motion": clip.motion,
                    "family": creature.family,
                    "amplitude": clip.amplitude,
                    "speed": clip.speed,
                }
                np.savez_compressed(target / TRAJECTORY, **truth)


def _claim(folder: Path, settings: Settings) -> None:
    """Note the settings in a new folder; those of an old one must be the same, with no more clips."""
    wanted = {"version": VERSION, **asdict(settings), "families": list(settings.families)}
    path = folder / SETTINGS
    if path.is_file():
        before = read_json(path)
        counts = ("clips", "held_out")
        grown = {name: wanted[name] for name in counts if before.get(name, 0) <= wanted[name]}
        if {**before, **grown} != wanted:
            raise InputError(
                f"{folder} holds a data set made with other settings, or more clips ({path}); name another folder."
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no synthesized data set; name another folder.")
    write_json(path, wanted)


def _is_done(part: Path, creature: CreaturePlan) -> bool:
    return all((part / "videos" / creature.uid / clip.name).is_dir() for clip in creature.clips)


def _run(tasks: list[Task], workers: int) -> Iterator[None]:
    """Do the tasks in this process or in several; yields as they are done."""
    if workers <= 1 or len(tasks) < 2:
        for task in tasks:
            write_creature_clips(*task)
            yield
        return
    # Spawned: forked children of a process with torch's or numba's threads can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_single_thread) as pool:
        waiting = [pool.submit(write_creature_clips, *task) for task in tasks]
        try:
            for done in as_completed(waiting):
                done.result()
                yield
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run_on_ray(tasks: list[Task], address: str) -> Iterator[None]:
    """Do the tasks on a cluster; yields as they are done. What has failed twice is an error at the end."""
    named = {creature.uid + part.name: (creature, part, settings) for creature, part, settings in tasks}
    failed = []
    for ended in each(_write_clips, named, address, warm=_single_thread):
        if ended.error is not None:
            failed.append(f"{ended.key}: {ended.error}")
        yield
    if failed:
        raise InputError(f"{len(failed)} creatures could not be made, the first is {failed[0]}")


def _write_clips(task: Task) -> None:
    write_creature_clips(*task)


def _single_thread() -> None:
    torch.set_num_threads(1)


def _describe(part: Path, creatures: list[CreaturePlan]) -> None:
    """Write the info file and the list of clips, without making the creatures again."""
    if not creatures:
        return
    infos = {creature.uid: [_entry(creature, clip) for clip in creature.clips] for creature in creatures}
    listed = []
    for creature in creatures:
        for clip in creature.clips:
            names = sorted(
                (part / "videos" / creature.uid / clip.name).glob("view_*.mp4"), key=lambda p: int(p.stem[5:])
            )
            entry = _entry(creature, clip)
            listed.append(
                {
                    "data_path": [str(name.relative_to(part)) for name in names],
                    "text_prompt": entry["prompt"],
                    "angle": {"elv": entry["elv"], "azi_start": entry["azi_start"]},
                    "license": entry["license"],
                }
            )
    write_json(part / UID_INFO, infos)
    write_json(part / LIST, listed)


def _entry(creature: CreaturePlan, clip: ClipPlan) -> dict[str, Any]:
    caption = draw_caption(clip.caption_seed, creature.family, clip.motion, *draw_words(creature.seed))
    return {
        "prompt": caption,
        "elv": ELEVATION,
        "azi_start": 0.0,
        "anim": clip.name,
        "url": "",
        "license": LICENCE,
        "family": creature.family,
        "motion": clip.motion,
        "amplitude": clip.amplitude,
        "speed": clip.speed,
        "seed": creature.seed,
    }
