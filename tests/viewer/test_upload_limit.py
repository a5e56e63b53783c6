"""Uploads that are too large take no memory and reach nobody."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

viser = pytest.importorskip("viser", reason="viser is not installed")

from animate3d.viewer.stage import open_server  # noqa: E402
from animate3d.viewer.upload_limit import limit_uploads  # noqa: E402

PART = 1_000_000


@pytest.fixture
def server():
    opened = open_server("127.0.0.1", 8690)
    yield opened
    opened.stop()


def send(server: Any, button: Any, parts: int) -> int:
    """An upload as a browser sends it; returns the most bytes that were kept of it at any moment."""
    from viser._messages import FileTransferPart, FileTransferStartUpload

    uuid = button._impl.uuid
    start = FileTransferStartUpload(uuid, "t", "huge.glb", "", parts, parts * PART)
    for handler in server.gui._websock_interface._incoming_handlers[FileTransferStartUpload]:
        result = handler(0, start)
        if inspect.isawaitable(result):
            asyncio.run(result)
    kept, content = 0, bytes(PART)
    for number in range(parts):
        state = server.gui._current_file_upload_states["t"]
        server.gui._handle_file_transfer_part(0, FileTransferPart(uuid, "t", number, content))
        kept = max(kept, sum(len(part) for part in state["parts"].values()))
    return kept


def test_five_hundred_megabytes_are_refused_when_they_begin(server):
    refused, arrived = [], []
    button = server.gui.add_upload_button("upload")
    button.on_upload(lambda event: arrived.append(event))
    limit_uploads(server, 200 * PART, lambda name, size: refused.append((name, size)))
    with pytest.warns(UserWarning, match="Dropping upload"):
        assert send(server, button, 500) == 0
    assert refused == [("huge.glb", 500 * PART)] and arrived == []
    assert "t" not in server.gui._current_file_upload_states


def test_smaller_files_are_kept(server):
    refused: list[object] = []
    button = server.gui.add_upload_button("upload")
    limit_uploads(server, 200 * PART, lambda name, size: refused.append(name))
    assert send(server, button, 3) == 3 * PART
    assert refused == [] and len(button.value.content) == 3 * PART


def test_the_server_listens_on_the_given_address_only(server):
    assert server.get_host() == "127.0.0.1"
