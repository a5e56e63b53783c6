"""``animate3d app``: animate models in the browser."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from animate3d.arguments import Folder, parse
from animate3d.errors import InputError

_EXAMPLES = """examples:
  animate3d app
  animate3d app --workspace ~/animations --port 9000

Serves on this machine only, unless --host says otherwise: whoever reaches the page can upload files and start runs,
there is no password. Runs wait for each other. Ctrl-C ends the app and the run at work; the app continues it next time.
"""


@dataclass(frozen=True)
class AppCommand:
    """Flags of `animate3d app`."""

    workspace: Folder = Path("outputs/app")
    """folder for uploaded files and runs"""
    port: Annotated[int, arg(metavar="N")] = 8080
    """port of the page; the next free one where it is taken"""
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """address to serve on; another one lets other machines in, without a password"""
    upload_limit: Annotated[int, arg(metavar="MB")] = 200
    """megabytes of an uploaded file at most"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = sys.argv[1:] if arguments is None else arguments
    given, _ = parse(
        AppCommand, words, prog="animate3d app", summary="animate models in the browser", examples=_EXAMPLES
    )
    if given.upload_limit < 1:
        raise InputError(f"--upload-limit is a number of megabytes above 0, got {given.upload_limit}.")

    from animate3d.viewer.app import App  # torch takes a second to import
    from animate3d.viewer.command import serve
    from animate3d.viewer.stage import open_server
    from animate3d.viewer.workspace import Workspace

    workspace = Workspace(given.workspace.expanduser(), given.upload_limit * 1_000_000)
    server = open_server(given.host, given.port)
    app = App(server, workspace)
    try:
        serve(server, given.host)
    finally:
        app.close()
    return 0
