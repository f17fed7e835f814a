"""No test reaches another machine, and the package holds nothing that would."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

ELSEWHERE = "192.0.2.1"  # set aside for documentation (RFC 5737): nobody answers there


def test_a_connection_to_another_machine_is_refused_and_noted(offline: list[str]) -> None:
    with socket.socket() as made, pytest.raises(ConnectionRefusedError, match="offline"):
        made.connect((ELSEWHERE, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as made, pytest.raises(ConnectionRefusedError, match="offline"):
        made.sendto(b"", (ELSEWHERE, 53))
    with pytest.raises(ConnectionRefusedError, match="offline"):
        socket.getaddrinfo("example.invalid", 443)
    assert offline == [ELSEWHERE, ELSEWHERE, "example.invalid"]
    offline.clear()  # these were ours


def test_a_connection_within_this_machine_passes(offline: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5) as made:
        assert made.getpeername() == server.getsockname()
    assert not offline


def test_a_process_that_a_test_starts_is_offline_too() -> None:
    program = f"import socket; socket.socket().connect(({ELSEWHERE!r}, 80))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "tests are offline" in done.stderr
