from __future__ import annotations

from typing import Any

import pytest

from animate3d.runs.quality import quality_sentence

GUESSED = "; depth, and what the one video does not show, are guessed: a second video from 90° aside helps most"


def facts(explained: float, *frames: float, held_still: float = 0.0) -> dict[str, Any]:
    """As `Followed.facts` gives them, of frames that change alike."""
    return {
        "explained": explained,
        "explained_frames": list(frames),
        "changes": [1.0 / len(frames)] * len(frames),
        "held_still": held_still,
    }


@pytest.mark.parametrize(
    ("found", "views", "said"),
    [
        (facts(0.98, 0.97, 0.99), 4, "the tracked motion explains 98 % of the videos' change"),
        (facts(0.98, 0.97, 0.99), 1, f"the tracked motion explains 98 % of the video's change{GUESSED}"),
        (
            facts(0.9, 0.6, 0.99, held_still=0.02),
            2,
            "the tracked motion explains 90 % of the videos' change, least in frame 1 (60 %); 2 % of the mesh is held "
            "still, where its motion explained no more than chance",
        ),
        (
            facts(0.3, 0.3, 0.3),
            2,
            "the tracked motion explains 30 % of the videos' change (what helps: more views, slower motion between "
            "frames)",
        ),
    ],
)
def test_the_sentence_says_how_much_is_explained_where_least_and_what_would_help(
    found: dict[str, Any], views: int, said: str
) -> None:
    assert quality_sentence(found, views, 256) == said


@pytest.mark.parametrize(("views", "what"), [(1, "video"), (4, "videos")])
def test_a_motion_of_which_nothing_is_explained_is_said_not_to_match(views: int, what: str) -> None:
    said = quality_sentence(facts(0.0, 0.0, 0.0, held_still=1.0), views, 256)
    assert said.startswith(f"warning: the motion of the {what} does not match the model, which stands still")
    assert "in its own colours" in said
