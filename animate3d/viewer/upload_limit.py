"""Uploads that are too large are refused when they begin: viser itself would keep any of them in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class _Nothing(dict[int, bytes]):
    """In place of the parts of an upload: counts them and keeps none."""

    def __setitem__(self, key: int, value: bytes) -> None:
        super().__setitem__(key, b"")


def limit_uploads(server: Any, limit: int, refused: Callable[[str, int], object]) -> None:
    """Keep nothing of an upload that says it is larger than ``limit`` bytes; ``refused`` gets its name and size.

    viser has no setting for it. What it cannot be asked in advance `keep_upload` refuses once it is there.
    """
    try:
        from viser._messages import FileTransferStartUpload

        states, register = server.gui._current_file_upload_states, server.gui._websock_interface.register_handler
    except (ImportError, AttributeError):  # another version of viser
        return

    def begin(client: int, message: Any) -> None:
        state = states.get(message.transfer_uuid)
        if state is not None and message.size_bytes > limit:
            state["parts"] = _Nothing()  # viser drops an upload with fewer bytes than it was to have
            refused(message.filename, message.size_bytes)

    register(FileTransferStartUpload, begin)
