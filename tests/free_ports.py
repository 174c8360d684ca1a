"""Ports of this machine that nothing uses, for processes that meet."""

import socket


def free_ports(count):
    """As many ports; they are held together, so that they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
