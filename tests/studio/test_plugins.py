"""Folders of ``custom/`` load in order, also those written for threestudio, and failures are loud."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from animate3d.studio import plugins

UPSTREAM_STYLE = """
import threestudio
from threestudio.utils.typing import *
from threestudio.utils.base import BaseModule, Updateable
from threestudio.utils.misc import C, get_device, parse_version
from threestudio.utils.ops import get_cam_info_gaussian
from threestudio.models.geometry.base import BaseGeometry
from threestudio.systems.base import BaseLift3DSystem
from threestudio.systems.utils import parse_optimizer
from threestudio.models.prompt_processors.base import PromptProcessorOutput
from threestudio.data.uncond import RandomCameraDataModuleConfig
import threestudio.utils.misc as misc
from .part import VALUE

assert parse_version(threestudio.__version__) >= parse_version("0.2.1")
assert threestudio.utils.misc is misc

@threestudio.register("up-geometry")
class Geometry(BaseGeometry):
    def forward(self, x: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
        return x * VALUE
"""


def write(root: Path, name: str, text: str, **files: str) -> None:
    folder = root / "custom" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(text)
    for file, content in files.items():
        (folder / f"{file}.py").write_text(content)


def run(root: Path, code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_plugins_are_found_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("threestudio-up", "threestudio-3dgs", "zzz", "old_disabled"):
        write(tmp_path, name, "")
    (tmp_path / "custom" / "single.py").touch()
    (tmp_path / "custom" / "no-plugin").mkdir()
    monkeypatch.chdir(tmp_path)
    found = [path.stem for path in plugins.plugin_paths()]
    assert found[:2] == ["threestudio-3dgs", "single"] and found[-2:] == ["threestudio-up", "zzz"]
    assert "threestudio-animate3d" in found and len(found) == 5


@pytest.mark.slow
def test_plugins_load_in_order_and_failures_name_the_plugin(tmp_path: Path) -> None:
    write(tmp_path, "threestudio-up", UPSTREAM_STYLE, part="VALUE = 2")
    write(tmp_path, "aaa-needs-3dgs", 'import importlib; importlib.import_module("threestudio-3dgs.part")\n')
    write(tmp_path, "aab-needs-zzz", 'import importlib; importlib.import_module("zzz")\n')
    write(tmp_path, "threestudio-3dgs", "from .part import VALUE\n", part="VALUE = 1")
    write(tmp_path, "zzz", "")
    write(tmp_path, "old_disabled", "raise RuntimeError\n")
    broken = 'import threestudio\n@threestudio.register("half")\nclass Half: pass\nraise RuntimeError("no kernel")\n'
    write(tmp_path, "broken", broken)
    (tmp_path / "custom" / "single.py").write_text('import threestudio\nthreestudio.register("one")(object)\n')
    (tmp_path / "custom" / "no-plugin").mkdir()
    text = run(
        tmp_path,
        """
import sys
from animate3d.studio import api, plugins, registry
assert api.EMBEDDED and "threestudio" not in sys.modules
plugins.load_plugins()
plugins.load_plugins()
print("order", [p.stem for p in plugins.plugin_paths()])
assert api.find("up-geometry")({}).forward(3) == 6
assert sys.modules["threestudio-3dgs.part"].VALUE == 1
api.find("one"), api.find("gaussian-splatting-4d")
for name in ("half", "wanted"):
    try:
        api.find(name)
    except KeyError as error:
        print("error:", error)
import importlib
assert importlib.reload(api).EMBEDDED
print("failed", registry.failed_plugins)
""",
    )
    assert "order ['threestudio-3dgs', 'aaa-needs-3dgs', 'aab-needs-zzz', 'broken', 'single'," in text
    assert text.count("The plugin '" + "broken' failed to load: RuntimeError: no kernel.") == 2
    assert text.count("broken failed to load") == 1
    assert "failed {'broken': 'RuntimeError: no kernel'}" in text


def test_a_loaded_threestudio_is_used(tmp_path: Path) -> None:
    from animate3d.studio.surface import SURFACE

    for module, (_, names) in SURFACE.items():
        path = tmp_path.joinpath("threestudio", *module.split("."))
        parents = [p for p in [path, *path.parents] if tmp_path in p.parents]
        for folder in parents:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
        (path / "__init__.py").write_text("".join(f"{n} = 'real {n}'\n" for n in names))
    text = run(
        tmp_path,
        """
import threestudio, sys
from animate3d.studio import api
print(api.EMBEDDED, api.register, api.BaseLift3DSystem, api.get_ray_directions.__module__)
assert "animate3d.studio.config" not in sys.modules, "would register resolvers that the host registers"
""",
    )
    assert text.strip() == "False real register real BaseLift3DSystem animate3d.studio.ops"
