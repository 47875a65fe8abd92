"""Which refusals of the gate stand, and which may be the machine's fault, so that they are looked at again."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline.inference import golden, isolated_process
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import GateVerdict, JudgedModel, together

MODEL, TYPES = Path("model"), ["PER", "LOC", "ORG", "MISC"]


def answers(milliseconds: float, *, complete: bool) -> isolated_process.Answers:
    """To the English golden samples: all of their entities, or none."""
    texts = golden.samples("en")
    entities = [
        [
            {
                "start": sample.text.index(text),
                "end": sample.text.index(text) + len(text),
                "text": text,
                "label": label,
                "score": 1.0,
                "legs": {},
            }
            for text, label in sample.entities
        ]
        for sample in texts
    ]
    replies = [{"entities": one if complete else []} for one in entities]
    return isolated_process.Answers(replies, [milliseconds] * len(texts), 1.0)


@pytest.mark.parametrize(
    ("milliseconds", "complete", "passed", "final"),
    [(10, True, True, True), (2500, True, False, False), (10, False, False, True), (2500, False, False, True)],
)
def test_slowness_alone_is_not_final(
    monkeypatch: pytest.MonkeyPatch, milliseconds: float, complete: bool, passed: bool, final: bool
) -> None:
    monkeypatch.setattr(isolated_process, "ask", lambda *_, **__: answers(milliseconds, complete=complete))
    verdict = gate.check_golden(MODEL, "en", TYPES, {"max_latency_ms": 2000, "golden_share": 0.8})
    assert (verdict.passed, verdict.final) == (passed, final), verdict.reasons
    assert any("latency" in reason for reason in verdict.reasons) == (milliseconds > 2000)


def test_a_process_that_fails_is_not_final_in_the_whole_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise isolated_process.ProcessFailed("exit status -9: (out of memory)")

    monkeypatch.setattr(isolated_process, "ask", killed)
    options = {"max_latency_ms": 2000, "golden_share": 0.8}
    verdict = gate.judge(JudgedModel(MODEL), None, {}, language="en", types=TYPES, options=options, seed=13)
    assert (verdict.passed, verdict.final) == (False, False)


@pytest.mark.parametrize(
    ("parts", "passed", "final"),
    [
        ([(True, True), (True, True)], True, True),
        ([(True, True), (False, False)], False, False),
        ([(False, True), (False, False)], False, True),
    ],
)
def test_what_fails_for_good_settles_it(parts: list[tuple[bool, bool]], passed: bool, final: bool) -> None:
    verdict = together([GateVerdict(each, [], final=settled) for each, settled in parts])
    assert (verdict.passed, verdict.final) == (passed, final)
