"""Malformed requests of every kind we know; each is made from its number alone. Here: what is wrong with bodies."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from typing import Any

from tests.serving.http import malformed_http
from tests.serving.sending import (
    API,
    CSV,
    FORM,
    INVOKE,
    JSON,
    LINES,
    PAGE,
    SECRET,
    STREAM,
    TOKEN,
    Sent,
    request,
    text_body,
)


def broken_json(chance: random.Random) -> Sent:
    body = bytearray(text_body(f"{SECRET} met Bo", language="en"))
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(1, len(body) - 1)
        body[place : place + chance.randrange(2)] = chance.choice([b"\x00", b'"', b"{", b"\x1f", b",,", b"\\x", b"'"])
    return request(chance.choice([API, INVOKE]), bytes(body), 200, 400, 422)


def huge_number(chance: random.Random) -> Sent:
    number = chance.choice(
        ["9" * chance.randrange(400, 90_000), "1e999", "-1e999", "-0", "1" + "0" * 308, "0.1e-99999"]
    )
    field = chance.choice(["text", "min_score", "legs", "language", "types", "offsets"])
    return request(API, f'{{"{field}": {number}, "x{SECRET}": 1}}'.encode(), 400, 422)


def deep(chance: random.Random) -> Sent:
    opening = chance.choice([b"[", b'{"text":', b'{"text":[', b'{"inputs":['])
    path = chance.choice([API, INVOKE, "/admin/deploy"])
    headers = (("Authorization", f"Bearer {TOKEN}"),)
    return request(path, opening * chance.choice([2_000, 100_000]), 400, 413, headers=headers)


def encoding(chance: random.Random) -> Sent:
    body = f'{{"text": "{SECRET} Ёж"}}'
    cases = [
        *(body.encode(name) for name in ("utf-16", "utf-16-le", "utf-32", "utf-7", "koi8-r")),
        body.replace("Ёж", "café").encode("latin-1"),
        b'{"text": "\xc0\xaf\xed\xa0\x80\xff"}',
        b"\xef\xbb\xbf" * 2 + body.encode(),
        b"\xfe\xff" + body.encode(),
    ]
    return request(chance.choice([API, INVOKE]), chance.choice(cases), 200, 400, 422)


def duplicate_fields(chance: random.Random) -> Sent:
    names = chance.choice([("text", "text"), ("te\\u0078t", "text"), ("a" * 5000, "a" * 5000)])
    return request(API, f'{{"{names[0]}": "{SECRET}", "{names[1]}": "Bo"}}'.encode(), 400)


def constants(chance: random.Random) -> Sent:
    value = chance.choice(
        ["NaN", "Infinity", "-Infinity", "undefined", "None", "True", "0x10", "01", "+1", ".5", "'a'"]
    )
    return request(chance.choice([API, INVOKE]), f'{{"text": "{SECRET}", "min_score": {value}}}'.encode(), 400)


def content_type(chance: random.Random) -> Sent:
    wrong = [
        None,
        "",
        "text/plain",
        "application/jsonx",
        "a/\xff;;=",
        "application/xml",
        "x" * 5000,
        ";",
        "*/*",
        "\x00",
    ]
    kind = chance.choice(wrong)
    path = chance.choice([API, STREAM, INVOKE, PAGE])
    return request(path, text_body(SECRET), *((400,) if kind == "\x00" else (415,)), kind=kind)


def forms(chance: random.Random) -> Sent:
    parts = f'--b\r\nContent-Disposition: form-data; name="text"; filename="../a"\r\n\r\n{SECRET}\r\n'.encode()
    multipart = parts * chance.choice([1, 500]) + chance.choice([b"--b--", b""])
    cases = [
        request(chance.choice([API, PAGE, STREAM]), multipart, 415, kind="multipart/form-data; boundary=b"),
        request(API, f"text={SECRET}".encode(), 415, kind=FORM),
        request(PAGE, text_body(SECRET), 415),
        request(PAGE, b"&" * 50, 200, 400, kind=FORM),
        request(PAGE, b"text=Anna&language=xx", 422, kind=FORM),
        request(PAGE, b"text=\xff\xfe", 400, kind=FORM),
        request(PAGE, b"text=%ff%00%zz&text=b&language=%00", 422, kind=FORM),
        request(PAGE, b"a=b&" * 60, 400, kind=FORM),
        request(PAGE, b"text=" + b"a" * 150_000, 413, kind=FORM, headers=(("X-Fragment", "1"),)),
        request(PAGE, b"text=%3Cscript%3Ealert(1)%3C/script%3E%00%F0%9F%99%82", 200, kind=FORM),
    ]
    return chance.choice(cases)


def compressed(chance: random.Random) -> Sent:
    coding = chance.choice(["gzip", "deflate", "br", "zstd", "gzip, gzip", "x" * 500])
    body = chance.choice([gzip.compress(text_body(SECRET)), BOMB, chance.randbytes(500)])
    path, kind = chance.choice([(API, JSON), (STREAM, LINES), (INVOKE, CSV), (PAGE, FORM)])
    return request(path, body, 415, kind=kind, headers=(("Content-Encoding", coding),))


BOMB = gzip.compress(b"\0" * 50_000_000)
ODD_TEXTS = [
    "a" * 99_000,
    "\n" * 10_000,
    "\r\n" * 9_000 + "Anna",
    "\x00\x01\x1f\x7f Anna",
    "\u202eAnna\u202c\u2066Bo",
    "e\u0301" * 5000,
    "\u200d" * 5000 + "Anna",
    "👩‍👩‍👧‍👦🏳️‍🌈" * 900 + " Anna",
    "\ud83d Anna \ude42",
    "\ufeffAnna\ufffe\uffff",
    "Анна Anna" * 99,
    "a\u0300" * 9,
    "<script>Anna</script>&amp;",
    "İstanbul Straße ﬁ ŒUVRE",
    "ﷺ" * 900,
    "\U0010ffff" * 9000,
    "'; DROP TABLE x; --",
    "${jndi:x} {{7*7}} %s",
]


def odd_texts(chance: random.Random) -> Sent:
    text, escaped = chance.choice(ODD_TEXTS), chance.random() < 0.5
    try:
        body = json.dumps({"text": [text, text], "offsets": "utf16"}, ensure_ascii=escaped).encode()
    except UnicodeEncodeError:
        body = json.dumps({"text": [text, text]}).encode()
    return request(API, body, *((413,) if len(text) > 50_000 else (200,)))


def too_much(chance: random.Random) -> Sent:
    cases = [
        request(API, text_body("Ж" * 300_000), 413),
        request(API, json.dumps({"text": ["a"] * 9}).encode(), 413),
        request(API, json.dumps({"text": ["a"] * 99_999}).encode(), 413),
        request(INVOKE, b"text\n" + b"a\n" * 9, 413, kind=CSV),
        request(INVOKE, json.dumps({"inputs": ["a" * 100_001]}).encode(), 413),
        request(STREAM, b'"' + b"a" * 2_000_000 + b'"\n"Anna"\n', 200, kind=LINES),
        request(STREAM, b"\n" * 100_000, 200, kind=LINES),
    ]
    return chance.choice(cases)


VALUES = [
    None,
    True,
    -1,
    2,
    1e308,
    "",
    SECRET,
    "\ud800",
    [],
    {},
    [[]],
    {"a": {}},
    ["x", None],
    "EN",
    "utf-16",
    ["PER", 1],
    "a" * 9000,
]


def options(chance: random.Random) -> Sent:
    names = chance.sample(
        ["text", "language", "types", "min_score", "legs", "offsets", "id", SECRET, "", "__proto__"], 3
    )
    body = json.dumps({name: chance.choice(VALUES) for name in names})
    if chance.random() < 0.5:
        return request(STREAM, body.encode() + b"\n", 200, kind=LINES)
    return request(API, body.encode(), 200, 422)


def broken_lines(chance: random.Random) -> Sent:
    odd = [
        b"{",
        b"\xff",
        b"[" * 20_000,
        b'"Anna"',
        b"",
        b" ",
        b"null",
        b'{"text": "a", "id": 1e400}',
        b'"\\ud800"',
        b"\x00",
        b"NaN",
    ]
    lines = [chance.choice(odd) for _ in range(chance.randrange(1, 30))]
    return request(STREAM, chance.choice([b"\n", b"\r\n", b"\r"]).join(lines), 200, kind=LINES)


def invocations(chance: random.Random) -> Sent:
    cases: list[Any] = [
        {"inputs": chance.choice(VALUES)},
        {"inputs": [chance.choice(VALUES)]},
        {"instances": [[]]},
        {"params": {"a": SECRET}},
        {"dataframe_split": {"data": chance.choice(VALUES), "columns": [SECRET]}},
        {"dataframe_records": [chance.choice(VALUES)]},
        {"inputs": ["a"], "instances": ["b"]},
        SECRET,
        5,
        None,
    ]
    if chance.random() < 0.3:
        body = chance.choice([b'text\n"' + SECRET.encode(), b"\xff\xfe", b"a,b\n1\n", b"text\n\x00\n", b"", b'"' * 999])
        return request(INVOKE, body, 200, 400, 422, kind=CSV)
    return request(INVOKE, json.dumps(chance.choice(cases)).encode(), 200, 422)


def admin(chance: random.Random) -> Sent:
    path = chance.choice(["/admin/deploy", "/admin/rollback", "/admin/", "/admin/nothing"])
    tokens: list[str | bytes] = [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN[:-1],
        b"Bearer \xff",
        "a" * 9000,
    ]
    if chance.random() < 0.5:
        return request(path, text_body(SECRET), 401, 404, headers=(("Authorization", chance.choice(tokens)),))
    value = {"language": chance.choice(["en", chance.choice(VALUES)])}
    if path == "/admin/deploy":
        value["version"] = chance.choice([*VALUES, "-1", "²", "1" * 30])
    headers = (("Authorization", f"Bearer {TOKEN}"),)
    return request(path, json.dumps(value).encode(), 404, 409, 422, headers=headers)


KINDS: list[Callable[[random.Random], Sent]] = [
    broken_json,
    huge_number,
    deep,
    encoding,
    duplicate_fields,
    constants,
    content_type,
    malformed_http.headers,
    malformed_http.endless_head,
    malformed_http.content_length,
    malformed_http.smuggling,
    malformed_http.chunks,
    malformed_http.broken_off,
    malformed_http.slow_body,
    malformed_http.http_1_0,
    malformed_http.pipelined,
    malformed_http.garbage,
    malformed_http.methods,
    malformed_http.paths,
    malformed_http.queries,
    forms,
    compressed,
    odd_texts,
    too_much,
    options,
    broken_lines,
    invocations,
    admin,
    malformed_http.upgrades,
]


def malformed(number: int) -> tuple[str, Sent]:
    """The kind of the request of this number, and the request."""
    make = KINDS[number % len(KINDS)]
    return make.__name__, make(random.Random(number))
