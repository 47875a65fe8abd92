"""Addresses to listen on, and how this machine reaches what listens there; IPv6 included."""

from __future__ import annotations

import socket
from ipaddress import ip_address


def reachable(host: str) -> str:
    """Where this machine reaches what listens on ``host``: there, or on loopback where it listens on all addresses."""
    try:
        address = ip_address(host)
    except ValueError:  # a name
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def netloc(host: str, port: int) -> str:
    """``host:port`` as it stands in a URL, to ask what listens on ``host``."""
    host = reachable(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_family(host: str) -> socket.AddressFamily:
    """IPv6 for such an address, else IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def try_to_bind(host: str, port: int) -> None:
    """Take a port and give it back.

    Raises:
        OSError, UnicodeError: it cannot be had (:func:`multiner.serving.gateway.state.cannot_listen` has the words).
    """
    with socket.socket(address_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
