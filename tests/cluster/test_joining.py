"""A cluster that does not answer is told at once, and a request to end is an interrupt while Ray is connected."""

from __future__ import annotations

import os
import signal
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from animate3d.cluster import joined, ray
from animate3d.errors import InputError


@pytest.mark.parametrize("address", ["ray://127.0.0.1:{}", "127.0.0.1:{}", "auto"])
def test_where_nobody_answers_ray_is_not_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:  # bound, and not listening
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        monkeypatch.setattr(ray, "ray_module", SimpleNamespace)
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        with pytest.raises(InputError, match="no Ray cluster"), joined(address.format(port)):
            pass


def test_a_request_to_end_is_an_interrupt_although_ray_has_a_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    def connected(*words: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *words: None)  # as Ray does

    monkeypatch.setattr(ray, "ray_module", lambda: SimpleNamespace(shutdown=lambda: ended.append(True)))
    monkeypatch.setattr(ray, "_connected", connected)
    monkeypatch.setattr(ray, "_described", lambda *words: "here")
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt), joined("auto"):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == [True]
