"""The address that a page is served on."""

from __future__ import annotations

import socket

import pytest

pytest.importorskip("viser", reason="viser is not installed")

from animate3d.errors import InputError
from animate3d.viewer.stage import open_server


@pytest.mark.parametrize(
    ("host", "port", "sentence"),
    [
        ("127.0.0.1", 99999, r"The port 99999 does not exist; give a --port between 0 and 65535\.$"),
        ("127.0.0.1", -1, "The port -1 does not exist"),
        ("192.0.2.1", 8691, "The page cannot be served on 192.0.2.1 .*give a --host that is an address of this"),
        ("nonsense.invalid", 8691, "The page cannot be served on nonsense.invalid"),
        ("a..b", 8691, "The page cannot be served on a..b"),
    ],
)
def test_an_address_that_cannot_be_served_on_is_refused_instead_of_waiting(host: str, port: int, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        open_server(host, port)


def test_the_last_port_that_is_taken_is_refused_instead_of_waiting() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 65535))
        taken.listen()
        with pytest.raises(InputError, match=r"No port from 65535 on is free on 127\.0\.0\.1"):
            open_server("127.0.0.1", 65535)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_addresses_of_this_machine_are_served_on(host: str) -> None:
    server = open_server(host, 8692)
    assert server.get_port() >= 8692
    server.stop()
