"""Exports through Blender: its Python module `bpy` when that is installed, otherwise a ``blender`` executable."""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError, MissingDependencyError, available
from animate3d.export import blender_script
from animate3d.export.blender_job import blender_job
from animate3d.export.clip import Clip
from animate3d.export.fbx_finish import finish
from animate3d.export.morphs import MorphTargets
from animate3d.export.skeleton.rig import Rig
from animate3d.export.staging import staged
from animate3d.progress import BESIDE

_LARGE = 10_000_000  # coordinates in all frames


def export_with_blender(
    clip: Clip, morphs: MorphTargets, path: Path, kind: str, rig: Rig | None = None, unit: float = 1.0
) -> None:
    """Write an animated mesh with one of Blender's exporters.

    Args:
        morphs: of the clip.
        path: result.
        kind: ``"fbx"`` or ``"abc"``.
        rig: moves the mesh in an FBX file; then there are no morph targets.
        unit: metres of a unit, noted in an FBX file.

    Raises:
        MissingDependencyError: there is neither `bpy` nor a ``blender`` executable.
        InputError: Blender could not write the file.
    """
    command = _command()
    if command is None:
        raise MissingDependencyError(
            f"Writing {path.name} needs Blender. Install its Python module with `pip install 'animate3d[blender]'` "
            "(Python 3.11), or put a `blender` executable on the PATH, or export GLB or USD, which do not need it."
        )
    with staged(path) as target:
        # Blender reads textures from files; their names are what an importer shows. Hidden: they are embedded.
        folder = target.with_name(".textures")
        folder.mkdir()
        job, content = blender_job(clip, morphs, target, kind, folder, rig)
        # The Alembic library aborts the whole process when a write fails, so it gets a process of its own; Blender
        # keeps the memory that a large mesh once took, and crashed once while other threads worked in Python, which
        # its documentation advises against.
        alone = not any(thread.name.startswith(BESIDE) for thread in threading.enumerate())
        if available("bpy") and kind != "abc" and alone and clip.positions.size < _LARGE:
            _run_here(job, path)
        else:
            _run_apart(command, job, target.with_name(".job"), path)
        if kind == "fbx" and target.is_file():
            finish(target, replace(content, unit=unit))
        if kind == "abc" and target.is_file() and target.open("rb").read(6) != b"Ogawa\xff":
            # The archive is marked as complete when it is closed; the library does not report failed writes.
            raise OSError(errno.EIO, "the Alembic archive is incomplete, is the disk full?", str(path))


def blender() -> str | None:
    """What writes FBX and Alembic here: Blender's module, its executable, or nothing."""
    if available("bpy"):
        return "bpy"
    return "blender executable" if shutil.which("blender") else None


def _command() -> list[str] | None:
    """How to run `blender_script` in another process; None without Blender."""
    script = [blender_script.__file__, "--"]
    if available("bpy"):
        return [sys.executable, "-P", *script]  # -P: this folder's modules must not shadow Blender's
    blender = shutil.which("blender")
    if blender is None:
        return None
    return [blender, "--background", "--factory-startup", "--python-exit-code", "1", "--python", *script]


def _run_here(job: dict[str, Any], path: Path) -> None:
    fresh = "bpy" not in sys.modules
    with _silenced() as output:
        import bpy

        if fresh:
            # An empty file instead of the start-up scene, whose names would push ours to "Material.001".
            bpy.ops.wm.read_factory_settings(use_empty=True)
        try:
            blender_script.run(job)
        except RuntimeError as error:  # what operators raise
            raise _failure(f"{error}\n{output.read_text(errors='replace')}", path) from error
        finally:
            gc.collect(1)  # what the exporter left; Blender reports an error at the end where it still has things out


def _run_apart(command: list[str], job: dict[str, Any], folder: Path, path: Path) -> None:
    folder.mkdir()
    arrays = {key: value for key, value in job.items() if isinstance(value, np.ndarray)}
    for key, values in arrays.items():
        np.save(folder / f"{key}.npy", values, allow_pickle=False)
    (folder / "job.json").write_text(json.dumps({key: job[key] for key in job.keys() - arrays.keys()}))
    result = subprocess.run([*command, str(folder)], capture_output=True, text=True, errors="replace", check=False)
    if result.returncode < 0:
        raise InputError(f"Blender crashed while it wrote {path} (signal {-result.returncode}); is the disk full?")
    if result.returncode:
        raise _failure(f"{result.stdout}\n{result.stderr}", path)


def _failure(output: str, path: Path) -> Exception:
    if os.strerror(errno.ENOSPC) in output:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return InputError(f"Blender could not write {path}: {(errors or lines or ['no reason given'])[-1]}")


@contextmanager
def _silenced() -> Iterator[Path]:
    """Send what Blender's C code (to descriptors) and add-ons (to `sys.stdout`) print into a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "blender.log"
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for number in (1, 2):
                os.dup2(handle, number)
            with open(handle, "w", closefd=False) as stream, redirect_stdout(stream), redirect_stderr(stream):
                yield log
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in enumerate(kept, start=1):
                os.dup2(copy, number)
                os.close(copy)
            os.close(handle)
