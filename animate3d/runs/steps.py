"""Resumable steps: each one is skipped when its inputs and settings are what they were.

`Steps` keeps a ``run.json`` beside the results. A step's record holds its key (settings and hashes of its inputs),
its outputs, the seconds and the peak memory it took. The record is written when the step starts and again when it
ends, so that an interrupted step is known as such and may continue where it stopped. Paths in the record are relative
to its folder, or absolute, so that a run goes on from any working directory.
"""

from __future__ import annotations

import hashlib
import json
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

import animate3d
from animate3d.errors import InputError
from animate3d.files import read_json, sha256, write_json
from animate3d.progress import BESIDE, PENDING

_PACKAGES = ("torch", "numpy", "numba", "pytorch-lightning", "omegaconf", "gsplat", "bpy", "usd-core", "diffusers")


class Steps:
    """The record of one run.

    Args:
        folder: where ``run.json`` lies.
        announce: called with one line of text when a step starts, ends or is skipped.
    """

    def __init__(self, folder: Path, announce: Callable[[str], None] = lambda line: None) -> None:
        self.folder = folder
        self.path = folder / "run.json"
        self.announce = announce
        self.record: dict[str, Any] = {"steps": {}}
        if self.path.is_file():
            try:
                self.record = _checked(read_json(self.path))
            except InputError:
                announce(f"{self.path} cannot be read; every step runs again")

    def describe(self, **facts: Any) -> None:
        """Note facts of the whole run (inputs, settings, seed) as well as the versions of the packages."""
        self.record |= facts
        self.record["versions"] = {"animate3d": animate3d.__version__, "python": platform.python_version()} | {
            name: found for name in _PACKAGES if (found := _version(name))
        }
        self._write()

    def run(
        self,
        name: str,
        action: Callable[[], Mapping[str, Any] | None],
        *,
        resume: Callable[[], Mapping[str, Any] | None] | None = None,
        inputs: Mapping[str, Path | str] | None = None,
        settings: Mapping[str, Any] | None = None,
        outputs: Sequence[Path] = (),
        alone: bool = False,
    ) -> Mapping[str, Any]:
        """Run ``action`` unless it was done before with the same inputs and settings and its outputs are there.

        Args:
            name: of the step, a key of ``run.json``.
            action: makes the outputs; may return facts to note.
            resume: in place of the action when the same step was interrupted before.
            inputs: files and folders whose contents decide whether the step is up to date; a string is a hash
                that is known already.
            settings: values that do the same.
            outputs: what has to be there afterwards.
            alone: no thread of Python may work beside the action; memory is then looked at before and after it only.

        Returns:
            The facts that the action noted, now or then.
        """
        hashes, key = self._identity(inputs or {}, settings or {})
        before = self.record["steps"].get(name, {})
        same = before.get("key") == key
        if self._is_done(name, key, outputs):
            self.announce(f"· {name} up to date")
            return before.get("facts", {})

        entry: dict[str, Any] = {"state": "started", "key": key, "inputs": hashes, "settings": dict(settings or {})}
        self.record["steps"][name] = entry
        self._write()
        if resume is not None and same and before.get("state") == "started":
            action = resume
            self.announce(f"{name} is continued")
        self.announce(f"  {name}{PENDING}")
        with _Meter(watch=not alone) as meter:
            facts = dict(action() or {})
        missing = [str(path) for path in outputs if not path.exists()]
        if missing:
            raise InputError(f"The step `{name}` ended without its result {missing[0]}.")
        entry |= {
            "state": "done",
            "facts": facts,
            "outputs": list(outputs),
            "seconds": round(meter.seconds, 2),
            "cpu_seconds": round(meter.cpu_seconds, 2),
            "peak_memory_mb": round(meter.peak_bytes / 2**20),
        }
        self._write()
        self.announce(f"✓ {name} {meter.seconds:.1f} s")
        return facts

    def is_done(
        self,
        name: str,
        *,
        inputs: Mapping[str, Path | str] | None = None,
        settings: Mapping[str, Any] | None = None,
        outputs: Sequence[Path] = (),
    ) -> bool:
        """Whether `run` with the same arguments would skip the step."""
        return self._is_done(name, self._identity(inputs or {}, settings or {})[1], outputs)

    def _is_done(self, name: str, key: str, outputs: Sequence[Path]) -> bool:
        before = self.record["steps"].get(name, {})
        done = before.get("key") == key and before.get("state") == "done"
        return done and all(path.exists() for path in outputs)

    def _identity(self, inputs: Mapping[str, Path | str], settings: Mapping[str, Any]) -> tuple[dict[str, str], str]:
        """Hashes of the inputs, and the key of a step."""
        hashes = {key: item if isinstance(item, str) else sha256(item) for key, item in inputs.items()}
        identity = json.dumps([hashes, settings], sort_keys=True, default=self._recorded)
        return hashes, hashlib.sha256(identity.encode()).hexdigest()

    def facts(self, name: str) -> Mapping[str, Any]:
        """What the action of a step noted, now or in an earlier run; nothing where it has not run."""
        return self.record["steps"].get(name, {}).get("facts", {})

    def seconds(self) -> dict[str, float]:
        """What every finished step took, now or in an earlier run."""
        return {name: entry["seconds"] for name, entry in self.record["steps"].items() if "seconds" in entry}

    def _recorded(self, value: Any) -> str:
        if not isinstance(value, Path):
            return str(value)
        folder, path = self.folder.absolute(), value.absolute()
        return str(path.relative_to(folder) if path.is_relative_to(folder) else path)

    def _write(self) -> None:
        write_json(self.path, json.loads(json.dumps(self.record, default=self._recorded)))


class _Meter:
    """Wall time, CPU time and the highest resident memory of this process while the context is open.

    Args:
        watch: look at the memory ten times a second, in a thread; else at the start and the end only.
    """

    def __init__(self, *, watch: bool) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"{BESIDE}meter", daemon=True) if watch else None

    def __enter__(self) -> _Meter:
        self._process = psutil.Process()
        self.peak_bytes = self._process.memory_info().rss
        self._start, self._cpu_start = time.perf_counter(), time.process_time()
        if self._thread is not None:
            self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)
        self.seconds = time.perf_counter() - self._start
        self.cpu_seconds = time.process_time() - self._cpu_start


def _checked(record: Any) -> dict[str, Any]:
    steps = record.get("steps") if isinstance(record, dict) else None
    if not isinstance(steps, dict) or not all(isinstance(step, dict) for step in steps.values()):
        raise InputError("This is not the record of a run.")
    return record


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
