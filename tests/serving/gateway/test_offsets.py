"""Offsets through the whole of gateway and model class: exact for any text, in code points and in UTF-16 units."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multiner.pipeline.core.document import Document
from multiner.pipeline.core.iob2 import bio_labels
from multiner.pipeline.ensemble.model import Ensemble, Member
from multiner.pipeline.inference.pyfunc import ModelError, NerModel
from multiner.serving.http.payload import Limits

TYPES = ["PER", "LOC"]
JSON, LINES = {"content-type": "application/json"}, {"content-type": "application/jsonl"}

SIGNS = {
    "blanks": [" ", "\t", "\r\n", "\n", "\u00a0", "\u2028", "\u3000", "\x0b", "\x85"],
    "unseen": ["\x00", "\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff", "\u202e", "\u2066", "\ufe0f", "\U000e0041"],
    "combining": ["e\u0301", "И\u0306", "Z\u0351\u036b", "\u0301"],
    "case changes the length": ["Straße", "ẞ", "İstanbul", "ıI", "ŉ", "ǰ", "ΐ"],
    "ligatures": ["ﬁnn", "ﬀ", "Æon", "ﷺ", "ĳ"],
    "right to left": ["عمان", "القاهرة", "חיפה", "\u05e9\u05c1"],
    "beyond the plane": ["🙂", "👩\u200d👩\u200d👧", "🇳🇴", "𝔄nna", "𐐀𐐨", "\U0010ffff"],
    "half": ["\ud800", "\udfff", "\ud83d", "\ude42"],
    "names": ["Anna", "Орлов", "Oslo", "D'Arc", "Jean-Luc", "A.", "O\u2019Neil", "АннаBerg"],
    "signs": [".", ",", "—", "«", "»", "(", "|", "/", "#", "@", "&amp;", "<b>"],
}
TEXTS = st.lists(
    st.one_of(st.sampled_from([sign for signs in SIGNS.values() for sign in signs]), st.text(max_size=6)), max_size=14
).map("".join)


class Capitals:
    """A leg that takes each word with a capital letter for a person, or for what follows on one."""

    labels = bio_labels(TYPES)

    def __init__(self, certainty: float) -> None:
        self.certainty = certainty

    def predict(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """Probabilities, one array [tokens, labels] per document."""
        results = []
        for document in documents:
            document.text.encode()  # encoders take nothing that is no UTF-8
            rows = np.full((len(document.tokens), len(self.labels)), (1 - self.certainty) / (len(self.labels) - 1))
            before = False
            for row, word in zip(rows, document.words(), strict=True):
                capital = word != word.lower()
                row[self.labels.index(("I-PER" if before else "B-PER") if capital else "O")] = self.certainty
                before = capital
            results.append(rows.astype(np.float32))
        return results


def model(language: str) -> NerModel:
    """The class that is served, around legs that need no training."""
    ner = NerModel()
    members = [Member("transformer", 1.0, 0.7), Member("spacy", 1.0, 0.3)]
    ner.ensemble = Ensemble(language, TYPES, members, [Capitals(0.95), Capitals(0.8)])
    return ner


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def gateway(loop: asyncio.Runner, harness: Any) -> Iterator[httpx.AsyncClient]:
    served = model("en")

    def find(text: str) -> list[dict[str, Any]]:
        return served.predict(None, pd.DataFrame({"text": [text]}))[0]["entities"]

    find("")  # takes seconds the first time, on a busy machine more than a backend's probe may
    client = harness(limits=Limits(16, 100_000, 30), find=find).client()
    yield loop.run(client.__aenter__())
    loop.run(client.__aexit__(None, None, None))


def as_parsed(text: str) -> str:
    """What JSON makes of a text: two halves that meet are one sign."""
    return json.loads(json.dumps(text))


def slice_utf16(text: str, start: int, end: int) -> str:
    """``text.slice(start, end)`` of JavaScript."""
    return text.encode("utf-16-le", "surrogatepass")[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")


def places(entity: dict[str, Any]) -> list[tuple[int, int]]:
    """The spans of an entity: its own, and those of the legs that see one."""
    views = [entity, *entity["legs"].values()]
    return [(view["start"], view["end"]) for view in views if view["start"] is not None]


def check(text: str, points: list[dict[str, Any]], units: list[dict[str, Any]]) -> None:
    """Entities counted in code points and in UTF-16 units: the same, exact, in order, apart, without blanks around."""
    end = 0
    for entity, counted in zip(points, units, strict=True):
        assert text[entity["start"] : entity["end"]] == entity["text"] == counted["text"]
        assert end <= entity["start"] < entity["end"] <= len(text)
        assert entity["text"] == entity["text"].strip()
        end = entity["end"]
        for (start, stop), (first, last) in zip(places(entity), places(counted), strict=True):
            assert text[start:stop] == slice_utf16(text, first, last)
            assert len(text[:start].encode("utf-16-le", "surrogatepass")) == 2 * first


@pytest.mark.slow
@settings(max_examples=120)
@given(st.lists(TEXTS, min_size=1, max_size=5))
@example(["Straße \ud83d\ude42 İstanbul ﬁnn", "\ud83d", "\r\nAnna\x00Berg\r\n"])
def test_offsets_are_exact_and_each_text_answers_alone_as_among_others(
    loop: asyncio.Runner, gateway: httpx.AsyncClient, texts: list[str]
) -> None:
    texts = [as_parsed(text) for text in texts]

    def ask(text: str | list[str], offsets: str = "code_points") -> list[dict[str, Any]]:
        body = json.dumps({"text": text, "offsets": offsets, "language": "en"})
        response = loop.run(gateway.post("/v1/entities", content=body, headers=JSON))
        assert response.status_code == 200, response.text
        return response.json()["results"]

    together, counted = ask(texts), ask(texts, "utf16")
    for text, result, units in zip(texts, together, counted, strict=True):
        check(text, result["entities"], units["entities"])
        assert [result] == ask(text)
    lines = "\n".join(json.dumps({"text": text, "language": "en"}) for text in texts)
    stream = loop.run(gateway.post("/v1/entities/stream", content=lines, headers=LINES)).content.splitlines()
    assert [json.loads(line) | {"line": 0} for line in stream] == [result | {"line": 0} for result in together]


@pytest.mark.parametrize("sign", [sign for kind in SIGNS if kind != "names" for sign in SIGNS[kind]])
def test_a_name_is_found_where_it_stands_behind_any_sign(
    loop: asyncio.Runner, gateway: httpx.AsyncClient, sign: str
) -> None:
    text = f"{sign}\nfound Anna Berg here {sign}"
    response = loop.run(
        gateway.post("/v1/entities", content=json.dumps({"text": text, "language": "en"}), headers=JSON)
    )
    at = text.index("Anna Berg")
    assert (at, at + 9, "Anna Berg") in [
        (entity["start"], entity["end"], entity["text"]) for entity in response.json()["results"][0]["entities"]
    ]


def test_half_signs_are_read_by_the_model_itself_too() -> None:
    text = "\ud800Anna\udfff Berg"
    outcome = model("en").answer(text)["entities"]
    assert [entity["text"] for entity in outcome] == [text[entity["start"] : entity["end"]] for entity in outcome]
    assert "Anna" in outcome[0]["text"]
    assert "Berg" in outcome[-1]["text"]


def test_errors_of_legs_quote_no_text() -> None:
    import traceback

    broken = model("en")
    broken.ensemble.predict = lambda documents, types: {}[documents[0].text]
    text = "zyxwv".capitalize()
    with pytest.raises(ModelError, match=r"could not be read: KeyError at test_offsets\.py") as raised:
        broken.predict(None, pd.DataFrame({"text": [text]}))
    assert text not in "".join(traceback.format_exception(raised.value))
