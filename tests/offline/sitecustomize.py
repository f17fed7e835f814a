"""Refuses to reach other machines, in this process and, by PYTHONPATH, in every Python that the tests start.

An audit hook sees connections, datagrams and look-ups of names of all libraries; sockets within this machine pass.
"""

from __future__ import annotations

import sys
from typing import Any

attempts: list[str] = []


def _is_here(host: object) -> bool:
    text = host.decode(errors="replace") if isinstance(host, bytes) else host
    return text in (None, "", "localhost", "::1", "0.0.0.0", "::") or (
        isinstance(text, str) and text.startswith("127.")
    )


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple):  # a socket of the file system, or one that is connected already
            return
        host = address[0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        attempts.append(str(host))
        raise ConnectionRefusedError(f"tests are offline, but something tried to reach {host!r}")


sys.addaudithook(_refuse)
