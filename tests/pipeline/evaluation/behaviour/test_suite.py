"""The runner: a good model passes, and a failing one is reported with the cases and what was wrong in them."""

from __future__ import annotations

import json
import re

from multiner.pipeline.evaluation.behaviour import run_suite
from multiner.pipeline.evaluation.behaviour.show import failures, table


def reasons(report) -> dict[str, list[str]]:  # noqa: ANN001
    by_capability: dict[str, list[str]] = {}
    for outcome in report.failures:
        by_capability.setdefault(outcome.case.capability, []).append(outcome.reason)
    return by_capability


def test_a_model_that_knows_the_names_passes_everything(cases, names, lister) -> None:  # noqa: ANN001
    report = run_suite(cases, lister(names, re.IGNORECASE))
    assert (report.overall, report.must, report.failures) == (100.0, 100.0, [])
    assert set(report.rates()) == {"plain", "no_names", "lower_case", "swapped", "evidence"}


def test_a_missing_name_fails_with_text_and_reason(cases, names, lister) -> None:  # noqa: ANN001
    del names["Ada Sterling"]
    report = run_suite(cases, lister(names, re.IGNORECASE))
    assert report.rates()["plain"] == report.must == 50.0
    assert reasons(report)["plain"] == ["missed PER 'Ada Sterling'"]
    listing = failures(report)
    assert report.failures[0].case.id in listing
    assert "Ada Sterling left" in listing


def test_a_wrong_type_and_a_partial_name_are_told_apart_from_right_ones(cases, names, lister) -> None:  # noqa: ANN001
    names["Lima"] = "ORG"
    names["Boris"] = names.pop("Boris Hale")
    wrong = reasons(run_suite(cases, lister(names, re.IGNORECASE)))["plain"]
    assert any("missed LOC 'Lima'" in reason and "wrongly found ORG 'Lima'" in reason for reason in wrong)
    assert any("missed PER 'Boris Hale'" in reason and "wrongly found PER 'Boris'" in reason for reason in wrong)


def test_a_model_that_needs_capitals_fails_the_invariance(cases, names, lister) -> None:  # noqa: ANN001
    report = run_suite(cases, lister(names))
    assert report.rates()["lower_case"] == 0.0
    (reason,) = reasons(report)["lower_case"]
    assert re.match(r"answered otherwise than '\w+ \w+ left \w+\.': lost PER '\w+ \w+', LOC '\w+'", reason)


def test_a_model_that_knows_one_of_two_swapped_names_fails_the_invariance(cases, names, lister) -> None:  # noqa: ANN001
    del names["Lima"]
    report = run_suite(cases, lister(names, re.IGNORECASE))
    assert report.rates()["swapped"] == 0.0
    (reason,) = reasons(report)["swapped"]
    assert "answered otherwise" in reason


def test_what_is_found_besides_the_names_has_to_stay_too(cases, names, lister) -> None:  # noqa: ANN001
    model, besides = lister(names, re.IGNORECASE), lister(names | {"left": "ORG"}, re.IGNORECASE)

    def odd(texts):  # noqa: ANN001, ANN202
        return [(besides if text.islower() else model)([text])[0] for text in texts]

    assert run_suite(cases, besides).rates()["lower_case"] == 100.0
    (reason,) = reasons(run_suite(cases, odd))["lower_case"]
    assert reason.endswith("new ORG 'left'")


def test_a_silent_model_passes_nothing_but_texts_without_names(cases, silent) -> None:  # noqa: ANN001
    rates = run_suite(cases, silent).rates()
    assert rates.pop("no_names") == 100.0
    assert set(rates.values()) == {0.0}


def test_names_in_a_text_without_any_fail(cases, lister) -> None:  # noqa: ANN001
    assert reasons(run_suite(cases, lister({"Nothing": "PER"})))["no_names"] == ["wrongly found PER 'Nothing'"]


def test_a_score_may_not_fall_where_there_is_more_evidence(cases, names, lister) -> None:  # noqa: ANN001
    def scored(with_evidence: float) -> list[str]:
        model = lister(names, re.IGNORECASE, lambda text: with_evidence if "city" in text else 0.9)
        return reasons(run_suite(cases, model)).get("evidence", [])

    assert scored(0.95) == scored(0.85) == []
    assert scored(0.75) == ["LOC 'Oslo' fell from 0.90 to 0.75"]


def test_each_text_is_asked_once(cases, silent) -> None:  # noqa: ANN001
    questions: list[str] = []

    def counting(texts):  # noqa: ANN001, ANN202
        questions.extend(texts)
        return silent(texts)

    run_suite(cases, counting)
    assert len(questions) == len(set(questions)) > len({case.text.text for case in cases}) - 1


def test_the_report_is_json_and_the_table_has_every_capability(cases, names, lister) -> None:  # noqa: ANN001
    report = run_suite(cases, lister(names))
    value = json.loads(json.dumps(report.to_json()))
    assert value["cases"] == len(cases)
    assert value["capabilities"]["lower_case"] == 0.0
    assert {failure["id"] for failure in value["failures"]} == {outcome.case.id for outcome in report.failures}
    lines = table(report).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*report.rates(), "all"]
    assert lines[-1].split()[1:3] == [str(len(cases) - len(report.failures)), str(len(cases))]
