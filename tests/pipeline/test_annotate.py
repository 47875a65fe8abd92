"""``ner annotate``: the input as it was, with the predicted entities, in the form our own readers and others' read."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from multiner.pipeline import annotate
from multiner.pipeline.config.corpora import ColumnFormat
from multiner.pipeline.config.settings import Workspace
from multiner.pipeline.core.document import Document, Span, from_words
from multiner.pipeline.core.errors import NerError
from multiner.pipeline.corpora.columns import read_column_file
from multiner.pipeline.corpora.conll import read_columns
from multiner.pipeline.corpora.factrueval import annotated_objects, document_stems, read_document
from multiner.pipeline.evaluation.factrueval_official import official_scores
from multiner.pipeline.inference import isolated_process as fresh

TYPES = {"PER": "PER", "LOC": "LOC", "ORG": "ORG", "MISC": "MISC"}
CONLL = """-DOCSTART- -X- -X- O

Ada NNP B-NP B-PER
Quill NNP I-NP I-PER
met VBD O O
Tam NNP B-NP B-PER

# # O O
Lume NNP B-NP B-LOC

-DOCSTART- -X- -X- O

Nothing NN O O
"""
WNUT = "zorp\tB-product\n#Lume\tO\n\nAda\tB-person\n\n"


class Runs:
    """Takes each run of capitalised words, within a sentence, for one entity of a type by its length."""

    language = "en"

    def predict(self, documents: Sequence[Document]) -> list[SimpleNamespace]:
        return [SimpleNamespace(spans=tuple(self.spans(document)), legs={}) for document in documents]

    @staticmethod
    def spans(document: Document) -> list[Span]:
        found, words = [], document.words()
        for sentence in document.sentences:
            start = None
            for at in range(sentence.start, sentence.end + 1):
                capital = at < sentence.end and words[at][0].isupper()
                if capital and start is None:
                    start = at
                elif not capital and start is not None:
                    found.append(Span(start, at, "PER" if at - start == 2 else "ORG", 0.9))
                    start = None
        return found


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    params = {
        "profile": "tiny",
        "languages": {code: {"types": ["PER", "LOC", "ORG"], "train_on": [], "report_on": []} for code in ("en", "ru")},
        "ensemble": {"legs": ["transformer", "spacy"]},
    }
    monkeypatch.setattr(annotate, "load", lambda workspace, language, model: Runs())
    return Workspace(tmp_path / "workspace", params)


def annotated(workspace: Workspace, tmp_path: Path, content: str, column: int | None = None) -> str:
    source, output = tmp_path / "in.conll", tmp_path / "out" / "out.conll"
    source.write_bytes(content.encode())
    annotate.run(workspace, "en", source, output, column=column)
    return output.read_bytes().decode()


def test_a_further_column_and_nothing_else(workspace: Workspace, tmp_path: Path) -> None:
    found = annotated(workspace, tmp_path, CONLL).split("\n")
    given = CONLL.split("\n")
    assert len(found) == len(given)
    for before, after in zip(given, found, strict=True):
        if not before or before.startswith("-DOCSTART-"):
            assert after == before
        else:
            assert after.rsplit(" ", 1)[0] == before
    assert [line.split()[-1] for line in found if line and "DOC" not in line] == [
        *("B-PER", "I-PER", "O", "B-ORG", "O", "B-ORG", "B-ORG")
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("final", [True, False])
def test_byte_order_mark_line_ends_and_a_missing_last_one_stay(
    workspace: Workspace, tmp_path: Path, end: str, final: bool
) -> None:
    content = "\ufeff" + "Ada\tO\n\nmet\tO\n".replace("\n", end)
    content = content if final else content.removesuffix(end)
    found = annotated(workspace, tmp_path, content)
    expected = "\ufeff" + "Ada\tO\tB-ORG\n\nmet\tO\tO\n".replace("\n", end)
    assert found == (expected if final else expected.removesuffix(end))


def test_our_reader_reads_the_predicted_spans(workspace: Workspace, tmp_path: Path) -> None:
    for name, content, form in (
        ("conll", CONLL, ColumnFormat(5, "blank", "IOB2", "docstart")),
        ("wnut", WNUT, ColumnFormat(3, "tab", "IOB2", "block")),
        ("words", "Ada\nQuill\n\nmet\n", ColumnFormat(2, "blank", "IOB2", "block")),
    ):
        source, output = tmp_path / f"{name}.in", tmp_path / f"{name}.out"
        source.write_text(content, encoding="utf-8")
        documents, entities = annotate.run(workspace, "en", source, output)
        read = read_columns(output, form, TYPES)
        expected = [[Span(span.start, span.end, span.label) for span in Runs.spans(document)] for document in read]
        assert [list(document.spans) for document in read] == expected, name
        assert (documents, entities) == (len(read), sum(map(len, expected)))


@pytest.mark.parametrize("corpus", ["conll2003/test.txt", "wnut17/emerging.test.annotated"])
def test_documents_are_those_that_our_reader_sees(root: Path, corpus: str) -> None:
    """But for the corpus's own rule that cuts signs, since the file of the answer has the lines of the question."""
    from multiner.pipeline.config.corpora import published
    from multiner.pipeline.corpora import read_corpus

    samples, entry = root / "data" / "samples", published()[corpus.partition("/")[0]]
    ours = read_corpus(samples, replace(entry, form=replace(entry.form, cut="")), "test")
    read = read_column_file(samples / corpus).documents
    assert [(document.text, document.sentences) for document in read] == [
        (document.text, document.sentences) for document in ours
    ]


def test_comments_stay_and_hash_signs_are_tokens(workspace: Workspace, tmp_path: Path) -> None:
    content = "# id 7 domain=en\nAda NN _ B-PER\n# NN _ O\n\n# text = Ada\nmet VB _ O\n"
    assert annotated(workspace, tmp_path, content) == (
        "# id 7 domain=en\nAda NN _ B-PER B-ORG\n# NN _ O O\n\n# text = Ada\nmet VB _ O O\n"
    )


CONLL_U = """# sent_id = 1
# text = Ada met Tam.
1\tAda\tAda\t_\t_
2-3\tmetTam\t_\t_\t_
2\tmet\tmeet\t\tx
2.1\tgone\t_\t_\t_
3\tTam\tTam\t_\t

1\t2016\t_\t_\t_
"""
CONLL_2012 = """#begin document (nw/0001); part 000
nw/0001 0 0 Ada NNP (S* - - - - (PERSON) (ARG0*) -
nw/0001 0 1 met VBD * - - - - * (V*) -
nw/0001 0 2 Tam NNP *) - - - - (PERSON) (ARG1*) -

nw/0001 0 0 Hush UH * - - - - * -
nw/0001 0 1 Ada NNP * - - - - * -

#end document
"""


def test_the_token_may_be_in_another_column(workspace: Workspace, tmp_path: Path) -> None:
    assert annotated(workspace, tmp_path, CONLL_U, column=2) == (
        CONLL_U.replace("Ada\t_\t_\n", "Ada\t_\t_\tB-ORG\n")
        .replace("\t\tx\n", "\t\tx\tO\n")
        .replace("Tam\t_\t\n", "Tam\t_\t\tB-ORG\n")
        .replace("2016\t_\t_\t_", "2016\t_\t_\t_\tO")
    ), "ranges, empty nodes and comments stay; an empty column is one"


@pytest.mark.parametrize("sign", ["\t", " "])
@pytest.mark.parametrize(
    "comment", ["# newdoc", "# newpar id = p1", "# text = Ada met Tam and then left .", "# Ada met"]
)
def test_a_comment_with_as_many_words_as_columns_is_no_token(
    workspace: Workspace, tmp_path: Path, comment: str, sign: str
) -> None:
    rows = [
        sign.join([f"{at}", word, *["_"] * (len(comment.split()) - 2)]) for at, word in enumerate(("Ada", "met"), 1)
    ]
    content = "".join(f"{line}\n" for line in (comment, *rows))
    assert annotated(workspace, tmp_path, content, column=2) == (f"{comment}\n{rows[0]}{sign}B-ORG\n{rows[1]}{sign}O\n")


def test_a_line_without_tabs_among_others_may_be_a_comment(workspace: Workspace, tmp_path: Path) -> None:
    content = "# my notes\nAda\tNN\n#\tNN\n#Lume NN\n"
    assert annotated(workspace, tmp_path, content) == "# my notes\nAda\tNN\tB-ORG\n#\tNN\tO\n#Lume NN O\n"


WEBANNO = """#FORMAT=WebAnno TSV 3.2
#T_SP=webanno.custom.NamedEntity|value


#Text=Ada Quill met Tam-Lin.
1-1\t0-3\tAda\tPER[1]\t
1-2\t4-9\tQuill\tPER[1]\t
1-3\t10-13\tmet\t_\t
1-4\t14-21\tTam-Lin\t_\t
1-4.1\t14-17\tTam\tPER\t
1-5\t21-22\t.\t_\t

#Text=Tam slept on it
2-1\t23-26\tTam\tPER\t
2-2\t27-32\tslept\t_\t
"""


def test_webanno_as_our_own_advice_says(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="does not hold the tokens") as caught:
        annotated(workspace, tmp_path, WEBANNO)
    assert "--column 3 " in caught.value.remedy
    lines = annotated(workspace, tmp_path, WEBANNO, column=3).splitlines()
    assert [line.rsplit("\t", 1)[1] for line in lines if "\t" in line] == [
        *("B-PER", "I-PER", "O", "B-ORG", "", "O", "B-ORG", "O")
    ]
    assert [line for line in lines if "\t" not in line] == [line for line in WEBANNO.splitlines() if "\t" not in line]


def test_doubled_carriage_returns_end_one_line(workspace: Workspace, tmp_path: Path) -> None:
    found = annotated(workspace, tmp_path, "Ada\tO\r\r\nQuill\tO\r\r\n\r\r\nmet\tO\r\r\n")
    assert found == "Ada\tO\tB-PER\r\r\nQuill\tO\tI-PER\r\r\n\r\r\nmet\tO\tO\r\r\n"


def test_conll_2012_has_sentences_of_different_widths(workspace: Workspace, tmp_path: Path) -> None:
    found = annotated(workspace, tmp_path, CONLL_2012, column=4).splitlines()
    assert [line.split()[-1] for line in found if line.startswith("nw")] == ["B-ORG", "O", "B-ORG", "B-PER", "I-PER"]
    assert (found[0], found[-1]) == tuple(CONLL_2012.splitlines()[:: len(CONLL_2012.splitlines()) - 1])


@pytest.mark.parametrize(("content", "column"), [(CONLL_U, 2), (CONLL_2012, 4), ("1 Ada O\n2 met O\n", 2)])
def test_a_column_of_ids_is_refused_with_the_remedy(
    workspace: Workspace, tmp_path: Path, content: str, column: int
) -> None:
    with pytest.raises(NerError, match="does not hold the tokens") as caught:
        annotated(workspace, tmp_path, content)
    assert f"--column {column} " in caught.value.remedy
    assert annotated(workspace, tmp_path, content, column=1), "who names a column knows"


@pytest.mark.parametrize(
    "content",
    [
        "1999\n2000\n",
        "ha O\nha O\nha O\n",
        "1999 O\n2000 O\n2001 O\n",
        "1 O\n2 O\nAda O\n",
        "7 O\n\n8 O\n\nAda B-PER\n",
    ],
)
def test_numbers_may_be_tokens(workspace: Workspace, tmp_path: Path, content: str) -> None:
    assert annotated(workspace, tmp_path, content).count("\n") == content.count("\n")


def test_a_stray_tab_at_the_end_parts_no_columns(workspace: Workspace, tmp_path: Path) -> None:
    assert annotated(workspace, tmp_path, "Ada NNP B-PER\t\nmet VBD O\n") == "Ada NNP B-PER B-ORG\nmet VBD O O\n"


def test_an_empty_middle_column_is_one(workspace: Workspace, tmp_path: Path) -> None:
    given = "Ada\tNNP\tO\nmet\t\tO\nTam\tNNP\t\n"
    expected = "Ada\tNNP\tO\tB-ORG\nmet\t\tO\tO\nTam\tNNP\t\tB-ORG\n"
    assert annotated(workspace, tmp_path, given) == expected


def test_a_column_that_is_not_there(workspace: Workspace, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NerError, match="no column 3: the first token's line has 2"):
        annotated(workspace, tmp_path, "Ada O\n", column=3)
    with pytest.raises(NerError, match="a folder has no columns"):
        annotate.run(workspace, "ru", folder, tmp_path / "new", column=2)


def test_advice_on_a_folder_of_ones_own_is_not_about_our_corpora(
    workspace: Workspace, tmp_path: Path, folder: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = sorted(folder.glob("*.tokens"))[0]
    broken.write_text("1 0\n", encoding="utf-8")
    lone = sorted(folder.glob("*.txt"))[1]
    for source in (empty, folder):
        with pytest.raises(NerError) as caught:
            annotate.run(workspace, "ru", source, tmp_path / "new")
        assert "ner pull" not in str(caught.value)
    shutil.copyfile(sorted(folder.glob("*.tokens"))[1], broken)
    lone.unlink()
    with pytest.raises(NerError) as caught:
        annotate.run(workspace, "ru", folder, tmp_path / "new")
    assert "ner pull" not in str(caught.value)


FROZEN = """
import json, sys
lines = open("documents.jsonl", encoding="utf-8").read().splitlines()
with open("spans.jsonl", "w", encoding="utf-8") as file:
    for number, line in enumerate(lines, 1):
        print(json.dumps({"id": json.loads(line)["id"], "spans": [[0, 1, "PER", 0.5]]}), file=file)
        print(f"\\rpredict:  50%|##  | {number}/{len(lines)} [00:00<00:00, 1document/s]", end="", file=sys.stderr)
"""


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A folder as MLflow writes it, with code that takes each document's first token for a person."""
    model = tmp_path / "model"
    code = model / "code" / "multiner" / "pipeline" / "inference"
    code.mkdir(parents=True)
    (code / "documents.py").write_text(FROZEN, encoding="utf-8")
    (model / "MLmodel").write_text("metadata: {language: en, profile: cpu}\n", encoding="utf-8")
    return model


def test_a_frozen_model_answers_and_shows_how_far_it_is(
    workspace: Workspace, tmp_path: Path, frozen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.conll", tmp_path / "out.conll"
    source.write_text("Ada\n\nTam\n", encoding="utf-8")
    assert annotate.run(workspace, "en", source, output, model=str(frozen)) == (2, 2)
    assert output.read_text(encoding="utf-8") == "Ada B-PER\n\nTam B-PER\n"
    assert "2/2" in capsys.readouterr().err
    done: list[int] = []
    fresh.predict(frozen, list(read_column_file(source).documents), done.append)
    assert done == [1, 1]


@pytest.mark.parametrize(("said", "message"), [("language: en", "for 'en', not 'ru'"), ("run: 1", "no known language")])
def test_a_frozen_model_of_another_language_is_refused(
    workspace: Workspace, tmp_path: Path, frozen: Path, said: str, message: str
) -> None:
    (frozen / "MLmodel").write_text(f"metadata: {{{said}}}\n", encoding="utf-8")
    source = tmp_path / "in.conll"
    source.write_text("Ada\n", encoding="utf-8")
    with pytest.raises(NerError, match=message) as caught:
        annotate.run(workspace, "ru", source, tmp_path / "out.conll", model=str(frozen))
    assert caught.value.where == str(frozen / "MLmodel")
    assert not (tmp_path / "out.conll").exists()


def test_more_text_gets_more_time_and_what_hangs_is_ended(tmp_path: Path, frozen: Path) -> None:
    short, long = from_words("a", [["Ada"]]), from_words("b", [["Ada"] * 200_000])
    assert fresh.limit([short]) == fresh.SECONDS
    assert fresh.limit([long] * 5) > 10 * fresh.SECONDS
    with pytest.raises(fresh.ProcessFailed, match="no answer within 1 seconds"):
        fresh.run_python(frozen, tmp_path, "-c", "import time; time.sleep(600)", seconds=1)
    with pytest.raises(fresh.ProcessFailed, match="exit status 3: gone"):
        fresh.run_python(frozen, tmp_path, "-c", "import sys; print('gone'); sys.exit(3)")


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        (b"Ada O\nmet O\nTam\n", ":3", "expected 2 columns"),
        (b"Ada\tO\n\tO\n", ":2", "expected 2 columns"),
        (b"Ada O\n\nTam \xff\n", ":3", "not UTF-8"),
        (b"\n\n", "", "no token"),
        (b"# sent_id = 1\n# newpar\n", "", "no token"),
        (b"Ada O\n\nmet O\n\n\n\nTam O\n\nslept O\n\n", "", "line ends are doubled"),
        (b"", "", "no token"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(
    workspace: Workspace, tmp_path: Path, content: bytes, where: str, message: str
) -> None:
    source, output = tmp_path / "bad.conll", tmp_path / "out.conll"
    source.write_bytes(content)
    with pytest.raises(NerError, match=message) as caught:
        annotate.run(workspace, "en", source, output)
    assert caught.value.where == f"{source}{where}"
    assert not output.exists()
    assert list(tmp_path.glob(".*")) == [], "nothing half written"


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """Documents of the bundled sample without their annotation."""
    source = tmp_path / "testset"
    source.mkdir()
    for stem in document_stems(root / "data" / "samples" / "factRuEval-2016" / "testset")[:3]:
        for suffix in (".txt", ".tokens"):
            shutil.copyfile(f"{stem}{suffix}", source / f"{stem.name}{suffix}")
    return source


def test_a_folder_round_trip(workspace: Workspace, tmp_path: Path, folder: Path) -> None:
    output = tmp_path / "out"
    documents, entities = annotate.run(workspace, "ru", folder, output)
    stems = document_stems(output)
    assert (documents, len(stems)) == (3, 3)
    found = 0
    for stem in stems:
        assert stem.with_suffix(".txt").read_bytes() == (folder / f"{stem.name}.txt").read_bytes()
        for convention in ("name", "object"):
            document, resolution = read_document(stem, convention)
            expected = [Span(span.start, span.end, span.label) for span in Runs.spans(document)]
            assert list(document.spans) == expected
            assert (resolution.nameless, resolution.unmapped) == (0, 0)
        lines = stem.with_suffix(".task1").read_text(encoding="utf-8").splitlines()
        places = [(int(offset), int(length)) for _, offset, length in map(str.split, lines)]
        assert [document.text[start : start + length] for start, length in places] == [
            document.span_text(span) for span in expected
        ]
        assert {line.split()[0] for line in lines} <= {"per", "loc", "org"}
        score = official_scores([document], [annotated_objects(stem)], [expected], ["PER", "LOC", "ORG"])
        assert score["f1"] == 100.0
        found += len(expected)
    assert entities == found > 0


def test_an_operating_systems_own_files_are_no_documents(workspace: Workspace, tmp_path: Path, folder: Path) -> None:
    for name in (".DS_Store", "._book_1.tokens", "._book_1.txt"):
        (folder / name).write_bytes(b"\0\x05\x16\x07\xff")
    documents, _ = annotate.run(workspace, "ru", folder, tmp_path / "out")
    assert documents == 3
    for file in folder.glob("[!.]*"):
        file.unlink()
    with pytest.raises(NerError, match="no document in the folder"):
        annotate.run(workspace, "ru", folder, tmp_path / "again")


def test_ids_are_unique_over_the_folder(workspace: Workspace, tmp_path: Path, folder: Path) -> None:
    annotate.run(workspace, "ru", folder, tmp_path / "out")
    files = [*(tmp_path / "out").glob("*.spans"), *(tmp_path / "out").glob("*.objects")]
    ids = [line.split()[0] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(ids) == len(set(ids)) > 0


def test_an_output_that_is_there_stays(workspace: Workspace, tmp_path: Path) -> None:
    source, output = tmp_path / "in.conll", tmp_path / "out.conll"
    source.write_text(WNUT, encoding="utf-8")
    output.write_text("mine", encoding="utf-8")
    with pytest.raises(NerError, match="there already"):
        annotate.run(workspace, "en", source, output)
    assert output.read_text(encoding="utf-8") == "mine"


def test_a_missing_input_and_an_unknown_language(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NerError, match="no such file"):
        annotate.run(workspace, "en", tmp_path / "absent", tmp_path / "out")
    with pytest.raises(NerError, match="unknown language"):
        annotate.run(workspace, "xx", tmp_path, tmp_path / "out")


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    params = {"profile": "tiny", "languages": {"en": {"types": ["PER"]}}, "ensemble": {"legs": ["spacy"]}}
    for model in (None, tmp_path / "nothing"):
        with pytest.raises(NerError, match="no trained ensemble") as caught:
            annotate.load(Workspace(tmp_path, params), "en", model)
        assert caught.value.where.endswith("ensemble.json")


def test_where_an_ensemble_lies(tmp_path: Path) -> None:
    for base, legs in (("flat", "flat"), ("out", "out/legs")):
        (tmp_path / legs / "spacy").mkdir(parents=True)
        file, found = annotate.find_ensemble(tmp_path / base)
        assert (file, found) == (tmp_path / base / "ensemble.json", {"spacy": tmp_path / legs / "spacy"})
