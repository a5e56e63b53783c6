"""`benchmarks/gpu.py` where there is no GPU: its sections exist, and one that fails or is skipped costs no other."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = Path(__file__).parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location("gpu_benchmark", folder / "gpu.py")  # Blender has a module `gpu`
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_section_is_a_function_and_the_usual_ones_fit_into_four_minutes(gpu: Any) -> None:
    for name, (module, _) in gpu.SECTIONS.items():
        assert callable(getattr(importlib.import_module(module), name)), name
    assert sum(estimate for _, estimate in gpu.USUAL.values()) <= 240


def raising(error: Exception) -> Callable[[], dict[str, Any]]:
    def function() -> dict[str, Any]:
        raise error

    return function


def test_what_is_missing_is_skipped_what_fails_is_told_and_the_rest_runs(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = {
        "unet": raising(ModuleNotFoundError("No module named 'typeguard'")),
        "tracking": raising(RuntimeError("No ffmpeg exe could be found.")),
        "training": raising(ValueError("a defect")),
        "start": lambda: {"rows": {"UNet, one prompt, fp16": "7 ms"}},
    }
    measure = importlib.import_module("gpu_measure")
    monkeypatch.setattr(measure, "GPU", False)
    monkeypatch.setattr(measure, "fresh_memory", lambda: None)
    monkeypatch.setitem(sys.modules, "sections", types.SimpleNamespace(**functions))
    monkeypatch.setattr(gpu, "SECTIONS", dict.fromkeys(functions, ("sections", 1)))
    out = tmp_path / "gpu.json"
    assert gpu.run(list(functions), until=float("inf"), out=out) == 0
    assert gpu.run(["start"], until=0, out=out) == 0  # no time is left
    state = gpu.read(out)
    assert "typeguard" in state["unet"]["skipped"] and "ffmpeg" in state["tracking"]["skipped"]
    assert "a defect" in state["training"]["error"] and "running" not in state
    assert state["left_out"] == ["start"]
    lines = gpu.table(state, list(functions), 1.0).splitlines()
    kept = gpu.kept_column()["UNet, one prompt, fp16"]
    assert kept and f"| UNet, one prompt, fp16 | {kept} | 7 ms |" in lines
    assert "| training | | error: ValueError: a defect |" in lines


def test_a_process_that_dies_costs_one_section(gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, started = tmp_path / "gpu.json", []

    class Process:
        """Runs sections until `unet`, which takes it away."""

        def __init__(self, words: list[str], **_: Any) -> None:
            names = words[2 : words.index("--until")]
            started.append(names)
            state = gpu.read(out)
            for name in names:
                gpu.write(out, {**state, "running": {"section": name, "since": 0}})
                if name == "unet":
                    return
                state[name] = {"rows": {}}
            gpu.write(out, state)

        def poll(self) -> int:
            return -11

        wait = poll

    monkeypatch.setattr(gpu.subprocess, "Popen", Process)
    assert gpu.supervise(["ceilings", "unet", "start"], 60, out) == 1
    assert started == [["ceilings", "unet", "start"], ["start"]]
    assert "ended with -11" in gpu.read(out)["unet"]["error"] and "start" in gpu.read(out)


@pytest.mark.slow
def test_the_sections_run_in_tiny_sizes_on_the_cpu(tmp_path: Path) -> None:
    names = ["ceilings", "raster_speed", "unet", "unet_int8", "sampling", "low_memory", "refinement_step", "training"]
    script = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
    options = ["--tiny", "--device", "cpu", "--budget", "1000", "--out", str(tmp_path / "gpu.json")]
    ended = subprocess.run([sys.executable, str(script), *names, *options], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert all(found[name]["rows"] for name in names) and not found["left_out"]
