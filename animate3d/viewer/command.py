"""``animate3d view``: a moving or still model in the browser, or its page as a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from animate3d.arguments import OptionalFile, parse
from animate3d.progress import say

_EXAMPLES = """examples:
  animate3d view outputs/demo
  animate3d view outputs/demo/animation.glb
  animate3d view dragon.ply
  animate3d view garden.yaml
  animate3d view outputs/dragon/frames_ply --record dragon.html

Serves on this machine only, unless --host says otherwise. Ctrl-C ends it.
"""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ViewCommand:
    """Flags of `animate3d view`."""

    path: Positional[Path]
    """folder of a run, animated glb or gltf, folder of a ply sequence, a model or a scene file at rest"""
    port: Annotated[int, arg(metavar="N")] = 8080
    """port of the page; the next free one where it is taken"""
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """address to serve on; another one lets other machines in, without a password"""
    record: OptionalFile = None
    """write one page that plays offline, and serve nothing"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = sys.argv[1:] if arguments is None else arguments
    given, _ = parse(ViewCommand, words, prog="animate3d view", summary="a model in the browser", examples=_EXAMPLES)

    from animate3d.viewer.sources import load_show  # torch takes a second to import

    show = load_show(given.path)
    if given.record is not None:
        from animate3d.viewer.page import write_page

        for sentence in write_page(given.record, show):
            say(sentence)
        say(str(given.record))
        return 0

    from animate3d.viewer.stage import Stage, open_server

    server = open_server(given.host, given.port)
    stage = Stage(server)
    stage.show(show)
    serve(server, given.host)
    stage.close()
    return 0


def serve(server: object, host: str) -> None:
    """Say where the page is, and wait for Ctrl-C."""
    name = "127.0.0.1" if host in LOOPBACK else host
    say(f"open http://{name}:{server.get_port()} in a browser; Ctrl-C ends it")  # type: ignore[attr-defined]
    if host not in LOOPBACK:
        say(f"warning: served on {host}: whoever reaches that address can use the page, there is no password")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        server.stop()  # type: ignore[attr-defined]
