"""Texts that are not to be kept: each under a key of its own."""

from __future__ import annotations

import pytest

from shared.access.keys import Keys
from shared.access.seals import SALT_BYTES, Sealed, Seals
from shared.access.vault import NotReadable

OLD, NEW = "an old key of the platform and long enough", "a new key of the platform and long enough"
TEXT = "Votre code est 471 123 ✅".encode()
ABOUT = b"a message"


def seals(*keys: str) -> Seals:
    return Seals(Keys.read(",".join(keys)))


def test_a_text_is_read_again_by_whoever_has_the_key_and_the_row() -> None:
    # Given a text that was sealed
    sealed = seals(OLD).seal(TEXT, ABOUT)

    # Then nothing of it is to be seen, and the key and the row open it, also in one piece
    assert TEXT not in sealed.packed
    assert b"471" not in sealed.packed
    assert seals(OLD).open(sealed, ABOUT) == TEXT
    assert seals(OLD).open(Sealed.unpacked(sealed.packed), ABOUT) == TEXT
    assert "471" not in repr(sealed)


def test_two_texts_never_have_one_key() -> None:
    one, other = (seals(OLD).seal(TEXT, ABOUT) for _ in range(2))

    assert one.salt != other.salt
    assert one.octets != other.octets
    with pytest.raises(NotReadable):
        seals(OLD).open(one._replace(salt=other.salt), ABOUT)


@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_text_that_was_changed_is_not_read(place: int) -> None:
    sealed = seals(OLD).seal(TEXT, ABOUT)
    changed = bytearray(sealed.octets)
    changed[place] ^= 1

    with pytest.raises(NotReadable):
        seals(OLD).open(sealed._replace(octets=bytes(changed)), ABOUT)


def test_a_text_of_one_message_is_not_read_as_that_of_another() -> None:
    sealed = seals(OLD).seal(TEXT, ABOUT)

    with pytest.raises(NotReadable):
        seals(OLD).open(sealed, b"another message")


def test_without_its_salt_no_key_of_the_platform_opens_it() -> None:
    sealed = seals(OLD).seal(TEXT, ABOUT)

    with pytest.raises(NotReadable):
        seals(OLD).open(sealed._replace(salt=bytes(SALT_BYTES)), ABOUT)


def test_a_key_takes_anothers_place_while_texts_are_sealed() -> None:
    # Given a text sealed before the change
    sealed = seals(OLD).seal(TEXT, ABOUT)

    # Then it is read all along, and sealed by the new key once that signs
    assert seals(OLD, NEW).open(sealed, ABOUT) == TEXT
    assert seals(NEW, OLD).open(sealed, ABOUT) == TEXT
    assert seals(OLD, NEW).key_name == sealed.key_name != seals(NEW, OLD).key_name
    assert seals(NEW).open(seals(NEW, OLD).seal(TEXT, ABOUT), ABOUT) == TEXT

    # And no longer when the old key is gone
    with pytest.raises(NotReadable):
        seals(NEW).open(sealed, ABOUT)


def test_a_veiled_fingerprint_tells_the_same_from_another_to_whoever_has_the_key() -> None:
    fingerprint, other = bytes(16), b"another, as long"

    assert seals(OLD).veiled(fingerprint) == seals(OLD).veiled(fingerprint)
    assert seals(OLD).veiled(fingerprint) != seals(OLD).veiled(other)
    assert seals(OLD).veiled(fingerprint) != seals(NEW).veiled(fingerprint)
    assert len(seals(OLD).veiled(fingerprint)) == len(fingerprint)
