"""What the gate's scores refuse: models that find nothing, that are worse on what both know, that drift downwards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from multiner.pipeline.config.settings import load_params
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.files import write_json
from multiner.pipeline.evaluation.behaviour import load_cases
from multiner.pipeline.inference import isolated_process
from multiner.pipeline.registry.gate import judgement as gate
from multiner.pipeline.registry.gate.comparison import JudgedModel, basis_hash
from multiner.pipeline.registry.gate.noninferiority import MEAN
from multiner.pipeline.registry.gate.predictions import GatePredictions

NEWS, WNUT17 = ["PER", "LOC", "ORG", "MISC"], ["person", "location", "corporation", "group", "creative-work", "product"]
Found = list[Span]


def documents(label: str = "PER") -> dict[str, list[Document]]:
    """Fifty documents with two gold spans each."""
    gold = [Span(0, 1, label), Span(2, 3, label)]
    return {"c": [from_words(str(n), [["A", "b", "C", "d", "E", "f"]], gold) for n in range(50)]}


class Models:
    """Models that find the same in every document and nothing in the texts they are asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[Path, Found | list[Found]] = {}
        self.predicted: list[str] = []

    def make(self, name: str, types: list[str], found: Found | list[Found]) -> Path:
        model = self.folder / name
        write_json(model / "artifacts" / "ensemble.json", {"language": "en", "types": types, "members": []})
        self.found[model] = found
        return model

    def predict(self, model: Path, inputs: list[Document]) -> list[Found]:
        self.predicted.append(model.name)
        found = self.found[model]
        return found if found and isinstance(found[0], list) else [found] * len(inputs)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    fakes = Models(tmp_path)

    def ask(model: Path, texts: list[str], repeats: int = 3) -> isolated_process.Answers:
        return isolated_process.Answers([{"entities": []} for _ in texts], [1.0] * len(texts), 1.0)

    monkeypatch.setattr(isolated_process, "ask", ask)
    monkeypatch.setattr(isolated_process, "predict", fakes.predict)
    return fakes


@pytest.fixture
def rules(root: Path) -> dict:
    """The project's own, for a model of types that the golden samples do not carry."""
    return load_params(root, "cpu")["promotion"] | {"golden_share": 0, "bootstrap": 200}


def judge(challenger: Path, champion: Path | None, rules: dict, types: list[str], **more: object) -> gate.GateVerdict:
    gold = documents("person" if types == WNUT17 else "PER")
    options = rules | ({"min_behaviour": None} if types != WNUT17 else {}) | more.pop("options", {})
    rival = champion and JudgedModel(champion)
    return gate.judge(
        JudgedModel(challenger), rival, gold, language="en", types=types, options=options, seed=13, **more
    )


def test_a_first_model_that_finds_nothing_is_refused_for_good(models: Models, rules: dict) -> None:
    verdict = judge(models.make("silent", WNUT17, []), None, rules, WNUT17)
    assert (verdict.passed, verdict.final) == (False, True)
    assert verdict.reasons == ["F1 on the gate half is 0.00, required is 30"]


def test_a_silent_model_does_not_pass_for_want_of_a_comparable_champion(models: Models, rules: dict) -> None:
    champion = models.make("champion", NEWS, [Span(0, 1, "PER")])
    verdict = judge(models.make("silent", WNUT17, []), champion, rules, WNUT17)
    assert not verdict.passed
    assert "required is 30" in verdict.reasons[0]


def test_a_champion_of_other_types_is_told_to_be_not_comparable(models: Models, rules: dict) -> None:
    champion = models.make("champion", NEWS, [Span(0, 1, "PER")])
    good = models.make("good", WNUT17, [Span(0, 1, "person"), Span(2, 3, "person")])
    verdict = judge(good, champion, rules, WNUT17)
    assert verdict.passed, verdict.reasons
    assert any("not comparable: the champion knows other types (PER, LOC" in reason for reason in verdict.reasons)
    assert "behaviour" not in verdict.details, "cases without names alone are none"
    assert models.predicted == ["good"]
    assert verdict.details["f1"] == {"challenger": 100.0}


def test_cases_without_entities_count_only_beside_others() -> None:
    assert load_cases("en", WNUT17) == []
    assert any(not case.text.entities for case in load_cases("en", ["PER"]))


def test_a_worse_model_is_refused_though_the_champion_knows_a_type_more(models: Models, rules: dict) -> None:
    right = [Span(0, 1, "PER"), Span(2, 3, "PER")]
    champion = models.make("champion", NEWS, [*right, Span(4, 5, "MISC")])
    worse = models.make("worse", NEWS[:3], [right if n % 5 else right[:1] for n in range(50)])
    verdict = judge(worse, champion, rules, NEWS[:3])
    assert not verdict.passed
    assert verdict.details["comparison"]["f1"]["champion"][MEAN] == 100.0, "MISC is no mistake of the champion's"
    assert judge(models.make("equal", NEWS[:3], right), champion, rules, NEWS[:3]).passed


def test_a_type_that_the_champion_does_not_know_makes_up_for_nothing(models: Models, rules: dict) -> None:
    gold = {"c": [from_words(str(n), [["A", "b", "C"]], [Span(0, 1, "PER"), Span(2, 3, "MISC")]) for n in range(50)]}
    champion = models.make("champion", ["PER"], [Span(0, 1, "PER")])
    found = [[Span(0, 1, "PER")] * (n % 5 > 0) + [Span(2, 3, "MISC")] for n in range(50)]
    worse = models.make("worse", ["PER", "MISC"], found)
    options = rules | {"min_behaviour": None}
    verdict = gate.judge(
        *(JudgedModel(worse), JudgedModel(champion), gold),
        language="en",
        types=["PER", "MISC"],
        options=options,
        seed=13,
    )
    assert not verdict.passed
    assert verdict.details["comparison"]["types"] == ["PER"]
    assert "champion" not in verdict.details["f1"], "it was not measured on all types"


def predictions(found: list[Found], types: list[str] = NEWS) -> GatePredictions:
    """Stored predictions of a version for the documents."""
    stored = GatePredictions(types)
    stored.add("c", documents()["c"], found)
    return stored


RIGHT = [Span(0, 1, "PER"), Span(2, 3, "PER")]


def test_many_small_steps_down_end_at_the_best_champion_before(models: Models, rules: dict) -> None:
    found = [RIGHT if n % 4 else RIGHT[:1] for n in range(50)]
    champion, equal = models.make("champion", NEWS, found), models.make("challenger", NEWS, found)
    former = {"2": predictions(found), "3": predictions([RIGHT] * 50)}
    verdict = judge(equal, champion, rules, NEWS, former=former)
    assert not verdict.passed
    assert "against version 3, the best champion before: certainly more than 1 below" in verdict.reasons[0]
    assert verdict.details["best_before"]["version"] == "3"
    assert sorted(models.predicted) == ["challenger", "champion"], "former champions are compared by what is stored"
    for options in ({"max_below_best": 20}, {"max_below_best": None}):
        assert judge(equal, champion, rules, NEWS, former=former, options=options).passed
    assert judge(equal, champion, rules, NEWS, former={"2": predictions(found)}).passed
    assert judge(equal, champion, rules, NEWS, former={"2": predictions(found, WNUT17)}).passed, "not comparable"


def test_a_lucky_lead_of_a_champion_before_refuses_nobody(models: Models, rules: dict) -> None:
    """It is two points better on these documents, by two of them: it may be chance."""
    found = [RIGHT if n > 1 else [] for n in range(50)]
    champion, equal = models.make("champion", NEWS, found), models.make("challenger", NEWS, found)
    verdict = judge(equal, champion, rules, NEWS, former={"3": predictions([RIGHT] * 50)})
    assert verdict.details["best_before"]["points"] < -1
    assert verdict.passed, verdict.reasons


def test_stored_predictions_spare_the_champion_a_second_look_at_the_same_documents(models: Models, rules: dict) -> None:
    challenger, champion = models.make("challenger", NEWS, RIGHT), models.make("champion", NEWS, [])
    gold = documents()
    half = GatePredictions(NEWS)
    half.add("c", gold["c"][:25], [RIGHT] * 25)
    judged = JudgedModel(champion, half)
    options = rules | {"min_behaviour": None}
    kwargs = {"language": "en", "types": NEWS, "options": options, "seed": 13}
    verdict = gate.judge(JudgedModel(challenger), judged, gold, **kwargs)
    assert verdict.details["comparison"]["f1"]["champion"]["c"] == pytest.approx(66.6667), "of half of the documents"
    assert models.predicted == ["challenger", "champion"]
    gate.judge(JudgedModel(challenger), judged, gold, **kwargs)
    assert models.predicted == ["challenger", "champion", "challenger"]
    assert (
        GatePredictions.from_json(json.loads(json.dumps(judged.predictions.to_json()))).spans
        == judged.predictions.spans
    )


def test_spans_of_another_text_are_not_taken_for_those_of_a_document() -> None:
    stored = predictions([RIGHT] * 50)
    document = documents()["c"][0]
    assert stored.get("c", document) == RIGHT
    assert stored.get("c", document.with_spans(())) == RIGHT, "the gold spans may be corrected"
    assert stored.get("c", replace(document, text="A b C d E g")) is None
    assert stored.get("d", document) is None


def training() -> dict[str, list[Document]]:
    """Training documents beside the gate half."""
    return {"c": [replace(document, id=f"train-{document.id}") for document in documents()["c"]]}


def test_training_documents_with_cross_fitting_decide_where_the_gate_half_is_small(models: Models, rules: dict) -> None:
    """On the gate half both models are equal; by cross-fitting the challenger misses a span in each tenth document."""
    challenger, champion = models.make("challenger", NEWS, RIGHT), models.make("champion", NEWS, RIGHT)
    before, after = GatePredictions(NEWS), GatePredictions(NEWS)
    before.add("c", training()["c"], [RIGHT] * 50)
    after.add("c", training()["c"], [RIGHT[:1] if n % 5 == 0 else RIGHT for n in range(50)])

    def verdict(stored: GatePredictions) -> gate.GateVerdict:
        options = rules | {"min_behaviour": None}
        judged, rival = JudgedModel(challenger, stored), JudgedModel(champion, before)
        kwargs = {"language": "en", "types": NEWS, "options": options, "seed": 13, "training": training()}
        return gate.judge(judged, rival, documents(), **kwargs)

    worse = verdict(after)
    assert not worse.passed
    assert worse.details["comparison"]["documents"] == {"c": 100}
    assert worse.details["f1"] == {"challenger": 100.0, "champion": 100.0}, "the floor is of the model itself"
    alone = verdict(GatePredictions(NEWS))
    assert alone.passed
    assert alone.details["comparison"]["documents"] == {"c": 50}, "documents that only one has predicted are left out"


def test_a_damaged_champion_is_no_verdict_on_the_challenger(models: Models, rules: dict) -> None:
    champion = models.make("champion", NEWS, [])
    (champion / "artifacts" / "ensemble.json").write_text('{"language": "en", "ty')
    verdict = judge(models.make("good", NEWS, [Span(0, 1, "PER")]), champion, rules, NEWS)
    assert (verdict.passed, verdict.final) == (False, False)
    assert "the champion does not load" in verdict.reasons[0]


def test_an_f1_belongs_to_documents_gold_and_types() -> None:
    first = basis_hash(documents(), NEWS)
    assert basis_hash(documents(), list(reversed(NEWS))) == first
    assert basis_hash(documents(), NEWS[:3]) != first
    assert basis_hash(documents("LOC"), NEWS) != first
