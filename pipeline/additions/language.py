"""Adds a language: lines in params.yaml, in each profile and in dvc.yaml, whose comments and other lines stay."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from multiner.pipeline.additions.checks import check_code, check_encoder, check_pretrained
from multiner.pipeline.config.corpora import corpus_entry
from multiner.pipeline.config.settings import CORPORA_FOLDER, Workspace, load_params
from multiner.pipeline.config.yaml_file import read_yaml_file
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.files import write_atomically

PROFILE_LINE = "{transformer: {}, spacy: {}, shipped: {}, ensemble: {}}"
PACKAGED_FOLDER = "data/encoders/packaged"


@dataclass(frozen=True)
class NewLanguage:
    """A language to be added.

    Attributes:
        code: as spaCy and ISO 639 name it.
        train_on, report_on: its corpora.
        types: its entity types.
        encoder: None: that of the section transformer.
        start: a language on whose documents its encoder is trained first.
        vectors: of the spaCy leg; None: it goes without.
        shipped: the pretrained pipeline; None: there is no such leg.
    """

    code: str
    train_on: Sequence[str]
    report_on: Sequence[str]
    types: Sequence[str]
    encoder: str | None = None
    start: str | None = None
    vectors: str | None = None
    shipped: str | None = None

    def block(self) -> list[str]:
        """Its lines under ``languages`` in params.yaml."""
        wishes = self.wishes()
        values = {
            **wishes[""],
            "transformer": wishes["transformer"],
            "spacy": {"vectors": self.vectors},
            "shipped": {"pipeline": self.shipped},
            "ensemble": {},
        }
        return [f"  {self.code}:", *(f"    {key}: {_flow(value)}" for key, value in values.items())]

    def wishes(self) -> dict[str, dict[str, Any]]:
        """What was asked for, by section of its block; corpora and types are in the section ``""``."""
        sections: dict[str, dict[str, Any]] = {
            "": {"types": list(self.types), "train_on": list(self.train_on), "report_on": list(self.report_on)},
            "transformer": {"encoder": self.encoder, "start": self.start},
            "spacy": {"vectors": self.vectors},
            "shipped": {"pipeline": self.shipped},
        }
        return {name: {key: value for key, value in section.items() if value} for name, section in sections.items()}

    def weights(self, root: Path, encoder: str) -> str:
        """What its training starts from, as dvc.yaml names it; ``encoder`` is that of the section transformer."""
        if self.start:
            return f'"data/out/${{profile}}/{self.code}/trained/start"'
        names = [self.encoder or encoder, encoder]
        folders = [each for name in names for each in (name, f"data/encoders/{name}")]
        return next((each for each in folders if (root / each).is_dir()), PACKAGED_FOLDER)


def _flow(value: object) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True, sort_keys=False)).strip()


def types_of(workspace: Workspace, corpora: Sequence[str]) -> list[str]:
    """The types of some corpora, in the order of their maps."""
    maps = [corpus_entry(name, workspace.corpora).types for name in corpora]
    return list(dict.fromkeys(label for types in maps for label in types.values() if label))


def add_language(workspace: Workspace, language: NewLanguage) -> bool:
    """Add a language to params.yaml, the profiles and dvc.yaml; returns whether anything changed.

    A file that has the language stays as it is, so that a call that was interrupted can be repeated.

    Raises:
        NerError: spaCy does not know the code, the encoder cannot read its script, there is no such encoder, vectors or
            pipeline, the language is configured otherwise, or the parameters would not pass their checks. Nothing is
            changed then.
    """
    root, code = workspace.root, language.code
    check_code(code, "ner language add")
    check_encoder(code, language.encoder, workspace)
    check_pretrained(language.vectors, language.shipped, workspace)
    base = read_yaml_file(root / "params.yaml", "params.yaml")
    if code in base.values["languages"] and (others := _differences(base.values["languages"][code], language)):
        where = f"params.yaml:{base.lines['languages', code]}"
        raise NerError(
            f"{code} is configured with other values of {', '.join(others)}",
            where=where,
            remedy="Change the lines there.",
        )
    texts: dict[str, str] = {}
    for path in [root / "params.yaml", *sorted((root / "params").glob("*.yaml"))]:
        name = path.relative_to(root).as_posix()
        block = language.block() if name == "params.yaml" else [f"  {code}: {PROFILE_LINE}"]
        text = path.read_text(encoding="utf-8")
        if code not in (read_yaml_file(path, name).values.get("languages") or {}):
            texts[name] = with_lines(text, r"languages:", block, name)
    graph = (root / "dvc.yaml").read_text(encoding="utf-8")
    languages = list(yaml.safe_load(graph)["stages"]["prepare"]["foreach"])
    if code not in languages:
        if f"- languages.{code}.transformer\n" not in graph:  # in the stage `encoder`, which is of all languages
            graph = re.sub(rf"(?m)^( +- languages\.){languages[-1]}(\.transformer)$", rf"\g<0>\n\g<1>{code}\2", graph)
        start = language.weights(root, base.values["transformer"]["encoder"])
        texts["dvc.yaml"] = with_lines(
            graph, r"    foreach: &languages\b", [f"      {code}: {{start: {start}}}"], "dvc.yaml"
        )
        if language.start:
            lines = [f"      {code}: {{language: {language.start}}}"]
            texts["dvc.yaml"] = with_lines(texts["dvc.yaml"], r"    foreach: +# .*\.start", lines, "dvc.yaml")
    _check(root, texts)
    for name, text in texts.items():
        with write_atomically(root / name) as file:
            file.write(text)
    return bool(texts)


def _differences(present: Mapping[str, Any], language: NewLanguage) -> list[str]:
    """The parameters that were asked for and have other values in params.yaml."""
    differences = []
    for section, wishes in language.wishes().items():
        values = (present.get(section) or {}) if section else present
        differences += [".".join(filter(None, (section, key))) for key in wishes if values.get(key) != wishes[key]]
    return differences


def with_lines(text: str, header: str, lines: Sequence[str], name: str) -> str:
    """``text`` with ``lines`` at the end of the block mapping under the line that begins with ``header``.

    Raises:
        NerError: there is no such line, or its mapping is written in braces.
    """
    rows = text.split("\n")
    at = next((at for at, row in enumerate(rows) if re.match(header, row)), None)
    if at is None or "{" in re.sub(r"#.*", "", rows[at]):
        where = name if at is None else f"{name}:{at + 1}"
        remedy = "Write the mapping as a line `languages:` with an indented line for each language."
        raise NerError("no place for a further language", where=where, remedy=remedy)
    indent = len(rows[at]) - len(rows[at].lstrip())
    end = at + 1
    for number in range(at + 1, len(rows)):
        row = rows[number]
        if row.strip() and len(row) - len(row.lstrip()) <= indent:
            break
        if row.strip():
            end = number + 1
    return "\n".join([*rows[:end], *lines, *rows[end:]])


def _check(root: Path, texts: dict[str, str]) -> None:
    """Refuse files that the checks of the parameters would refuse, for any profile."""
    with TemporaryDirectory(prefix="ner-language-") as temporary:
        trial = Path(temporary)
        shutil.copytree(root / "params", trial / "params")
        for name in ("params.yaml", "dvc.yaml"):
            shutil.copy(root / name, trial)
        for name, text in texts.items():
            (trial / name).write_text(text, encoding="utf-8")
        for profile in sorted(path.stem for path in (trial / "params").glob("*.yaml")):
            try:
                load_params(trial, profile)
            except NerError as error:
                where = (error.where or "").replace(f"{trial}/", "")
                raise NerError(f"refused: {error.message}", where=where, remedy="Nothing was changed.") from None


def corpora_of_language(workspace: Workspace, code: str) -> list[str]:
    """The corpora of the catalogue that are in a language. Raises NerError if there are none."""
    names = [name for name, corpus in workspace.corpora.items() if corpus.language == code]
    if not names:
        remedy = f"Add one: ner corpus add FILE --name NAME --language {code}; or name them: --corpus NAME."
        raise NerError(f"no corpus of the language {code!r}", where=CORPORA_FOLDER, remedy=remedy)
    return names
