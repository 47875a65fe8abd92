"""A model's process that answers several texts in a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiner.pipeline.inference.isolated_process import conversation, thread_environment

from .models import save_model


@pytest.mark.slow
def test_a_list_of_texts_is_answered_by_a_list(tmp_path: Path) -> None:
    with conversation(save_model(tmp_path / "model"), threads=1) as ask:
        one = ask("Ada slept")
        assert [entity["text"] for entity in one["entities"]] == ["Ada"]
        assert ask(["nobody", "Ada slept"]) == [{"entities": []}, one]


def test_threads_of_a_process() -> None:
    assert thread_environment(None) == {}
    assert set(thread_environment(3).values()) == {"3"}
    assert {"NER_THREADS", "OMP_NUM_THREADS"} <= thread_environment(3).keys()
