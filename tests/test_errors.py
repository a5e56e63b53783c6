"""What a user sees when something goes wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from tqdm import tqdm

from animate3d.errors import Animate3DError, InputError, MissingDependencyError, available, require, run_command


def raising(error: BaseException):  # type: ignore[no-untyped-def]
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("The mesh x is empty."), 1, "error: The mesh x is empty.\n"),
        (MissingDependencyError("Needs bpy."), 1, "error: Needs bpy.\n"),
        (KeyboardInterrupt(), 130, "interrupted: run the same command again to continue\n"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/a.glb"),
            1,
            "error: out/a.glb cannot be read or written: No space left on device.\n",
        ),
        (OSError("the pipe broke"), 1, "error: The system gave an error: the pipe broke.\n"),
    ],
)
def test_user_errors_are_one_line_and_an_exit_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(raising(error))
    assert stop.value.code == code
    assert capsys.readouterr() == ("", said)


def test_warnings_of_every_command_name_no_python_file() -> None:
    script = (
        "import warnings; from animate3d.errors import run_command\n"
        "def main():\n"
        "    warnings.formatwarning = lambda *where: 'x.py:3: replaced'  # as Lightning does\n"
        "    warnings.warn('The mesh\\nhas holes.')\n"
        "run_command(main)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.stderr == "warning: The mesh has holes.\n"


def test_an_error_does_not_hide_at_the_end_of_a_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with tqdm(total=3) as bar:
        bar.update()
        with pytest.raises(SystemExit):
            run_command(raising(InputError("Broken.")))
    assert "\nerror: Broken.\n" in capsys.readouterr().err


def test_defects_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(raising(ZeroDivisionError()))


@pytest.mark.parametrize(("result", "code"), [(0, 0), (None, 0), (3, 3)])
def test_the_exit_code_is_what_the_command_returned(result: int | None, code: int) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: result)
    assert stop.value.code == code


def test_a_missing_package_names_the_feature_and_the_extra() -> None:
    assert require("json", feature="x", extra="y").dumps([]) == "[]"
    with pytest.raises(
        MissingDependencyError, match=r"FBX export needs .*no_such_package.*animate3d\[blender\]"
    ) as info:
        require("no_such_package", feature="FBX export", extra="blender")
    assert isinstance(info.value.__cause__, ImportError) and isinstance(info.value, Animate3DError)


def test_available_does_not_import() -> None:
    assert available("json") and not available("no_such_package")
