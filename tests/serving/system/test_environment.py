"""Environment variables that mean nothing are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.errors import NerError
from multiner.serving.addresses import Addresses, http_address


@pytest.mark.parametrize("named", ["gateway:8000", "gateway", "http://", "ftp://gateway", "http://gateway:port"])
def test_a_gateway_without_an_address(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("NER_GATEWAY_URL", named)
    with pytest.raises(NerError, match="NER_GATEWAY_URL is not an address") as caught:
        http_address("NER_GATEWAY_URL")
    assert caught.value.where == "NER_GATEWAY_URL"


def test_an_address_of_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NER_GATEWAY_URL", "http://gateway:8000/")
    assert http_address("NER_GATEWAY_URL") == "http://gateway:8000"
    monkeypatch.setenv("NER_GATEWAY_URL", "")
    assert http_address("NER_GATEWAY_URL") is None


def test_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("NER_GATEWAY_PORT", "eight")
    with pytest.raises(NerError, match="NER_GATEWAY_PORT: not a port number: 'eight'"):
        Addresses.of(Workspace.load("cpu", root))
