"""What phones answer: never the name of a message of their own."""

from __future__ import annotations

from services.simulator import options, rumours


def test_a_forged_receipt_names_what_another_phone_got() -> None:
    # Given phones that answer each part of what they get, of two parts each
    heard = rumours.Rumours(options.Options(inbound_share=1.0, seed=1))
    said = [
        (phone, heard.of_phone(f"+3361234{phone:04}", f"{phone:03}-{part}"))
        for phone in range(200)
        for part in (1, 2)
    ]
    forged = [(phone, text) for phone, text in said if text.startswith("id:")]
    assert len(forged) > 20
    assert not [text for phone, text in forged if text.startswith(f"id:{phone:03}-")]
