"""What the benchmark sends: distinct valid mobile numbers in four countries, short GSM texts."""

from __future__ import annotations

_TEXTS = (
    "Your parcel {0:06d} is on its way and will arrive between 9:00 and 12:00.",
    "{0:06d} is your sign-in code. It is valid for ten minutes; we never ask for it on the phone.",
    "Reminder: your appointment no. {0:06d} is tomorrow at 14:30. Reply STOP to cancel it.",
    "Invoice {0:06d} has been paid, thank you. The receipt is in your account under Documents.",
    "Table {0:06d} is booked for four at 19:15. Running late? Please give us a ring.",
    "Car {0:06d} is ready. You find the key at the desk until 18:00, and in the box after that.",
    "Order {0:06d} waits for you in the shop at the station; please bring this message.",
    "Water will be off in your street on Tuesday from 8 to 11 (notice {0:06d}). Sorry for that.",
)
_LOW_COUNT = 90_000
_STRIDE = 48_611
"""Coprime to _LOW_COUNT, so that neighbours differ in most digits and none comes twice."""


def recipient(index: int) -> str:
    """The number of message `index` (below 3,600,000): FR, DE, US and GB in turn.

    The last five digits are 10000 or more: smaller ones may be magic to the simulator.
    """
    place, country = divmod(index, 4)
    high, low = divmod(place, _LOW_COUNT)
    tail = f"{10_000 + low * _STRIDE % _LOW_COUNT}"
    match country:
        case 0:
            return f"+336{120 + high}{tail}"
        case 1:
            return f"+49151{123 + high}{tail}"
        case 2:
            return f"+1415{20 + high}{tail}"
        case _:
            return f"+447{400 + high}0{tail}"


def text(index: int) -> str:
    """The text of message `index`: one segment in the GSM alphabet, 60 to 120 characters."""
    return _TEXTS[index % len(_TEXTS)].format(index % 1_000_000)


def sender(number: int) -> str:
    """What line `number` of an account shows to phones."""
    return f"L{number:06d}"
