"""The stage graph as the DAGs read it."""

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "dags"))

from wiring.graph import Stage, data_version, parse_stages, pointers_of, stages_of, task_id, upstream  # noqa: E402

DVC = """
stages:
  vectors:
    foreach: [en, ru]
    do: {cmd: x, deps: [raw], outs: ["vectors/${item}"]}
  encoder: {cmd: x, deps: [raw/packages], outs: [encoders/e5]}
  prepare:
    foreach: [en, ru]
    do: {cmd: x, deps: [raw], outs: ["out/${profile}/${item}/documents"]}
  train:
    foreach: [en, ru]
    do:
      cmd: x
      deps: ["out/${profile}/${item}/documents/train.jsonl", encoders/e5]
      outs: ["out/${profile}/${item}/legs/transformer"]
  evaluate:
    foreach: [en, ru]
    do:
      cmd: x
      deps: ["out/${profile}/${item}/legs", "vectors/${item}/"]
      metrics: ["metrics/${profile}/${item}.json": {cache: false}]
"""


@pytest.fixture
def stages() -> dict[str, Stage]:
    return parse_stages(yaml.safe_load(DVC))


def test_foreach_is_unrolled(stages: dict[str, Stage]) -> None:
    assert list(stages) == [
        *("vectors@en", "vectors@ru", "encoder", "prepare@en", "prepare@ru"),
        *("train@en", "train@ru", "evaluate@en", "evaluate@ru"),
    ]
    assert stages["evaluate@ru"].outs == ("metrics/${profile}/ru.json",)


def test_edges_follow_paths_into_folders_both_ways(stages: dict[str, Stage]) -> None:
    before = upstream(stages)
    assert before["train@en"] == {"prepare@en", "encoder"}
    assert before["evaluate@ru"] == {"train@ru", "vectors@ru"}
    assert before["prepare@en"] == set()


def test_a_languages_stages_come_in_order_with_what_they_stand_on(stages: dict[str, Stage]) -> None:
    order = list(stages_of(stages, "ru"))
    assert set(order) == {"vectors@ru", "encoder", "prepare@ru", "train@ru", "evaluate@ru"}
    for address, before in stages_of(stages, "ru").items():
        assert all(order.index(other) < order.index(address) for other in before)


def test_a_language_that_starts_from_another_gets_its_stages(stages: dict[str, Stage]) -> None:
    russian = stages["train@ru"]
    stages["train@ru"] = Stage("train", "ru", (*russian.deps, "out/${profile}/en/legs/transformer"), russian.outs)
    assert {"train@en", "prepare@en"} <= stages_of(stages, "ru").keys()
    assert task_id(stages["train@en"], "ru") == "train_en"
    assert task_id(stages["train@ru"], "ru") == "train"


def test_similar_names_are_no_edges() -> None:
    stages = parse_stages({"stages": {"a": {"outs": ["out/en"]}, "b": {"deps": ["out/en2"], "outs": ["x"]}}})
    assert upstream(stages)["b"] == set()


def test_a_circle_is_named() -> None:
    body = {"foreach": ["en"], "do": {"deps": ["a"], "outs": ["b"]}}
    other = {"foreach": ["en"], "do": {"deps": ["b"], "outs": ["a"]}}
    with pytest.raises(ValueError, match="circle: one@en -> two@en -> one@en"):
        stages_of(parse_stages({"stages": {"one": body, "two": other}}), "en")


def test_foreach_over_a_mapping() -> None:
    do = {"cmd": "x", "deps": ["${item.source}"], "outs": ["made/${key}"]}
    stages = parse_stages({"stages": {"get": {"foreach": {"en": {"source": "raw/e"}}, "do": do}}})
    assert stages["get@en"] == Stage("get", "en", ("raw/e",), ("made/en",))


def test_data_version_is_dvcs_hash(tmp_path: Path) -> None:
    raw = tmp_path / "data" / "raw"
    raw.mkdir(parents=True)
    assert data_version(pointers_of(tmp_path)) == ""
    (raw / "one.dvc").write_text("outs:\n- md5: abc.dir\n  path: one\n")
    assert data_version(pointers_of(tmp_path)) == "abc.dir"
    (raw / "two.dvc").write_text("outs:\n- md5: def.dir\n  path: two\n")
    assert data_version(pointers_of(tmp_path)) == "one:abc.dir two:def.dir"
