"""Well-formed requests for messages that cannot be."""

from __future__ import annotations

from tests.integration.ingest import bad

RECIPIENTS = (
    bad.message("no recipient", 422, "missing_field", "to", to=...),
    bad.message("recipient is null", 422, "wrong_type", "to", to=None),
    bad.message("recipient is a number", 422, "wrong_type", "to", to=33612345678),
    bad.message("recipient is a list", 422, "wrong_type", "to", to=[bad.TO]),
    bad.message("recipient is empty", 422, "invalid_recipient", "to", to=""),
    bad.message("recipient without plus", 422, "invalid_recipient", "to", to="33612345678"),
    bad.message("recipient with double zero", 422, "invalid_recipient", "to", to="0033612345678"),
    bad.message("recipient is national", 422, "invalid_recipient", "to", to="0612345678"),
    bad.message("recipient with blanks", 422, "invalid_recipient", "to", to="+33 6 12 34 56 78"),
    bad.message("recipient with dashes", 422, "invalid_recipient", "to", to="+1-202-555-0123"),
    bad.message(
        "recipient with trailing newline", 422, "invalid_recipient", "to", to=bad.TO + "\n"
    ),
    bad.message("recipient with a NUL", 422, "invalid_recipient", "to", to=bad.TO + "\0"),
    bad.message("recipient in other digits", 422, "invalid_recipient", "to", to="+٣٣٦١٢٣٤٥٦٧٨"),
    bad.message("recipient of 16 digits", 422, "invalid_recipient", "to", to="+3361234567890123"),
    bad.message("recipient of one digit", 422, "invalid_recipient", "to", to="+3"),
    bad.message("recipient of no country", 422, "invalid_recipient", "to", to="+9991234567"),
    bad.message(
        "recipient too short for its country", 422, "invalid_recipient", "to", to="+3361234"
    ),
    bad.message("recipient at a premium", 422, "special_number", "to", to="+33899123456"),
    bad.message("recipient at a premium in the US", 422, "special_number", "to", to="+19002345678"),
    bad.message("recipient on a satellite", 422, "special_number", "to", to="+870301234567"),
    bad.message(
        "special recipient without a price of its own",
        422,
        "unsupported_country",
        "to",
        "special",
        to="+499001234567",
    ),
    bad.message("recipient with a trunk zero", 422, "invalid_recipient", "to", to="+330612345678"),
    bad.message(
        "recipient of 200,000 digits", 422, "invalid_recipient", "to", to="+" + "3" * 200_000
    ),
    bad.message("recipient is SQL", 422, "invalid_recipient", "to", to="' OR 1=1 --"),
    bad.message(
        "recipient where nothing is offered", 422, "unsupported_country", "to", to="+8613800138000"
    ),
)

TEXTS = (
    bad.message("no text", 422, "missing_field", "text", text=...),
    bad.message("text is null", 422, "wrong_type", "text", text=None),
    bad.message("text is a number", 422, "wrong_type", "text", text=123456),
    bad.message("text is an object", 422, "wrong_type", "text", text={"body": "hi"}),
    bad.message("text is true", 422, "wrong_type", "text", text=True),
    bad.message("text is empty", 422, "empty_text", "text", text=""),
    bad.message("text of 766 septets", 422, "text_too_long", "text", text="a" * 766),
    bad.message("text of 383 euro signs", 422, "text_too_long", "text", text="€" * 383),
    bad.message("text of 336 code units", 422, "text_too_long", "text", text="ж" * 336),
    bad.message("text of 168 emoji", 422, "text_too_long", "text", text="😀" * 168),
    bad.message("text of 200,000 characters", 422, "text_too_long", "text", text="a" * 200_000),
    bad.message("text with a NUL", 422, "invalid_text", "text", text="a\0b"),
    bad.raw(
        "text is half a pair",
        422,
        "lone_surrogate",
        b'{"to":"+33612345678","text":"\\ud800"}',
        "text",
    ),
    bad.raw(
        "text ends in half a pair",
        422,
        "lone_surrogate",
        b'{"to":"+33612345678","text":"a\\ud83d"}',
        "text",
    ),
    bad.raw(
        "text with a second half alone",
        422,
        "lone_surrogate",
        b'{"to":"+33612345678","text":"\\udc00a"}',
        "text",
    ),
    bad.raw(
        "reference is half a pair",
        422,
        "lone_surrogate",
        b"{" + bad.GOOD + b',"reference":"\\udfff!"}',
        "reference",
    ),
)

SENDERS = (
    bad.message("sender is null", 422, "wrong_type", "from", **{"from": None}),
    bad.message("sender is a number", 422, "wrong_type", "from", **{"from": 36184}),
    bad.message("sender is empty", 422, "invalid_sender", "from", **{"from": ""}),
    bad.message(
        "sender of 12 characters", 422, "invalid_sender", "from", **{"from": "Abcdefghijkl"}
    ),
    bad.message("sender with CR LF", 422, "invalid_sender", "from", **{"from": "Slui\r\nce"}),
    bad.message("sender with a NUL", 422, "invalid_sender", "from", **{"from": "Sluice\0"}),
    bad.message("sender with a quote", 422, "invalid_sender", "from", **{"from": "Slu'ice"}),
    bad.message("sender with an accent", 422, "invalid_sender", "from", **{"from": "Société"}),
    bad.message("sender with a look-alike", 422, "invalid_sender", "from", **{"from": "Sluicе"}),
    bad.message(
        "sender with a blank in front", 422, "invalid_sender", "from", **{"from": " Sluice"}
    ),
    bad.message("sender without a letter", 422, "invalid_sender", "from", **{"from": "12 34"}),
    bad.message("sender is an impossible number", 422, "invalid_sender", "from", **{"from": "+33"}),
    bad.message("sender of nobody", 422, "unknown_sender", "from", **{"from": "Nobody"}),
    bad.message(
        "sender in other letters' case", 422, "unknown_sender", "from", **{"from": "SLUICE"}
    ),
    bad.message(
        "sender of another account", 422, "unknown_sender", "from", "bob", **{"from": "Narrow"}
    ),
    bad.message("no default line", 422, "no_default_line", "from", "lineless"),
)

OPTIONS = (
    bad.message("reference is empty", 422, "wrong_length", "reference", reference=""),
    bad.message(
        "reference of 101 characters", 422, "wrong_length", "reference", reference="r" * 101
    ),
    bad.message("reference is a number", 422, "wrong_type", "reference", reference=7),
    bad.message("reference with a NUL", 422, "invalid_reference", "reference", reference="a\0"),
    bad.message("class unheard of", 422, "invalid_choice", "class", **{"class": "express"}),
    bad.message("class in capitals", 422, "invalid_choice", "class", **{"class": "URGENT"}),
    bad.message("class is a number", 422, "wrong_type", "class", **{"class": 0}),
    bad.message("delivery unheard of", 422, "invalid_choice", "delivery", delivery="exactly_once"),
    bad.message("delivery is null", 422, "wrong_type", "delivery", delivery=None),
    bad.message(
        "time without offset", 422, "invalid_time", "send_at", send_at="2030-01-31T09:00:00"
    ),
    bad.message("time is a word", 422, "invalid_time", "send_at", send_at="tomorrow"),
    bad.message("time is empty", 422, "invalid_time", "send_at", send_at=""),
    bad.message("time is a date", 422, "invalid_time", "send_at", send_at="2030-01-31"),
    bad.message(
        "time of 30 February", 422, "invalid_time", "send_at", send_at="2030-02-30T09:00:00Z"
    ),
    bad.message("time is a number", 422, "wrong_type", "send_at", send_at=1_900_000_000),
    bad.message(
        "time has passed", 422, "send_at_passed", "send_at", send_at="2020-01-01T00:00:00Z"
    ),
    bad.message(
        "time in year 1", 422, "send_at_passed", "send_at", send_at="0001-01-01T00:00:00+14:00"
    ),
    bad.message(
        "time in year 9999", 422, "send_at_too_far", "send_at", send_at="9999-12-31T23:59:59-12:00"
    ),
    bad.message("validity of zero", 422, "out_of_range", "valid_for", valid_for=0),
    bad.message("validity is negative", 422, "out_of_range", "valid_for", valid_for=-1),
    bad.message("validity above 72 hours", 422, "out_of_range", "valid_for", valid_for=259_201),
    bad.message("validity is a fraction", 422, "wrong_type", "valid_for", valid_for=1.5),
    bad.message("validity is a string", 422, "wrong_type", "valid_for", valid_for="60"),
    bad.message("validity is true", 422, "wrong_type", "valid_for", valid_for=True),
    bad.message("validity of 4,000 digits", 422, "out_of_range", "valid_for", valid_for=10**4000),
    bad.raw(
        "validity is infinite",
        422,
        "out_of_range",
        b"{" + bad.GOOD + b',"valid_for":1e999}',
        "valid_for",
    ),
    bad.message("no segment allowed", 422, "out_of_range", "max_segments", max_segments=0),
    bad.message("six segments allowed", 422, "out_of_range", "max_segments", max_segments=6),
    bad.message(
        "more segments than allowed",
        422,
        "over_max_segments",
        "max_segments",
        text="a" * 161,
        max_segments=1,
    ),
    bad.message("price is a number", 422, "wrong_type", "max_price", max_price=0.05),
    bad.message("price with a comma", 422, "invalid_amount", "max_price", max_price="0,05"),
    bad.message("price is negative", 422, "invalid_amount", "max_price", max_price="-1"),
    bad.message("price with an exponent", 422, "invalid_amount", "max_price", max_price="1e9"),
    bad.message("price of seven places", 422, "invalid_amount", "max_price", max_price="0.0000001"),
    bad.message("price is NaN", 422, "invalid_amount", "max_price", max_price="NaN"),
    bad.message("price of 5,000 digits", 422, "invalid_amount", "max_price", max_price="9" * 5000),
    bad.message("dearer than allowed", 422, "over_max_price", "max_price", max_price="0.0452"),
    bad.message("dry run is a word", 422, "wrong_type", "dry_run", dry_run="yes"),
    bad.message("dry run is one", 422, "wrong_type", "dry_run", dry_run=1),
    bad.message("dry run is refused", 422, "empty_text", "text", text="", dry_run=True),
    bad.message(
        "more than a line may ever send",
        422,
        "over_line_limit",
        "text",
        text="a" * 307,
        **{"from": "Narrow"},
    ),
)

MONEY = (
    bad.message("no money", 402, "insufficient_funds", None, "poor"),
    bad.message(
        "above the day's limit", 429, "daily_limit_reached", None, "capped", text="a" * 307
    ),
)

MEMBERS = (
    bad.message("unknown member", 422, "unknown_field", "message", message="hi"),
    bad.message("member in capitals", 422, "unknown_field", "To", To=bad.TO),
    bad.message("member of our inside", 422, "unknown_field", "sender", sender="Sluice"),
    bad.message("price given", 422, "unknown_field", "price", price="0.00"),
    bad.message("account given", 422, "unknown_field", "account_id", account_id=1),
    bad.message("status given", 422, "unknown_field", "status", status="delivered"),
    bad.message("id given", 422, "unknown_field", "id", id=bad.UNKNOWN_ID),
    bad.message("balance given", 422, "unknown_field", "balance", balance={"amount": "9"}),
    bad.message("member without a name", 422, "unknown_field", "", **{"": 1}),
    bad.message("member with a long name", 422, "unknown_field", "m" * 64, **{"m" * 5000: 1}),
    bad.raw("member twice", 400, "repeated_field", b"{" + bad.GOOD + b',"text":"ho"}', "text"),
    bad.raw(
        "member twice, once escaped",
        400,
        "repeated_field",
        b"{" + bad.GOOD + b',"t\\u006f":"+33612345679"}',
        "to",
    ),
    bad.raw(
        "member twice, the colon of a value escaped",
        400,
        "repeated_field",
        b'{"to":"+33612345678","text":"a\\u003ab","text":"c"}',
        "text",
    ),
    bad.raw(
        "member twice, beside a time without its colon",
        400,
        "repeated_field",
        b"{" + bad.GOOD + b',"to":"+33612345679","send_at":"2031-01-01T00:00:00+0100"}',
        "to",
    ),
)

ALL = (*RECIPIENTS, *TEXTS, *SENDERS, *OPTIONS, *MONEY, *MEMBERS)
