"""What the app tells of a run."""

from __future__ import annotations

from pathlib import Path

from animate3d.viewer.app import _last_lines
from animate3d.viewer.jobs import Job


def test_how_the_prompt_was_read_stays_above_what_was_said_last() -> None:
    said = ["1 mesh", "note: The prompt is read as “it walks”.", *(f"step {k}" for k in range(20))]
    lines = _last_lines(Job(Path("run"), [], "done", said)).splitlines()
    assert "is read as" in lines[0] and "step 12" in lines[1] and "step 19" in lines[-1]
    assert len(_last_lines(Job(Path("run"), [], "running", said[:3])).splitlines()) == 3
