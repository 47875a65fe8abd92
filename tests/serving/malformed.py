"""Malformed requests of every kind we know; each is made from its number alone."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SECRET = "Zyxwv"  # stands in bodies; no log and no error may repeat it
TOKEN = "a-token-for-tests"
JSON, LINES, CSV, FORM = "application/json", "application/x-ndjson", "text/csv", "application/x-www-form-urlencoded"
API, STREAM, INVOKE, PAGE = "/v1/entities", "/v1/entities/stream", "/v1/en/invocations", "/"
GARBAGE = frozenset({400, 408, 431})  # no HTTP; or closed without an answer


@dataclass(frozen=True)
class Sent:
    """What goes over a connection: pieces, and whether the caller then hangs up; the statuses that may come back."""

    pieces: tuple[bytes, ...]
    statuses: frozenset[int]
    silent: bool = False  # whether no answer at all is right
    hangs_up: bool = False
    method: str = "POST"


def request(
    path: str | bytes,
    body: bytes = b"",
    *statuses: int,
    kind: str | None = JSON,
    headers: tuple[tuple[str, str | bytes], ...] = (),
    method: str = "POST",
    version: str = "1.1",
    length: str | None = "",
    silent: bool = False,
) -> Sent:
    """A request whose frame is right, unless told otherwise; ``length`` None: without Content-Length."""
    lines = [
        method.encode() + b" " + (path if isinstance(path, bytes) else path.encode()) + f" HTTP/{version}".encode()
    ]
    fields: list[tuple[str, str | bytes]] = [("Host", "localhost"), ("Connection", "close")]
    fields += [("Content-Type", kind)] if kind is not None else []
    fields += [] if length is None else [("Content-Length", length or str(len(body)))]
    for name, value in [*fields, *headers]:
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("utf-8")))
    return Sent((b"\r\n".join(lines) + b"\r\n\r\n" + body,), frozenset(statuses), silent, method=method)


def text_body(text: str, **more: Any) -> bytes:
    return json.dumps({"text": text} | more).encode()


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
    made = [
        *(body.encode(name) for name in ("utf-16", "utf-16-le", "utf-32", "utf-7", "koi8-r")),
        body.replace("Ёж", "café").encode("latin-1"),
        b'{"text": "\xc0\xaf\xed\xa0\x80\xff"}',
        b"\xef\xbb\xbf" * 2 + body.encode(),
        b"\xfe\xff" + body.encode(),
    ]
    return request(chance.choice([API, INVOKE]), chance.choice(made), 200, 400, 422)


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


def headers(chance: random.Random) -> Sent:
    body = text_body("Anna")
    odd: list[tuple[tuple[tuple[str, str | bytes], ...], tuple[int, ...]]] = [
        ((("Content-Type", "text/plain"),), (200,)),
        ((("X-Filler", "a" * 40_000),), (431,)),
        (tuple((f"X-{index}", "a" * 10) for index in range(3000)), (431,)),
        ((("X-Request-ID", "a" * 1000), ("X-Request-ID", "\u202e\u0451")), (200,)),
        ((("X-Bad\x00Name", "a"),), (400,)),
        ((("X-Bad", "a\x00b"),), (400,)),
        ((("X-Bad", "a\rSet-Cookie: b"),), (400,)),
        ((("X Space ", "a"),), (400,)),
        ((("", "a"),), (400,)),
        ((("Accept", "text/\xff"), ("Cookie", "=" * 9000), ("Range", "bytes=9-1,,"), ("If-Match", "*")), (200,)),
        ((("Host", "attacker.example"),), (200, 400)),
        ((("Expect", "200-maybe"),), (200,)),
    ]
    extra, statuses = chance.choice(odd)
    return request(API, body, *statuses, headers=extra)


def endless_head(chance: random.Random) -> Sent:
    start = chance.choice([b"GET /", b"GET / HTTP/1.1\r\nX-Filler: ", b"G", b"GET / HTTP/1.1\r\n"])
    filler = chance.choice([b"a" * 65_536, b"X-A: b\r\n" * 8192])
    return Sent((start, *[filler] * 20), GARBAGE | {414}, silent=True)


def content_length(chance: random.Random) -> Sent:
    body = text_body(SECRET)
    stated = chance.choice(
        ["-1", "+5", "1e3", "0x10", "5, 5", "5;", "a", "9" * 19, "9" * 40, "1" * 5000, "10000000000", " "]
    )
    path, kind = chance.choice([(API, JSON), (INVOKE, JSON), (PAGE, FORM)])
    return request(path, body, 400, 413, 431, kind=kind, length=stated, silent=True)


def smuggling(chance: random.Random) -> Sent:
    body = b"5\r\nhello\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    coding = chance.choice(["chunked", "xchunked", "chunked, identity", "\x0bchunked", "gzip, chunked", "Chunked"])
    length = chance.choice(["6", "4", None])
    return request(API, body, 200, 400, 415, headers=(("Transfer-Encoding", coding),), length=length, silent=True)


def chunks(chance: random.Random) -> Sent:
    body = text_body(SECRET)
    good = b"%x\r\n%s\r\n" % (len(body), body)
    made = [
        b"zz\r\n" + body,
        b"ffffffffffffffffff\r\n" + body,
        b"-5\r\n" + body,
        b"5\r\n" + body + b"\r\n0\r\n\r\n",
        good + b"0\r\nX-Trailer: a\r\n\r\n",
        b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(body), b"a=b;" * 2000, body),
        good + b"0\r\n\r\n",
        b"1\r\n{\r\n" * 3000 + b"0\r\n\r\n",
    ]
    return request(
        chance.choice([API, STREAM]),
        chance.choice(made),
        *(200, 400, 415),
        headers=(("Transfer-Encoding", "chunked"),),
        length=None,
        kind=chance.choice([JSON, LINES]),
        silent=True,
    )


def broken_off(chance: random.Random) -> Sent:
    path, kind = chance.choice([(API, JSON), (STREAM, LINES), (INVOKE, CSV), (PAGE, FORM)])
    whole = request(path, text_body(f"{SECRET} Anna"), kind=kind, length=chance.choice(["5000", ""]))
    (data,) = whole.pieces
    return Sent((data[: chance.randrange(1, len(data))],), frozenset(), silent=True, hangs_up=True)


def slow_head(chance: random.Random) -> Sent:
    start = chance.choice([b"P", b"POST /v1/entities HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: local", b"\r\n", b""])
    return Sent((start,), GARBAGE, silent=not start.strip())


def slow_body(chance: random.Random) -> Sent:
    path, kind = chance.choice([(API, JSON), (STREAM, LINES), (INVOKE, JSON), (PAGE, FORM)])
    statuses = (200,) if path == STREAM else (408,)
    return request(path, chance.choice([b"", b"{", b'{"text"']), *statuses, kind=kind, length="4000")


def http_1_0(chance: random.Random) -> Sent:
    version = chance.choice(["1.0", "0.9", "2.0", "3", "9.9", "1.2", "1.1.1", "", "1.1 x"])
    return request(API, text_body("Anna"), 200, 400, version=version)


def pipelined(chance: random.Random) -> Sent:
    good = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    rest = chance.choice(
        [chance.randbytes(300), b"\x00" * 99, b"FOO\r\n\r\n", b"\r\n" * 50, b"GET / HTTP/1.1\r\n: \r\n\r\n"]
    )
    return Sent((good * chance.randrange(1, 4) + rest,), frozenset({200, 400, 408}), silent=True, method="GET")


def garbage(chance: random.Random) -> Sent:
    made = [
        chance.randbytes(chance.randrange(1, 4000)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500),  # TLS
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"\x00" * 5000,
        b"\n" * 5000,
        b"EHLO localhost\r\n",
        SECRET.encode() * 500,
    ]
    return Sent((chance.choice(made),), GARBAGE, silent=True)


def methods(chance: random.Random) -> Sent:
    method = chance.choice(
        ["BREW", "TRACE", "CONNECT", "get", "M" * 1000, "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE", "PROPFIND"]
    )
    path = chance.choice([API, STREAM, INVOKE, PAGE, "/health", "/static/page.js", "/admin/deploy"])
    return request(path, b"", 200, 400, 401, 405, method=method)


def paths(chance: random.Random) -> Sent:
    path = chance.choice(
        [
            b"/%00",
            b"/static/../../etc/passwd",
            b"/static/%2e%2e/%2e%2e/gateway.py",
            b"/static/..%2fgateway.py",
            b"//" * 100,
            b"/\\..\\",
            b"/%ff%fe",
            b"/\xff\xd0",
            b"/%",
            b"/%zz",
            b"*",
            b"http://attacker.example/health",
            b"/" + b"a" * 60_000,
            b"/" + b"a/" * 3000,
            b"/v1/%D1%91/invocations",
            b"/v1/../v1/entities",
            b"/health/",
            b"/health;x=1",
            b"/static/%00page.js",
            b"/static/page.js/..",
            b"/%0d%0aSet-Cookie:a",
            b"nothing",
            b"/\xe2\x80\xae",
            b"/static/" + b"a" * 300,
            b"/v1/" + b"e" * 2000 + b"/invocations",
        ]
    )
    return request(path, b"", 200, 307, 400, 404, 405, 414, 415, 431, method=chance.choice(["GET", "POST"]))


def queries(chance: random.Random) -> Sent:
    query = chance.choice(
        ["example=" + SECRET, "example=%ff%00", "&" * 5000, "a[]=1&a[x]=2", "=" * 900, "a=" * 4000, "%"]
    )
    path = chance.choice([API, PAGE, "/health", "/static/page.js"])
    method = "POST" if path == API else "GET"
    return request(f"{path}?{query}", text_body("Anna") if method == "POST" else b"", 200, 414, method=method)


def forms(chance: random.Random) -> Sent:
    parts = f'--b\r\nContent-Disposition: form-data; name="text"; filename="../a"\r\n\r\n{SECRET}\r\n'.encode()
    multipart = parts * chance.choice([1, 500]) + chance.choice([b"--b--", b""])
    made = [
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
    return chance.choice(made)


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
    made = [
        request(API, text_body("Ж" * 300_000), 413),
        request(API, json.dumps({"text": ["a"] * 9}).encode(), 413),
        request(API, json.dumps({"text": ["a"] * 99_999}).encode(), 413),
        request(INVOKE, b"text\n" + b"a\n" * 9, 413, kind=CSV),
        request(INVOKE, json.dumps({"inputs": ["a" * 100_001]}).encode(), 413),
        request(STREAM, b'"' + b"a" * 2_000_000 + b'"\n"Anna"\n', 200, kind=LINES),
        request(STREAM, b"\n" * 100_000, 200, kind=LINES),
    ]
    return chance.choice(made)


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
    made: list[Any] = [
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
    return request(INVOKE, json.dumps(chance.choice(made)).encode(), 200, 422)


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
    value = {
        "language": chance.choice(["en", chance.choice(VALUES)]),
        "version": chance.choice([*VALUES, "-1", "²", "1" * 30]),
    }
    headers = (("Authorization", f"Bearer {TOKEN}"),)
    return request(path, json.dumps(value).encode(), 404, 409, 422, headers=headers)


def upgrades(chance: random.Random) -> Sent:
    protocol = chance.choice(["websocket", "h2c", "TLS/1.0", "x" * 100])
    fields = (
        ("Connection", "Upgrade"),
        ("Upgrade", protocol),
        ("Sec-WebSocket-Key", "a"),
        ("Sec-WebSocket-Version", "13"),
    )
    return request(chance.choice(["/health", "/"]), b"", 200, headers=fields, method="GET", length=None)


KINDS: list[Callable[[random.Random], Sent]] = [
    broken_json,
    huge_number,
    deep,
    encoding,
    duplicate_fields,
    constants,
    content_type,
    headers,
    endless_head,
    content_length,
    smuggling,
    chunks,
    broken_off,
    slow_head,
    slow_body,
    http_1_0,
    pipelined,
    garbage,
    methods,
    paths,
    queries,
    forms,
    compressed,
    odd_texts,
    too_much,
    options,
    broken_lines,
    invocations,
    admin,
    upgrades,
]


def malformed(number: int) -> tuple[str, Sent]:
    """The kind of the request of this number, and the request."""
    make = KINDS[number % len(KINDS)]
    return make.__name__, make(random.Random(number))
