"""The page of a run: its moving model, the videos that it was made from, and what is known about it."""

from __future__ import annotations

from typing import Any

from animate3d.runs.base import Run
from animate3d.viewer.moving import MovingGaussians, MovingMesh, Show, facts_of, video_pictures
from animate3d.viewer.page import write_page

PAGE = "preview.html"


def write_run_page(run: Run, moving: MovingMesh | MovingGaussians) -> dict[str, Any]:
    """Write ``preview.html`` of a run; returns what ``run.json`` notes, and announces what was left out of the page."""
    video = run.options.video
    facts = ({} if video is None else {"prompt": video.prompt}) | facts_of(moving)
    explained = run.steps.facts("5 tracking").get("explained")
    if explained is not None:
        facts["explained"] = f"{100 * explained:.0f} % of the videos' change"
    name = run.model.name if isinstance(moving, MovingMesh) else run.options.model.stem  # type: ignore[union-attr]
    videos = video_pictures(run.frames) if hasattr(run, "frames") else None
    notes = write_page(run.options.out / PAGE, Show(moving, name, facts, videos))
    for sentence in notes:
        run.announce(f"{PAGE}: {sentence}")
    return {"page": notes}
