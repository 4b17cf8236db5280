"""What a variable of the environment means and may hold, read off the class it is a field of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from msgspec import NODEFAULT, ValidationError, convert, inspect

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PREFIX = "SLUICE_"

_UNITS = {
    "_seconds": "seconds",
    "_ms": "milliseconds",
    "_share": "share of 1",
    "_port": "port",
}
"""Units that the end of a name tells; other numbers say theirs in `Meta(extra={"unit": ...})`."""
_NUMBERS = inspect.IntType | inspect.FloatType


class Variable(NamedTuple):
    """One variable. `takes` says what it may hold, as in "a whole number from 1 to 9 (seconds)";
    `default` and `example` are empty where the definition gives none."""

    name: str
    meaning: str
    takes: str
    unit: str
    default: str
    example: str
    is_required: bool


def of(kind: type, prefix: str = PREFIX) -> list[Variable]:
    """The variables that a struct or a dataclass is filled from, in the order of its fields."""
    described = inspect.type_info(kind)
    if not isinstance(described, inspect.StructType | inspect.DataclassType):
        raise TypeError(f"{kind.__name__} has no fields")
    return [_variable(field, prefix) for field in described.fields]


def out_of_range(filled: DataclassInstance) -> Iterator[tuple[str, str]]:
    """The fields of a filled dataclass that may not be what they are, each with what it takes."""
    hints = get_type_hints(type(filled), include_extras=True)
    for field, variable in zip(fields(filled), of(type(filled)), strict=True):
        try:
            convert(getattr(filled, field.name), hints[field.name])
        except ValidationError:
            yield field.name, variable.takes


def as_help(variables: Sequence[Variable]) -> str:
    """A list in Markdown, for the end of a command's help."""
    lines = ["Variables of the environment:", ""]
    for one in variables:
        rest = "Required." if one.is_required else f"Default: {one.default or 'none'}."
        lines.append(f"- **{one.name}**: {one.meaning} Takes {one.takes}. {rest}")
    return "\n".join(lines)


def _variable(field: inspect.Field, prefix: str) -> Variable:
    kind, schema, extra = _parts(field.type)
    example = str(schema.get("examples", [""])[0])
    unit = extra.get("unit", _unit_of(field.name)) if isinstance(kind, _NUMBERS) else ""
    expected = _expected(kind, example)
    return Variable(
        name=prefix + field.name.upper(),
        meaning=schema.get("description", ""),
        takes=f"{expected} ({unit})" if unit else expected,
        unit=unit,
        default=_shown(field.default),
        example=example,
        is_required=field.required,
    )


def _parts(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any], dict[str, Any]]:
    """A type without what is said about it; its schema; its extra."""
    schema: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata):
        schema |= kind.extra_json_schema or {}
        extra |= kind.extra or {}
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind, schema, extra


def _unit_of(name: str) -> str:
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


def _expected(kind: inspect.Type, example: str) -> str:
    match kind:
        case inspect.IntType():
            return "a whole number" + _range(kind)
        case inspect.FloatType():
            return "a number" + _range(kind)
        case inspect.BoolType():
            return "1 or 0"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values)
        case inspect.VarTupleType():
            return "values with commas between" + (f", such as {example}" if example else "")
        case _:
            return f"text such as {example}" if example else "text"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low, above, high = kind.ge, kind.gt, kind.le
    if above is not None:
        return f" above {above:,}" + (f", at most {high:,}" if high is not None else "")
    if low is not None and high is not None:
        return f" from {low:,} to {high:,}"
    if low is not None:
        return f" of at least {low:,}"
    return f" of at most {high:,}" if high is not None else ""


def _shown(default: object) -> str:
    if default is NODEFAULT or default is None:
        return ""
    if isinstance(default, bool):
        return str(int(default))
    if isinstance(default, tuple):
        return ",".join(str(one) for one in default)
    return str(default)
