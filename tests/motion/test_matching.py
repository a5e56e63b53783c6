"""What is compared with a frame and then matched is drawn once."""

from __future__ import annotations

import numpy as np
import pytest
from moving_shapes import bending, footage, patterned_capsule, template_of

from animate3d.motion import matching
from animate3d.motion.matching import Matcher, MatchSettings


def test_a_surface_that_was_compared_lately_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = patterned_capsule(2)
    frames, cameras = footage(mesh, bending(mesh, 2), 48)
    template, settings = template_of(mesh), MatchSettings(2, 0.08, 0.3)
    fresh = Matcher(template, frames, cameras, settings).match(template.rest, 1, 0)
    matcher, drawn = Matcher(template, frames, cameras, settings), []
    draw = matching.visible_through
    monkeypatch.setattr(matching, "visible_through", lambda *seen: drawn.append(seen) or draw(*seen))
    assert matcher.missed(template.rest, 1) > 0
    rays, confidence = matcher.match(template.rest, 1, 0)
    assert len(drawn) == 1
    for found, expected in zip((*rays, confidence), (*fresh[0], fresh[1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    matcher.match(template.rest.copy(), 1, 0)
    assert len(drawn) == 2
