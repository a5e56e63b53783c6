"""VBench-I2V's four metrics, through a folder of videos that VBench's own environment measures.

VBench 0.1.5 asks for transformers 4.33.2, which this package cannot use; so it lives in an environment of its own, and
a folder goes between the two: ``videos/``, ``images/``, ``videos.json``, ``run_vbench.py`` one way,
``results.json`` the other.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError
from animate3d.evaluation.metrics import VBENCH
from animate3d.evaluation.model import VIEW_NAMES, load_view
from animate3d.files import atomic_file, content_hash, read_json, write_json
from animate3d.frames import save_image, save_mp4

RUNNER = Path(__file__).with_name("vbench_runner.py")
_FPS = 8  # VBench looks at every frame of videos of 8 frames per second
HOW_TO = "give --vbench-python an environment with vbench==0.1.5 (docs/evaluation.md)"


@dataclass(frozen=True)
class Subject:
    """An object whose renders VBench is to see."""

    name: str
    prompt: str
    renders: Path
    frames: int


@dataclass
class VBenchResults:
    """VBench's metrics of the objects, or why they are missing.

    Attributes:
        values: object -> key of `metrics.VBENCH` -> mean over its videos.
        reasons: key -> why it was not measured.
    """

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def nothing(cls, reason: str) -> VBenchResults:
        """Results of which nothing was measured, for one reason."""
        return cls(reasons={metric.key: reason for metric in VBENCH})


def default_python() -> Path | None:
    """This interpreter, if VBench is installed in our environment after all."""
    found = all(importlib.util.find_spec(name) for name in ("vbench", "vbench2_beta_i2v"))
    return Path(sys.executable) if found else None


def export_videos(subjects: Sequence[Subject], folder: Path) -> str:
    """Write the videos of all test cameras, their first frames as condition images, the list and the program.

    Videos that are newer than their renders stay. Returns the key that results of just these videos carry.
    """
    listed: list[dict[str, str]] = []
    for subject in subjects:
        for view in VIEW_NAMES:
            video, image = f"videos/{subject.name}_{view}.mp4", f"images/{subject.name}_{view}.png"
            listed.append({"object": subject.name, "prompt": subject.prompt, "video": video, "image": image})
            newest = max(path.stat().st_mtime for path in (subject.renders / view).glob("*.png"))
            if _newer(folder / video, newest) and _newer(folder / image, newest):
                continue
            seen = np.round(255 * load_view(subject.renders, view, subject.frames)[..., :3].numpy()).astype(np.uint8)
            save_image(folder / image, seen[0])
            save_mp4(folder / video, seen, _FPS)
    key = content_hash([[item[kind] for kind in sorted(item)] + [folder / item["video"]] for item in listed])
    write_json(folder / "videos.json", {"key": key, "videos": listed})
    with atomic_file(folder / "run_vbench.py") as temporary:
        shutil.copyfile(RUNNER, temporary)
    return key


def _newer(path: Path, time: float) -> bool:
    return path.is_file() and path.stat().st_mtime >= time


def run_vbench(python: Path, folder: Path, weights: Path | None) -> None:
    """Run the measuring program that `export_videos` put into a folder.

    Raises:
        InputError: the interpreter is not there, or the program broke off.
    """
    # A file, or a name on the PATH; a bare file name would only be looked for there.
    command = [str(python.absolute() if python.is_file() else python), str(folder / "run_vbench.py")]
    if weights is not None:
        command += ["--weights", str(weights.absolute())]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError as error:
        raise InputError(f"There is no Python at {python} (--vbench-python).") from error
    except subprocess.CalledProcessError as error:
        raise InputError(f"VBench ended with exit code {error.returncode}; its output is above.") from error


def read_results(folder: Path, key: str) -> VBenchResults | None:
    """``results.json`` of the folder; None when it is not there or belongs to other videos.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / "results.json"
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        if content["key"] != key:
            return None
        return _by_object(content, read_json(folder / "videos.json")["videos"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} was not written by run_vbench.py ({type(error).__name__}: {error}).") from error


def _by_object(content: dict[str, Any], listed: list[dict[str, str]]) -> VBenchResults:
    results = VBenchResults(reasons=dict(content["reasons"]))
    for key, by_video in content["values"].items():
        for name in dict.fromkeys(item["object"] for item in listed):
            found = [by_video[item["video"]] for item in listed if item["object"] == name]
            results.values.setdefault(name, {})[key] = float(np.mean(found))
    return results


def vbench(
    subjects: Sequence[Subject],
    folder: Path | None,
    python: Path | None,
    weights: Path | None,
    default_folder: Path,
    announce: Callable[[str], None],
) -> VBenchResults:
    """Measure with VBench: export the videos, run it where that is possible, and read the results.

    Args:
        folder: to exchange videos and results; None uses ``default_folder``, and only when VBench can be run.
        python: of VBench's environment; None takes this one if VBench is there.
        weights: VBench's folder of weights; None for its own default.
    """
    python = python or default_python()
    if folder is None and python is None:
        return VBenchResults.nothing(f"not measured: {HOW_TO}")
    if not subjects:
        return VBenchResults.nothing("not measured: there are no renders")
    folder = folder or default_folder
    announce(f"videos for VBench: {folder}")
    key = export_videos(subjects, folder)
    results = read_results(folder, key)
    incomplete = results is None or bool(results.reasons)
    if python is not None and incomplete:
        run_vbench(python, folder, weights)
        results = read_results(folder, key)
    if results is None:
        return VBenchResults.nothing(
            f"not measured: run `python {folder / 'run_vbench.py'}` in VBench's environment, then this command again"
        )
    results.reasons = {key: f"not measured: {reason}" for key, reason in results.reasons.items()}
    return results
