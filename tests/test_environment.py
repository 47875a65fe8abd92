"""The environment of what the project starts, as the libraries read it that make its calls; large blocks of memory."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request

import httpx
import pytest
from requests.utils import get_environ_proxies

from multiner.pipeline.core.environment import quiet_environment, silence_telemetry

PROXY = "http://127.0.0.1:9"
LOOPBACK = ["http://127.0.0.1:8080/execution/", "http://localhost:5000/", "http://[::1]:8000/"]


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for everything, as machines of companies have it."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, PROXY)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def through_proxy(url: str) -> list[bool]:
    """Whether requests, httpx and urllib would call an address through the proxy, in this environment."""
    with httpx.Client() as client:
        own = client._transport_for_url(httpx.URL(url)) is not client._transport
    by_urllib = not urllib.request.proxy_bypass_environment(httpx.URL(url).host)
    return [bool(get_environ_proxies(url)), own, by_urllib]


@pytest.mark.parametrize("given", [{}, {"NO_PROXY": "", "no_proxy": ""}, {"NO_PROXY": "intranet.example"}])
def test_loopback_is_reached_without_the_proxy_and_the_world_through_it(given: dict[str, str]) -> None:
    os.environ.update(given)
    assert all(through_proxy(LOOPBACK[0]))
    silence_telemetry()
    for url in LOOPBACK:
        assert not any(through_proxy(url)), url
    assert all(through_proxy("http://example.org/"))
    if "intranet.example" in given.values():
        assert not any(through_proxy("http://intranet.example/"))


def test_what_is_started_gets_the_same() -> None:
    os.environ["no_proxy"] = "intranet.example, other.example"
    environment = quiet_environment(MORE="1")
    assert environment["NO_PROXY"] == environment["no_proxy"]
    assert environment["no_proxy"].split(",") == [
        *("intranet.example", "other.example"),
        *("127.0.0.1", "localhost", "::1"),
    ]
    os.environ["no_proxy"] = "*"
    assert quiet_environment()["no_proxy"] == "*", "no proxy at all, as it was"


BLOCKS = """
import ctypes, sys
from multiner.pipeline.core.environment import map_large_blocks

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")]
    _fields_ += [("rest", ctypes.c_size_t * 5)]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.mallinfo2.restype = ctypes.c_void_p, Info
if sys.argv[1] == "map":
    map_large_blocks()
libc.free(ctypes.c_void_p(libc.malloc(8 * 2**20)))  # glibc then takes blocks of this size from the heap, left to itself
before = libc.mallinfo2().hblks
libc.malloc(8 * 2**20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.parametrize(("choice", "mapped"), [("map", "1"), ("leave", "0")])
def test_large_blocks_are_mapped_each_by_itself(choice: str, mapped: str) -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKS, choice], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == mapped
