"""The folder of the app: uploaded models and videos, and the runs that were made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from animate3d.errors import InputError
from animate3d.viewer.jobs import Job
from animate3d.viewer.uploads import MODELS, VIDEOS, check_size, keep_upload

UPLOAD_LIMIT_MB = 200
_RESULTS = ("animation.*", "preview.*", "turntable.*", "trajectory.npz", "alignment.png", "videos.png", "run.json")


class Workspace:
    """A folder with ``models/``, ``videos/`` and ``runs/``.

    Args:
        folder: made if needed.
        limit: bytes of an upload at most.
    """

    def __init__(self, folder: Path, limit: int = UPLOAD_LIMIT_MB * 1_000_000) -> None:
        self.folder, self.limit = folder.absolute(), limit
        self.runs_folder.mkdir(parents=True, exist_ok=True)
        for name in self.runs():
            job = Job.load(self.runs_folder / name)
            if job is not None and job.open:  # it was at work when the app ended
                job.state = "stopped"
                job.save()

    @property
    def runs_folder(self) -> Path:
        """Where every run has a folder."""
        return self.folder / "runs"

    def check(self, name: str, size: int) -> None:
        """See `check_size`."""
        check_size(name, size, self.limit)

    def keep_model(self, name: str, content: bytes) -> Path:
        """See `keep_upload`."""
        return keep_upload(self.folder / "models", name, content, MODELS, self.limit)

    def keep_video(self, name: str, content: bytes) -> Path:
        """See `keep_upload`."""
        return keep_upload(self.folder / "videos", name, content, VIDEOS, self.limit)

    def models(self) -> list[Path]:
        """Uploaded models, by name."""
        return sorted(path for path in self.folder.glob("models/*") if path.suffix in MODELS)

    def videos(self) -> list[Path]:
        """Uploaded videos, by name."""
        return sorted(path for path in self.folder.glob("videos/*") if path.suffix in VIDEOS)

    def runs(self) -> list[str]:
        """Names of the runs, the latest first."""
        found = [path for path in self.runs_folder.iterdir() if (path / "job.json").is_file()]
        return [path.name for path in sorted(found, key=_changed, reverse=True)]

    def run(self, name: str) -> Path:
        """Folder of a run.

        Raises:
            InputError: there is none of this name.
        """
        if name not in self.runs():
            raise InputError(f"There is no run {name!r} in the workspace.")
        return self.runs_folder / name

    def results(self, name: str) -> dict[str, Path]:
        """Files of a run that can be downloaded."""
        folder = self.run(name)
        return {path.name: path for glob in _RESULTS for path in sorted(folder.glob(glob)) if path.is_file()}

    def new_job(self, models: Sequence[Path], prompt: str = "", videos: Sequence[Path] = ()) -> Job:
        """A run of models that were uploaded, driven by a sentence or by videos of the same moment.

        Raises:
            InputError: neither a sentence nor a video, or both.
        """
        words = " ".join(prompt.split())
        if not videos and not words:
            raise InputError("Write what the model is to do, or upload a video of it.")
        if videos and words:
            raise InputError("A run follows either a sentence or videos: empty the one, or choose – for the other.")
        number = 1
        while (folder := self.runs_folder / f"{models[0].stem}-{number}").exists():
            number += 1
        drivers = [f"--video={video}" for video in videos] or [f"--prompt={words}"]
        return Job(folder, ["animate", *map(str, models), "--out", str(folder), *drivers])


def _changed(path: Path) -> float:
    """When a folder last changed; long ago where somebody has just deleted it."""
    try:
        return path.stat().st_ctime
    except FileNotFoundError:
        return 0.0
