"""Runs suites with Great Expectations, writes the Data Docs, and lists the rows that break an expectation."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation
    from pandas import DataFrame

FILES = "files"  # the suite that checks whether each file can be read
MOST_ROWS = 1000  # rows that a breach lists; its count covers all


@dataclass(frozen=True)
class SuiteInput:
    """A suite to run: expectations, the frame that they are about, and the files of its documents."""

    name: str
    frame: DataFrame
    expectations: list[Expectation]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Breach:
    """An expectation that does not hold, with the ``count`` of rows that break it; ``rows`` has the first ones."""

    suite: str
    expectation: str
    column: str
    rows: tuple[str, ...]
    count: int
    message: str


@dataclass(frozen=True)
class SuiteResult:
    """The outcome of a suite: the numbers of its rows and expectations, its page, and the breaches."""

    name: str
    rows: int
    expectations: int
    page: str
    breaches: tuple[Breach, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every expectation holds."""
        return not self.breaches


def run_checks(checks: Sequence[SuiteInput], docs: Path, run_name: str) -> list[SuiteResult]:
    """Run every suite, each of a unique name, and write Great Expectations' pages into the folder ``docs``."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    _silence_warnings()
    context = gx.get_context(mode="ephemeral")
    for site, settings in dict(context.config.data_docs_sites or {}).items():
        # The context would leave behind the temporary folder of its default site.
        shutil.rmtree(settings["store_backend"]["base_directory"], ignore_errors=True)
        context.delete_data_docs_site(site)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)}
    # GX's type of a site is incomplete, as it says itself
    pages: Any = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": store}
    context.add_data_docs_site("validation", pages)
    source = context.data_sources.add_pandas("corpora")
    outcomes = []
    for check in checks:
        suite = context.suites.add(gx.ExpectationSuite(name=check.name, expectations=check.expectations))
        batch = source.add_dataframe_asset(check.name).add_batch_definition_whole_dataframe("whole")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=check.name, data=batch, suite=suite)
        )
        outcome = definition.run(
            batch_parameters={"dataframe": check.frame},
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["place"]},
            run_id=gx.RunIdentifier(run_name=run_name),
        )
        outcomes.append(outcome)
    context.build_data_docs()
    pages = {page.stem: page.relative_to(docs).as_posix() for page in (docs / "validations").rglob("*.html")}
    return [
        SuiteResult(
            check.name,
            len(check.frame),
            len(check.expectations),
            pages.get(f"corpora-{check.name}", ""),
            tuple(_breaches(check, outcome.results)),
        )
        for check, outcome in zip(checks, outcomes, strict=True)
    ]


def _breaches(check: SuiteInput, results: Iterable[Any]) -> Iterable[Breach]:
    for result in results:
        if result.success:
            continue
        config = result.expectation_config
        column = config.kwargs.get("column", "")
        unexpected = result.result.get("unexpected_index_list") or []
        rows = list(dict.fromkeys(str(row["place"]) for row in unexpected))
        count = len(rows)
        if not rows and column.startswith("in_"):
            shared = check.frame[check.frame[column].astype(bool)]
            unknown = shared[shared["excess_repeat"]] if "excess_repeat" in shared else shared
            rows = (shared if unknown.empty else unknown)["place"].tolist()
            count = len(rows)
        yield Breach(
            suite=check.name,
            expectation=config.type,
            column=column,
            rows=tuple(rows[:MOST_ROWS]) or check.sources,
            count=count,
            message=_message(config.description or config.type, check, column, unexpected, result),
        )


def _message(expected: str, check: SuiteInput, column: str, unexpected: list[dict[str, Any]], result: Any) -> str:
    if result.exception_info.get("exception_message"):
        return f"{expected} Could not be checked: {result.exception_info['exception_message']}"
    if "observed_value" in result.result:
        return f"{expected} Found: {_number(result.result['observed_value'])}."
    if "problem" in check.frame and unexpected:
        places = {row["place"] for row in unexpected}
        return " ".join(check.frame.loc[check.frame["place"].isin(places), "problem"].unique())
    values = sorted({str(row[column]) for row in unexpected})
    return expected if values in (["False"], ["True"]) else f"{expected} Found: {', '.join(values[:10])}."


def _number(value: Any) -> str:
    if value is None:
        return "nothing"
    value = float(value)
    return f"{int(value):,}" if value.is_integer() else f"{value:.4f}"


def _silence_warnings() -> None:
    """Hide Great Expectations' warnings, which are about its own internals."""
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"great_expectations\..*")
