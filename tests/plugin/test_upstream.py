"""Beside the real threestudio the plugin registers only what neither it nor threestudio-3dgs provides.

The real one is not installable here, so its module tree is stood in for by the embedded host's classes under the
real names; what matters is which branch `animate3d.studio.api` takes and which names the plugin registers.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import PLUGIN

SCRIPT = """
import importlib.util, sys
from animate3d.studio import registry, surface

surface.alias_threestudio()
delattr(sys.modules["threestudio"], surface.MARK)  # from here on it passes for the real one
before = set(registry.registered())
spec = importlib.util.spec_from_file_location("threestudio-animate3d", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["threestudio-animate3d"] = module
spec.loader.exec_module(module)
from animate3d.studio import api
assert not api.EMBEDDED
print(*sorted(set(registry.registered()) - before))
"""


@pytest.mark.slow
def test_registered_names_beside_the_real_host() -> None:
    command = [sys.executable, "-c", SCRIPT, str(PLUGIN / "__init__.py")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [
        "animatemv-diffusion-guidance",
        "diff-gaussian-rasterizer-advanced-4d",
        "gaussian-rasterizer-static",
        "gaussian-splatting-3d-vis",
        "gaussian-splatting-4d",
        "gaussian-splatting-animate3d-system",
        "simple-multi-image-datamodule",
    ]
