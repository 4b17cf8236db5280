"""The movements of money there are: of each kind, from which book to which (law 5)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Book(StrEnum):
    """Whose money a wallet holds: an account's, or one of the platform's two for each currency."""

    CUSTOMER = "customer"
    REVENUE = "revenue"
    FUNDING = "funding"


class Kind(StrEnum):
    """Why money moves: a segment is accepted, is given back, or an operator puts money in."""

    DEBIT = "debit"
    REFUND = "refund"
    CREDIT = "credit"


ROADS: Mapping[Kind, tuple[Book, Book]] = {
    Kind.DEBIT: (Book.CUSTOMER, Book.REVENUE),
    Kind.REFUND: (Book.REVENUE, Book.CUSTOMER),
    Kind.CREDIT: (Book.FUNDING, Book.CUSTOMER),
}
"""Of each kind, the book it takes from and the book it gives to. There are no others."""
