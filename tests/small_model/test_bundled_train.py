"""The command that makes the bundled model, as its users stop and continue it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.small_model.data.synthesize import Settings, synthesize
from animate3d.small_model.train import KNOWS_SIGNALS, main

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not KNOWS_SIGNALS, reason="this torch prints a traceback")]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, untrained: Callable[[], MultiViewVideoPipeline]) -> Path:
    """What the stages `data` and `start` leave, in little."""
    out = tmp_path_factory.mktemp("bundled")
    synthesize(out / "data", Settings(clips=8, held_out=1), workers=1)
    untrained().save_pretrained(out / "start")
    (out / "start.json").write_text("{}")
    return out


def stop(out: Path, stage: str, log: Path, ask: Callable[[int], None]) -> tuple[int, str, int]:
    """Exit code, what was printed, and the last step of a training that was asked to stop after two steps."""
    command = [sys.executable, "-m", "animate3d.small_model.train", "--stages", stage]
    options = ["--data", str(out / "data"), "--out", str(out)]
    with (out / "printed").open("w+") as printed:
        process = subprocess.Popen([*command, *options], stdout=printed, stderr=printed, start_new_session=True)
        try:
            while not log.exists() or len(log.read_text().splitlines()) < 2:
                assert process.poll() is None
                time.sleep(0.1)
            ask(process.pid)
            code = process.wait(timeout=120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))
    return code, (out / "printed").read_text(), steps[-1]


def ctrl_c(pid: int) -> None:
    """As a terminal does: every process gets it."""
    os.killpg(pid, signal.SIGINT)


def sigterm(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def test_ctrl_c_and_sigterm_save_the_last_step_and_the_same_command_continues(started: Path) -> None:
    log, latest = started / "run" / "losses.jsonl", started / "run" / "checkpoints" / "latest.ckpt"
    code, printed, step = stop(started, "unet", log, ctrl_c)
    assert code == 130 and "Traceback" not in printed and "run the same command again" in printed
    assert latest.resolve().name == f"checkpoint-step-{step}.ckpt"
    options = ["--data", str(started / "data"), "--out", str(started)]
    main([*options, "--stages", "unet", "--steps", str(step + 1), "--decay-steps", "1"])
    assert latest.resolve().name == f"checkpoint-step-{step + 2}.ckpt"

    code, printed, step = stop(started, "origins", started / "origins.jsonl", sigterm)
    assert code == 130 and "Traceback" not in printed
    main([*options, "--stages", "origins", "--origin-steps", str(step + 1)])
    lines = (started / "origins.jsonl").read_text().splitlines()
    assert len(lines) == step + 1
