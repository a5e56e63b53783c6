"""The page of a run: its moving model, the videos that it was made from, and what is known about it."""

from __future__ import annotations

from typing import Any

from animate3d.runs.base import Run
from animate3d.viewer.moving import MovingGaussians, MovingMesh, Show, video_pictures
from animate3d.viewer.page import write_page

PAGE = "preview.html"


def write_run_page(run: Run, moving: MovingMesh | MovingGaussians) -> dict[str, Any]:
    """Write ``preview.html`` of a run; returns what ``run.json`` notes, and announces what was left out of the page."""
    video, fps = run.options.video, f"{moving.fps:g}"
    facts = {} if video is None else {"prompt": video.prompt}
    facts["frames"] = f"{moving.frames} at {fps} per second"
    if isinstance(moving, MovingMesh):
        facts |= {"vertices": f"{moving.mesh.n_vertices:,}", "faces": f"{moving.mesh.n_faces:,}"}
    else:
        facts["Gaussians"] = f"{len(moving.motion.model):,}"
    explained = run.steps.facts("5 tracking").get("explained")
    if explained is not None:
        facts["explained"] = f"{100 * explained:.0f} % of the videos' change"
    name = run.model.name if isinstance(moving, MovingMesh) else run.options.model.stem  # type: ignore[union-attr]
    notes = write_page(run.options.out / PAGE, Show(moving, name, facts, video_pictures(run.frames)))
    for sentence in notes:
        run.announce(f"{PAGE}: {sentence}")
    return {"page": notes}
