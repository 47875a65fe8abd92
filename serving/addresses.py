"""The addresses at which each part of the system listens and is reached, in IPv4 and IPv6."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError

GATEWAY_PORT = "NER_GATEWAY_PORT=8001, or serving.port in params.yaml"  # the settings of the port


def as_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a listener on ``host`` is bound to; None for a name.

    The system also takes ``127.1`` and ``0`` for addresses of IPv4, and IPv6 has those as ``::ffff:127.0.0.1``.
    """
    host = host.strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True)
class Addresses:
    """The addresses of all parts: they listen on ``host``; this machine reaches them at the URLs."""

    host: str
    airflow_port: int
    mlflow_port: int
    gateway_port: int

    @classmethod
    def of(cls, workspace: Workspace) -> Addresses:
        """From ``serving`` in params.yaml and from :func:`gateway_address`, which raises the same."""
        settings = workspace.params["serving"]
        host, port = gateway_address(workspace)
        return cls(host, settings["airflow_port"], settings["mlflow_port"], port)

    def _url(self, port: int) -> str:
        return f"http://{netloc(self.host, port)}"

    @property
    def airflow(self) -> str:
        """Airflow's address."""
        return self._url(self.airflow_port)

    @property
    def mlflow(self) -> str:
        """MLflow's address."""
        return self._url(self.mlflow_port)

    @property
    def reports(self) -> str:
        """Address of the Data Docs and reports, which the gateway shows."""
        return f"{self.gateway}/reports"

    @property
    def gateway(self) -> str:
        """Address of the page and the API."""
        return self._url(self.gateway_port)

    def of_part(self, part: str) -> tuple[str, int]:
        """A part's port, and the parameter that sets it."""
        return {
            "airflow": ("serving.airflow_port", self.airflow_port),
            "mlflow": ("serving.mlflow_port", self.mlflow_port),
            "serving": ("serving.port", self.gateway_port),
        }[part]


def reachable(host: str) -> str:
    """The host at which this machine reaches a listener on ``host``: loopback if that means all addresses."""
    address = as_address(host)
    if address is None or not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def netloc(host: str, port: int) -> str:
    """``host:port`` of a URL, for a listener on ``host``."""
    host = reachable(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_family(host: str) -> socket.AddressFamily:
    """IPv6 for such an address, else IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def try_to_bind(host: str, port: int) -> None:
    """Take a port and release it; raises OSError or UnicodeError for :func:`cannot_listen`."""
    with socket.socket(address_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def gateway_address(workspace: Workspace) -> tuple[str, int]:
    """Host and port to listen on: ``NER_BIND`` and ``NER_GATEWAY_PORT`` before ``serving.host`` and ``serving.port``.

    The host is without the brackets that an IPv6 address has in URLs.

    Raises:
        NerError: no such port.
    """
    settings = workspace.params["serving"]
    variable = os.environ.get("NER_GATEWAY_PORT")
    try:
        port = int(variable or settings["port"])
        if not 0 < port < 65536:
            raise ValueError
    except (TypeError, ValueError):
        where = "NER_GATEWAY_PORT" if variable else "params.yaml: serving.port"
        raise NerError(
            f"not a port number: {variable or settings['port']!r}", where=where, remedy="Set a number from 1 to 65535."
        ) from None
    return (os.environ.get("NER_BIND") or settings["host"]).strip("[]"), port


def cannot_listen(
    error: OSError | UnicodeError, host: str, port: int, *, part: str = "serving", setting: str = GATEWAY_PORT
) -> NerError:
    """The message for an ``error`` of binding to an address: occupied, not this machine's, or reserved for root.

    ``part`` of the system was to listen there; ``setting`` sets its port.
    """
    code, where = getattr(error, "errno", None), f"{host}:{port}"
    if code == errno.EADDRINUSE:
        message = f"port {port}, meant for {part}, is in use by another program"
        return NerError(message, where=where, remedy=f"End that program, or set another port: {setting}.")
    if code in (errno.EACCES, errno.EPERM):
        remedy = f"Choose a port from 1024 upwards: {setting}."
    else:
        remedy = "Give an address of this machine, such as 127.0.0.1: NER_BIND, or serving.host in params.yaml."
    reason = getattr(error, "strerror", None) or "no such address"
    return NerError(f"cannot listen: {reason}", where=where, remedy=remedy)


def listening(host: str, port: int) -> bool:
    """Whether a listener on ``host`` accepts connections at the port."""
    try:
        with socket.create_connection((reachable(host), port), timeout=1):
            return True
    except (OSError, UnicodeError):
        return False


def require_free(addresses: Addresses, parts: list[str]) -> None:
    """Check that all ports are free.

    Raises:
        NerError: another program has one, or ``host`` is no address of this machine.
    """
    for part in parts:
        parameter, port = addresses.of_part(part)
        try:
            try_to_bind(addresses.host, port)
        except (OSError, UnicodeError) as error:
            setting = f"{parameter} in params.yaml"
            raise cannot_listen(error, addresses.host, port, part=part, setting=setting) from None


def http_address(name: str) -> str | None:
    """The HTTP address in an environment variable, without a slash at its end; None if it is empty.

    Raises:
        NerError: it is not an address, or has credentials, which pages would show.
    """
    value = os.environ.get(name, "").strip().rstrip("/")
    if not value:
        return None
    try:
        parts = urlsplit(value)
        server = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        right = server and parts.username is None and not parts.query and not parts.fragment
    except ValueError:
        right = False
    if not right:
        raise NerError(f"{name} is not an address such as http://host:8080, without credentials", where=name)
    return value
