"""Splits a plain text into tokens, by spaCy's rules adapted to the corpora, and into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from multiner.pipeline.core.cancellation import check_cancelled
from multiner.pipeline.core.document import Document, Sentence, Token
from multiner.pipeline.text.normal_form import normal_form
from multiner.pipeline.text.surrogates import without_surrogates
from multiner.pipeline.text.vocabulary import keep_small

if TYPE_CHECKING:
    from spacy.language import Language

LONGEST = 100  # characters of a run without blanks that spaCy gets at once: some of its patterns are not linear
STEP = 5000  # characters, about, that spaCy gets at once
_BLANK = re.compile(r"\s")
# Words and signs, exact enough to split sentences
_ROUGH = re.compile(r"\w+(?:[.\-'’]\w+)*|[.!?…]+|\S")
_LONG_RUN = re.compile(rf"\S{{{LONGEST + 1},}}")
_SKIN = "[\U0001f3fb-\U0001f3ff]"  # an emoji's skin tone
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)
_BREAK = re.compile(r"[\t\n\r\v\f\x85\u2028\u2029]")  # between lines and between cells of a table

_STOP = re.compile(r"[.!?…。！？]+$")
_CLOSING = frozenset("\"'”’»)]}") | {"''"}
_MOST_CLOSING = 4  # closing signs that may follow a full stop
_DASHES = frozenset("—–-") | {"--"}
_INITIALS = re.compile(r"[^\W\d_](?:\.[^\W\d_])*")
_LONG_INITIAL = re.compile("[A-ZА-Я][bcdfghjklmnpqrstvwxzбвгджзклмнпрстфхцчшщ]{1,2}|[YJ][aeu]")  # Дж, Вл, Ch, Yu
_OPENING = frozenset("\"'“‘«„([{") | {"``"}
_ALWAYS_OPENING = frozenset("«([{")
# Names of sites: portals with services (Яндекс.Погода), and top-level domains. Their full stops end no sentence.
_PORTALS = "(?i:яндекс|рамблер|мэйл|мейл|сбер|госуслуги|yandex|rambler|mail|google)"
_DOMAINS = "(?i:com|net|org|info|biz|edu|gov|ru|su|ua|tv|fm|doc|ру|рф|ком)"
_SHORTEST = 3  # fewest letters of a word whose full stop ends a sentence where no blank follows it
# Words whose full stop rarely ends a sentence (the full stop of initials, J. or J.R., never does)
_SHORT_FORMS = {
    "en": "mr mrs ms dr prof st rev gen gov lt col sgt capt cpl maj sen rep jr sr inc corp co ltd vs no nos fig etc "
    "jan feb mar apr jun jul aug sep sept oct nov dec e.g i.e u.s u.k u.n a.m p.m ph.d",
    "ru": "г гг в вв ул пр просп пер пл им т тт д п др см стр с тыс млн млрд трлн руб коп долл проф акад доц д-р св "
    "о оз пос обл р-н ст гл рис табл чел кв мин сек зам гос ред изд тел н э е к напр англ лат "
    "гор тов наб респ дер пгт мкр",
}
_ABBREVIATIONS = {language: frozenset(words.split()) for language, words in _SHORT_FORMS.items()}
_ANY_ABBREVIATION = frozenset().union(*_ABBREVIATIONS.values())


def document_from_text(text: str, language: str, id: str = "") -> Document:
    """A document of any string, with its tokens and sentences; languages other than en and ru have spaCy's rules.

    Blanks belong to no token. Offsets are code points of ``text`` itself: ``document.text == text`` always. A token has
    a ``norm`` where models read another form of it (see :mod:`multiner.pipeline.text.normal_form`).
    """
    clean = without_surrogates(text)
    form, offsets = normal_form(clean)
    tokens = tuple(_tokens(form, language))
    sentences = tuple(_sentences(form, tokens, _abbreviations(language)))
    if form != clean:
        tokens = tuple(_in_original(token, form, clean, offsets) for token in tokens)
    return Document(id, text, tokens, sentences)


@lru_cache(maxsize=8)
def _abbreviations(language: str) -> frozenset[str]:
    """Words whose full stop rarely ends a sentence: our own list, or that of spaCy's rules without common words."""
    if language in _ABBREVIATIONS:
        return _ABBREVIATIONS[language]
    from spacy.util import get_lang_class

    rules = get_lang_class(language).Defaults
    words = {key[:-1].lower() for key in rules.tokenizer_exceptions or () if key.endswith(".")}
    return frozenset(words - set(rules.stop_words or ()))


def sentence_starts(text: str) -> list[int]:
    """Offsets at which sentences begin, in any language, by the rules of :func:`document_from_text`.

    It is fast because a simple pattern splits the words; where spaCy would split them otherwise, it may miss a start.
    """
    tokens = tuple(Token(*word.span()) for word in _ROUGH.finditer(text))
    return [tokens[sentence.start].start for sentence in _sentences(text, tokens, _ANY_ABBREVIATION)]


def _tokens(text: str, language: str) -> list[Token]:
    nlp, lock = _tokenizer(language)
    with lock:
        with nlp.memory_zone():  # frees the words of the text, which would fill the memory of a server
            tokens = [
                Token(offset + token.idx, offset + token.idx + len(token))
                for offset, piece in _pieces(text)
                for token in nlp.tokenizer(piece)
                if not token.text.isspace()
            ]
        keep_small(nlp.vocab)
    return tokens


def _in_original(token: Token, form: str, text: str, offsets: Sequence[int]) -> Token:
    """A token of ``form``, the normal form of ``text``, as a token of ``text``."""
    start, end, norm = offsets[token.start], offsets[token.end], form[token.start : token.end]
    return Token(start, end, "" if norm == text[start:end] else norm)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces with their offsets: of about STEP characters, and of LONGEST in long runs without blanks."""
    start = 0
    for run in _LONG_RUN.finditer(text):
        yield from _cut_at_blanks(text, start, run.start())
        for piece in range(run.start(), run.end(), LONGEST):
            yield piece, text[piece : min(piece + LONGEST, run.end())]
        start = run.end()
    yield from _cut_at_blanks(text, start, len(text))


def _cut_at_blanks(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Pieces of ``text[start:end]``, cut before a blank, where spaCy splits tokens anyway."""
    while start < end:
        blank = _BLANK.search(text, min(start + STEP, end), end)
        stop = blank.start() if blank else end
        check_cancelled()
        yield start, text[start:stop]
        start = stop


@lru_cache(maxsize=8)
def _tokenizer(language: str) -> tuple[Language, Lock]:
    """A blank pipeline whose tokenizer splits words as the corpora do, and the lock that its users need.

    Words and numbers keep their hyphens, dots and slashes (Anglo-Saxon, 4-2, 12/05); names of sites stay whole. These
    are tokens of their own: every Russian full stop, also after initials; separators of table cells, also between word
    and number; between words without a blank, signs that end a sentence, quote or bracket; the # of a hashtag, as
    in WNUT17's development and test posts, so that a name behind it has its own borders.
    """
    import spacy
    from spacy.lang.char_classes import ALPHA, ALPHA_LOWER, ALPHA_UPPER, LIST_ELLIPSES, LIST_ICONS
    from spacy.util import compile_infix_regex, compile_prefix_regex, compile_suffix_regex

    nlp = spacy.blank(language)
    letter, word, mark = rf"[{ALPHA}]", rf"[{ALPHA}0-9]", '[«»„“”"()\\[\\]]'
    tokenizer: Any = nlp.tokenizer
    infixes = [
        *LIST_ELLIPSES,
        *LIST_ICONS,
        rf"(?<=[{ALPHA_LOWER}])\.(?=[{ALPHA_UPPER}])",
        rf"(?<={letter}{letter}|.[0-9])\.(?=[{ALPHA_UPPER}][{ALPHA_LOWER}])",
        rf"(?<={letter})[!?]+(?=[{ALPHA_UPPER}])",
        rf"(?<=\b[{ALPHA_UPPER}]\.)(?=[{ALPHA_UPPER}][{ALPHA_LOWER}])",  # between initials and surname
        rf"(?<={letter})[,:;<>=/](?={letter})",
        rf"(?<={letter})[,;](?=[0-9])",
        rf"(?<=[0-9])[,;](?={letter})",
        r"\|+",
        _SKIN,
        rf"(?<={word})(?:--+|[–—]+)(?={word})",
        rf"(?<={word}){mark}(?=[.,:;!?–—-]*(?:{letter}|{mark}))",
        rf"(?<=[.,:;!?–—-]){mark}(?={word}|{mark})",
        rf"(?<={mark})(?:{mark}|[.,:;!?]+|[–—-]+)(?={word}|{mark})",
        rf"(?<={word})(?:[.,:;!?]+|[–—-]+)(?={mark})",
    ]
    prefixes = [*(nlp.Defaults.prefixes or ()), r"\|+", _SKIN]
    suffixes = [*(nlp.Defaults.suffixes or ()), r"\|+", _SKIN]
    if language == "ru":
        suffixes.append(rf"(?<=[{ALPHA}0-9])\.")
        infixes.append(rf"(?<=\b[{ALPHA}])\.(?=[{ALPHA}])|(?<={letter}{letter})\.(?=[{ALPHA_UPPER}])")
    # Яндекс.Погода, Mail.Ru and Лента.ру are one token; А.С.Пушкин and Москве.Петров are not.
    lower = rf"|[{ALPHA_LOWER}][\w-]+" if language == "ru" else ""
    site = rf"{_PORTALS}\.{letter}[\w-]+$|[{ALPHA_UPPER}][\w-]+\.(?:{_DOMAINS}{lower})$"
    tokenizer.token_match = re.compile(site).match
    # Of spaCy's exceptions clitics ('s, n't) and emoticons stay; gonna, 10am and Russian words are not split.
    rules = tokenizer.rules.items()
    tokenizer.rules = {
        key: rule for key, rule in rules if not key.isalnum() and not (language == "ru" and _CYRILLIC.search(key))
    }
    tokenizer.prefix_search = compile_prefix_regex(prefixes).search
    tokenizer.suffix_search = compile_suffix_regex(suffixes).search
    tokenizer.infix_finditer = compile_infix_regex(infixes).finditer
    return nlp, Lock()


def _sentences(text: str, tokens: tuple[Token, ...], abbreviations: frozenset[str]) -> Iterator[Sentence]:
    """All tokens in sentences. A line break, a tab, or a stop before a possible first word ends a sentence."""
    start = 0
    for at in range(1, len(tokens)):
        gap = text[tokens[at - 1].end : tokens[at].start]
        if _BREAK.search(gap) or _ends(text, tokens, start, at, abbreviations):
            yield Sentence(start, at)
            start = at
    if tokens:
        yield Sentence(start, len(tokens))


def _ends(text: str, tokens: tuple[Token, ...], start: int, at: int, abbreviations: frozenset[str]) -> bool:
    """Whether a sentence that began at token ``start`` ends before token ``at``."""

    def word(index: int) -> str:
        return text[tokens[index].start : tokens[index].end]

    after, last = word(at), at - 1
    glued = tokens[last].end == tokens[at].start
    while last > max(start, at - _MOST_CLOSING) and word(last) in _CLOSING:
        last -= 1
    closed = last < at - 1
    # A dash after a closing quote continues the sentence with its speaker: «Да!» — сказал он.
    begins = after[0].isupper() or after in (_ALWAYS_OPENING if glued else _OPENING)
    if not (begins or (not glued and (after[0].isdigit() or (after in _DASHES and not closed)))):
        return False
    stop = word(last)
    if not _STOP.search(stop):
        return False
    if closed or not stop.endswith(".") or stop.endswith(".."):
        return True
    before = stop[:-1]  # "Mr." is one token, «г» and «.» are two
    if not before and last > start and tokens[last - 1].end == tokens[last].start:
        before = word(last - 1)
    return not (_abbreviated(before, abbreviations) or (glued and before.isalpha() and len(before) < _SHORTEST))


def _abbreviated(word: str, abbreviations: frozenset[str]) -> bool:
    if word.lower() in abbreviations or _LONG_INITIAL.fullmatch(word):
        return True
    return word.isupper() and bool(_INITIALS.fullmatch(word))
