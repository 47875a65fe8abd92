"""A fake model in the place of a loaded one and of a client."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from multiner import Entity, Model, Result, loading


class FakeModel:
    """A model in this process, or a client: it finds the first occurrence of each of some names.

    Attributes:
        arguments: that it was made with.
        batches: the number of texts in each call.
        language: its own; as a client, that it was asked in last.
    """

    def __init__(self, names: Mapping[str, tuple[str, float | None]], *arguments: object) -> None:
        self.names = names
        self.arguments = arguments
        self.batches: list[int] = []
        self.language = "en"

    def predict(self, texts: list[str]) -> list[Result]:
        self.batches.append(len(texts))
        return [self._result(text) for text in texts]

    def entities(self, texts: list[str], language: str) -> list[Result]:
        self.language = language
        return self.predict(texts)

    def _result(self, text: str) -> Result:
        entities = [
            Entity(text.index(name), text.index(name) + len(name), name, label, score)
            for name, (label, score) in self.names.items()
            if name in text
        ]
        return Result(text, "en", Model("ner-en", "3"), tuple(entities))


@pytest.fixture
def models(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[FakeModel]:
    """The models that were loaded, and the clients; they know the module's NAMES, with type and score."""
    made: list[FakeModel] = []

    def make(*arguments: object) -> FakeModel:
        made.append(FakeModel(request.module.NAMES, *arguments))
        return made[-1]

    monkeypatch.setattr(loading, "load", make)
    monkeypatch.setattr(loading, "Client", make)
    return made
