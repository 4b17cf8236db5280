"""A text that is like no other, and where it is to be found, in whatever way it may be written."""

from __future__ import annotations

import base64
import mmap
import secrets
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg

LETTER_COUNT = 24


def make() -> str:
    """Letters that nobody else writes."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(LETTER_COUNT))


def forms(word: str) -> list[bytes]:
    """The word as octets: in UTF-8, in UTF-16 both ways, in packed septets and in base64 wherever
    it may begin in these, and each of those but the last in hexadecimal."""
    plain = word.encode()
    raw = [plain, word.encode("utf-16-be"), word.encode("utf-16-le"), *_packed(plain)]
    return [*raw, *(each.hex().encode() for each in raw), *_in_base64(plain)]


def _packed(septets: bytes) -> Iterator[bytes]:
    """GSM 7 bit packed (3GPP TS 23.038 §6.1.2.1), behind so many bits; what is shared with other
    characters is cut off. Letters are their own septets."""
    bits = sum(septet << (7 * place) for place, septet in enumerate(septets))
    for shift in range(8):
        octet_count = (7 * len(septets) + shift) // 8
        yield (bits << shift).to_bytes(octet_count + 1, "little")[bool(shift) : octet_count]


def _in_base64(plain: bytes) -> Iterator[bytes]:
    for shift in range(3):
        written = base64.b64encode(bytes(shift) + plain).rstrip(b"=")
        yield written[-(-4 * shift // 3) if shift else 0 : -2]


def in_files(folders: Sequence[Path], word: str) -> list[str]:
    """Names of files below these folders that hold the word in any form."""
    sought = forms(word)
    return [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and _is_in(path, sought)
    ]


def _is_in(path: Path, sought: Sequence[bytes]) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as seen:
            return any(seen.find(form) >= 0 for form in sought)
    except (FileNotFoundError, ValueError):
        # Gone meanwhile, or empty.
        return False


async def in_tables(connection: asyncpg.Connection, word: str) -> list[str]:
    """Tables with a row that holds the word in any form, as text or as octets."""
    sought = {form.decode() for form in forms(word) if form.isascii()}
    sought |= {form.hex() for form in forms(word)}
    patterns = [f"%{each}%" for each in sought if "\0" not in each]
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    )
    return [
        table
        for (table,) in tables
        if await connection.fetchval(
            f'SELECT EXISTS (SELECT FROM "{table}" t WHERE t::text LIKE ANY ($1))', patterns
        )
    ]
