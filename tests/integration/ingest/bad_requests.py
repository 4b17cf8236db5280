"""Requests that are wrong before their message is looked at, or have none."""

from __future__ import annotations

from tests.integration.ingest import bad


def posted(path: str, name: str, status: int, code: str, at: str | None, body: bytes) -> bad.Bad:
    return bad.Bad(name, status, code, at, path=path, body=body)


def got(name: str, status: int, code: str, path: str, at: str | None = None) -> bad.Bad:
    return bad.Bad(name, status, code, at, method="GET", path=path, body=None)


def headed(name: str, status: int, code: str, at: str | None, **headers: str) -> bad.Bad:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return bad.Bad(
        name, status, code, at, body=bad.encoded({"to": bad.TO, "text": bad.TEXT}), headers=named
    )


SYNTAX = (
    bad.raw("body is empty", 400, "malformed_json", b""),
    bad.raw("body is blank", 400, "malformed_json", b"  \n"),
    bad.raw("body is a word", 400, "malformed_json", b"hello"),
    bad.raw("body is cut", 400, "malformed_json", b"{" + bad.GOOD),
    bad.raw("body has a tail", 400, "malformed_json", b"{" + bad.GOOD + b"}x"),
    bad.raw(
        "body is two documents", 400, "malformed_json", b"{" + bad.GOOD + b"}{" + bad.GOOD + b"}"
    ),
    bad.raw("body with a trailing comma", 400, "malformed_json", b"{" + bad.GOOD + b",}"),
    bad.raw("body with single quotes", 400, "malformed_json", b"{'to':'+33612345678'}"),
    bad.raw("body with a comment", 400, "malformed_json", b"{" + bad.GOOD + b"/* hi */}"),
    bad.raw("body with NaN", 400, "malformed_json", b"{" + bad.GOOD + b',"valid_for":NaN}'),
    bad.raw(
        "body with Infinity", 400, "malformed_json", b"{" + bad.GOOD + b',"valid_for":Infinity}'
    ),
    bad.raw(
        "body with a leading zero", 400, "malformed_json", b"{" + bad.GOOD + b',"valid_for":01}'
    ),
    bad.raw(
        "body with a raw newline in a string",
        400,
        "malformed_json",
        b'{"to":"+33612345678","text":"a\nb"}',
    ),
    bad.raw(
        "body with a raw NUL in a string",
        400,
        "malformed_json",
        b'{"to":"+33612345678","text":"a\0b"}',
    ),
    bad.raw(
        "body with a bad escape", 400, "malformed_json", b'{"to":"+33612345678","text":"\\x41"}'
    ),
    bad.raw(
        "body with a byte order mark", 400, "malformed_json", b"\xef\xbb\xbf{" + bad.GOOD + b"}"
    ),
    bad.raw("body in UTF-16", 400, "not_utf8", ("{" + bad.GOOD.decode() + "}").encode("utf-16")),
    bad.raw("body in Latin-1", 400, "not_utf8", b'{"to":"+33612345678","text":"caf\xe9"}'),
    bad.raw(
        "body with an overlong sequence",
        400,
        "not_utf8",
        b'{"to":"+33612345678","text":"\xc0\xaf"}',
    ),
    bad.raw(
        "body with an encoded surrogate",
        400,
        "not_utf8",
        b'{"to":"+33612345678","text":"\xed\xa0\x80"}',
    ),
    bad.raw(
        "body cut within a character", 400, "not_utf8", b'{"to":"+33612345678","text":"\xf0\x9f'
    ),
    bad.raw("body is null", 422, "wrong_type", b"null"),
    bad.raw("body is a list", 422, "wrong_type", b"[{" + bad.GOOD + b"}]"),
    bad.raw("body is a string", 422, "wrong_type", b'"hi"'),
    bad.raw("body is a number", 422, "wrong_type", b"1"),
    bad.raw("body is an empty object", 422, "missing_field", b"{}", "to"),
    bad.raw("body is nested deeply", 422, "wrong_type", b'{"to":' + b"[" * 100_000, "to"),
    bad.raw("body is a deep list", 422, "wrong_type", b"[" * 100_000),
)

HEADERS = (
    headed(
        "form body",
        415,
        "unsupported_media_type",
        "Content-Type",
        Content_Type="application/x-www-form-urlencoded",
    ),
    headed(
        "plain text body", 415, "unsupported_media_type", "Content-Type", Content_Type="text/plain"
    ),
    headed(
        "body of some JSON kind",
        415,
        "unsupported_media_type",
        "Content-Type",
        Content_Type="application/vnd.api+json",
    ),
    headed(
        "body in another charset",
        415,
        "unsupported_media_type",
        "Content-Type",
        Content_Type="application/json; charset=latin-1",
    ),
    headed(
        "content type is nonsense", 415, "unsupported_media_type", "Content-Type", Content_Type=";"
    ),
    headed("compressed body", 415, "encoded_body", "Content-Encoding", Content_Encoding="gzip"),
    headed("deflated body", 415, "encoded_body", "Content-Encoding", Content_Encoding="deflate"),
    headed(
        "body in an unknown encoding",
        415,
        "encoded_body",
        "Content-Encoding",
        Content_Encoding="zip",
    ),
    headed("key is empty", 400, "invalid_idempotency_key", "Idempotency-Key", Idempotency_Key=""),
    headed(
        "key of 256 characters",
        400,
        "invalid_idempotency_key",
        "Idempotency-Key",
        Idempotency_Key="k" * 256,
    ),
    headed(
        "key with a blank", 400, "invalid_idempotency_key", "Idempotency-Key", Idempotency_Key="a b"
    ),
    headed(
        "key beyond ASCII", 400, "invalid_idempotency_key", "Idempotency-Key", Idempotency_Key="clé"
    ),
    bad.Bad(
        "no content type",
        415,
        "unsupported_media_type",
        "Content-Type",
        body=bad.encoded({"to": bad.TO, "text": bad.TEXT}),
        headers={"Content-Type": ""},
    ),
)

SIZES = (
    bad.raw("body of 256 KiB and a byte", 413, "body_too_large", b" " * (256 * bad.KIB + 1)),
    bad.Bad(
        "body too large, in chunks",
        413,
        "body_too_large",
        body=b" " * (300 * bad.KIB),
        chunked=True,
    ),
    posted(
        bad.BATCH,
        "batch of 1 MiB and a byte",
        413,
        "body_too_large",
        None,
        b" " * (bad.KIB * bad.KIB + 1),
    ),
    bad.Bad(
        "batch too large, in chunks",
        413,
        "body_too_large",
        path=bad.BATCH,
        body=b" " * (2 * bad.KIB * bad.KIB),
        chunked=True,
    ),
    posted(bad.PREVIEW, "preview too large", 413, "body_too_large", None, b" " * (257 * bad.KIB)),
)

TOKENS = (
    bad.Bad("no token", 401, "unauthorized", "Authorization", account=None),
    bad.Bad(
        "token unheard of",
        401,
        "unauthorized",
        "Authorization",
        account=None,
        headers={"Authorization": "Bearer slu_" + "A" * 43},
    ),
    bad.Bad(
        "token in another scheme",
        401,
        "unauthorized",
        "Authorization",
        account=None,
        headers={"Authorization": "Basic YTpi"},
    ),
    bad.Bad(
        "token is empty",
        401,
        "unauthorized",
        "Authorization",
        account=None,
        headers={"Authorization": "Bearer "},
    ),
    bad.Bad(
        "token of 5,000 characters",
        401,
        "unauthorized",
        "Authorization",
        account=None,
        headers={"Authorization": "Bearer " + "x" * 5000},
    ),
    bad.Bad(
        "token beyond ASCII",
        401,
        "unauthorized",
        "Authorization",
        account=None,
        headers={"Authorization": "Bearer é"},
    ),
    bad.Bad(
        "no token, reading",
        401,
        "unauthorized",
        "Authorization",
        "GET",
        "/v1/balance",
        None,
        account=None,
    ),
)

BATCHES = (
    posted(bad.BATCH, "batch of none", 422, "wrong_length", "messages", b'{"messages":[]}'),
    posted(
        bad.BATCH,
        "batch of 1,001",
        422,
        "wrong_length",
        "messages",
        bad.encoded({"messages": [{}] * 1001}),
    ),
    posted(bad.BATCH, "batch without messages", 422, "missing_field", "messages", b"{}"),
    posted(bad.BATCH, "batch is null", 422, "wrong_type", "messages", b'{"messages":null}'),
    posted(bad.BATCH, "batch is an object", 422, "wrong_type", "messages", b'{"messages":{}}'),
    posted(bad.BATCH, "batch is a list", 422, "wrong_type", None, b"[]"),
    posted(
        bad.BATCH,
        "batch with more members",
        422,
        "unknown_field",
        "to",
        b'{"messages":[1],"to":"+33612345678"}',
    ),
    posted(
        bad.BATCH,
        "batch twice",
        400,
        "repeated_field",
        "messages",
        b'{"messages":[1],"messages":[2]}',
    ),
    posted(bad.BATCH, "batch is cut", 400, "malformed_json", None, b'{"messages":[{"to":"+33'),
    posted(
        bad.BATCH,
        "batch nested deeply",
        400,
        "too_deep",
        None,
        b'{"messages":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    ),
    posted(
        bad.BATCH,
        "half a pair in a batch",
        422,
        "lone_surrogate",
        "messages[1].text",
        b'{"messages":[{},{"text":"\\ud800"}]}',
    ),
    posted(bad.BATCH, "Latin-1 in a batch", 400, "not_utf8", None, b'{"messages":["caf\xe9"]}'),
)

PREVIEWS = (
    posted(bad.PREVIEW, "preview of nothing", 422, "missing_field", "text", b"{}"),
    posted(bad.PREVIEW, "preview of an empty text", 422, "empty_text", "text", b'{"text":""}'),
    posted(bad.PREVIEW, "preview of a NUL", 422, "invalid_text", "text", b'{"text":"\\u0000"}'),
    posted(
        bad.PREVIEW,
        "preview of a long text",
        422,
        "text_too_long",
        "text",
        bad.encoded({"text": "a" * 766}),
    ),
    posted(
        bad.PREVIEW, "preview to nobody", 422, "invalid_recipient", "to", b'{"text":"hi","to":"12"}'
    ),
    posted(
        bad.PREVIEW,
        "preview from a bad sender",
        422,
        "invalid_sender",
        "from",
        b'{"text":"hi","from":"-"}',
    ),
    posted(
        bad.PREVIEW,
        "preview with a reference",
        422,
        "unknown_field",
        "reference",
        b'{"text":"hi","reference":"a"}',
    ),
    posted(
        bad.PREVIEW,
        "preview where nothing is offered",
        422,
        "unsupported_country",
        "to",
        b'{"text":"hi","to":"+8613800138000"}',
    ),
)

PATHS = (
    got("path unheard of", 404, "no_such_path", "/v1/nothing"),
    got("path with a slash at its end", 404, "no_such_path", "/v1/messages/"),
    got("root", 404, "no_such_path", "/"),
    got("path upwards", 404, "no_such_path", "/v1/..%2f..%2fetc/passwd"),
    bad.Bad("method that is not there", 405, "method_not_allowed", method="DELETE", body=None),
    bad.Bad("reading by POST", 405, "method_not_allowed", path="/v1/balance"),
    bad.Bad("writing by PUT", 405, "method_not_allowed", method="PUT", path=bad.SEND),
    got("sending by GET", 405, "method_not_allowed", bad.PREVIEW),
    got("message unheard of", 404, "no_such_message", f"/v1/messages/{bad.UNKNOWN_ID}"),
    got("message with a bad id", 404, "no_such_message", "/v1/messages/1"),
    got("message with SQL for an id", 404, "no_such_message", "/v1/messages/'%20OR%201=1"),
    got("message with a NUL in its id", 404, "no_such_message", "/v1/messages/%00"),
)

QUERIES = (
    got("unknown parameter", 422, "unknown_field", "/v1/messages?page=2", "page"),
    got("unknown parameter of events", 422, "unknown_field", "/v1/events?since=1", "since"),
    got("parameter twice", 400, "repeated_field", "/v1/messages?limit=1&limit=2", "limit"),
    got("limit of zero", 422, "out_of_range", "/v1/messages?limit=0", "limit"),
    got("limit above 200", 422, "out_of_range", "/v1/messages?limit=201", "limit"),
    got("limit is a word", 422, "wrong_type", "/v1/messages?limit=all", "limit"),
    got("limit is empty", 422, "wrong_type", "/v1/messages?limit=", "limit"),
    got("status unheard of", 422, "invalid_choice", "/v1/messages?status=lost", "status"),
    got(
        "number with its plus lost", 422, "invalid_recipient", "/v1/messages?to=+33612345678", "to"
    ),
    got(
        "start of time is a word",
        422,
        "invalid_time",
        "/v1/messages?created_from=today",
        "created_from",
    ),
    got(
        "end of time without offset",
        422,
        "invalid_time",
        "/v1/messages?created_until=2030-01-01T00:00:00",
        "created_until",
    ),
    got(
        "start of time before the first year",
        422,
        "out_of_range",
        "/v1/messages?created_from=0001-01-01T00:00:00%2B23:59",
        "created_from",
    ),
    got(
        "end of time after the last year",
        422,
        "out_of_range",
        "/v1/messages?created_until=9999-12-31T23:59:59-23:59",
        "created_until",
    ),
    got("cursor is nonsense", 422, "invalid_cursor", "/v1/messages?cursor=xyz", "cursor"),
    got(
        "filter by a reference with a NUL",
        422,
        "invalid_reference",
        "/v1/messages?reference=a%00",
        "reference",
    ),
    got("events after a word", 422, "wrong_type", "/v1/events?after=now", "after"),
    got("events after less than nothing", 422, "out_of_range", "/v1/events?after=-1", "after"),
    got(
        "events after too much",
        422,
        "out_of_range",
        "/v1/events?after=9223372036854775808",
        "after",
    ),
    got("too many events", 422, "out_of_range", "/v1/events?limit=1001", "limit"),
    got("unknown parameter of inbound", 422, "unknown_field", "/v1/inbound?since=1", "since"),
    got("inbound after less than nothing", 422, "out_of_range", "/v1/inbound?after=-1", "after"),
    got("too much inbound", 422, "out_of_range", "/v1/inbound?limit=1001", "limit"),
)

ALL = (*SYNTAX, *HEADERS, *SIZES, *TOKENS, *BATCHES, *PREVIEWS, *PATHS, *QUERIES)
