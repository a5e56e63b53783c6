from __future__ import annotations

from pathlib import Path

import pytest

from . import toy


@pytest.fixture
def toy_config(tmp_path: Path) -> Path:
    """Config file of a four-step run below ``tmp_path``."""
    toy.EVENTS.clear()
    toy.CALLS.clear()
    path = tmp_path / "toy.yaml"
    path.write_text(toy.CONFIG.format(root=tmp_path / "outputs"))
    return path
