"""Malformed HTTP: heads, lengths, chunks, addresses, methods, and what is none of it."""

from __future__ import annotations

import random

from tests.serving.sending import (
    API,
    CSV,
    FORM,
    GARBAGE,
    INVOKE,
    JSON,
    LINES,
    PAGE,
    SECRET,
    STREAM,
    Sent,
    request,
    text_body,
)


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
    cases = [
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
        chance.choice(cases),
        *(200, 400, 408, 415),
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
    cases = [
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
    return Sent((chance.choice(cases),), GARBAGE, silent=True, ends=True)


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


def upgrades(chance: random.Random) -> Sent:
    protocol = chance.choice(["websocket", "h2c", "TLS/1.0", "x" * 100])
    fields = (
        ("Connection", "Upgrade"),
        ("Upgrade", protocol),
        ("Sec-WebSocket-Key", "a"),
        ("Sec-WebSocket-Version", "13"),
    )
    return request(chance.choice(["/health", "/"]), b"", 200, headers=fields, method="GET", length=None)
