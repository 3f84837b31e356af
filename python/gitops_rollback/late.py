"""What is made when it is first used, not when its module is imported.

The command starts anew for each step of a build, and a run uses a part of what it imports. Making
all classes of values and all regular expressions at import took nearly two thirds of the time until
the first byte was read: `dataclasses` compiles six functions for each class, and imports what it
compiles them with. Here a class gets functions that all classes share, and its `__init__` is
compiled where more than a few objects are made; an expression is compiled for its first text.

To type checkers these are the standard library's own, and tests hold them against those.
"""

from __future__ import annotations

import re
from functools import cached_property
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FrozenError", "dataclass", "field", "regex", "replace"]

T = TypeVar("T")
_NONE = object()  # no default; None is one
_FEW = 20  # objects of a class: to fill these takes as long as to compile its `__init__`
_set = object.__setattr__  # what a frozen object is filled by
_SHARED = {
    False: ("__repr__", "__eq__"),
    True: ("__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"),
}


class FrozenError(AttributeError):
    """Raised where an attribute of a frozen object is set or deleted."""


class _Field:
    """What `field` says of an attribute."""

    def __init__(
        self,
        *,
        default: object = _NONE,
        default_factory: Callable[[], object] | None = None,
        repr: bool = True,  # noqa: A002 - the same
        hash: bool | None = None,  # noqa: A002 - the same
        compare: bool = True,
    ) -> None:
        self.name = ""
        self.default = default
        self.factory = default_factory
        self.is_shown = repr
        self.is_compared = compare
        self.is_hashed = compare if hash is None else hash


class _Made:
    """What the functions that all classes share have to know of one."""

    def __init__(self, fields: dict[str, _Field], *, frozen: bool) -> None:
        self.fields = fields
        self.frozen = frozen

    @cached_property
    def shown(self) -> list[str]:
        return [name for name, one in self.fields.items() if one.is_shown]

    @cached_property
    def compared(self) -> Callable[[object], object]:
        return _getter([name for name, one in self.fields.items() if one.is_compared])

    @cached_property
    def hashed(self) -> Callable[[object], object]:
        return _getter([name for name, one in self.fields.items() if one.is_hashed])


class _Methods:
    """The methods that all classes share, as `dataclasses` would make them for each."""

    __made__: _Made

    @recursive_repr()
    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__made__.shown)
        return f"{self.__class__.__qualname__}({values})"

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self.__made__.compared(self) == self.__made__.compared(other)

    def __hash__(self) -> int:
        return hash(self.__made__.hashed(self))

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenError(f"cannot assign to {name} of a {type(self).__name__}")

    def __delattr__(self, name: str) -> None:
        raise FrozenError(f"cannot delete {name} of a {type(self).__name__}")


class _StandardFields:
    """Gives what `dataclasses` looks for, so that its functions serve these classes, too."""

    def __get__(self, instance: object, owner: type) -> dict[str, Any]:
        import dataclasses  # noqa: PLC0415 - for debuggers and tests; no run of the command needs it

        made = dataclasses.make_dataclass(
            owner.__name__,
            [(name, Any, standard_field(one)) for name, one in _fields(owner).items()],
        )
        return made.__dataclass_fields__  # type: ignore[attr-defined, no-any-return]


def _dataclass(cls: type[T] | None = None, *, frozen: bool = False) -> Any:  # noqa: ANN401 - either
    """Make a class of values of a class that lists them, as `dataclasses.dataclass` does."""
    if cls is None:
        return lambda decorated: _dataclass(decorated, frozen=frozen)
    fields = {**_inherited(cls), **_own(cls)}
    given: dict[str, object] = {name: _Methods.__dict__[name] for name in _SHARED[frozen]}
    given["__made__"] = _Made(fields, frozen=frozen)
    given["__dataclass_fields__"] = _StandardFields()
    given["__match_args__"] = tuple(fields)
    given["__init__"] = _first(cls, fields)
    for name, value in given.items():
        if name not in cls.__dict__:
            setattr(cls, name, value)
    if not frozen:  # equal by what may change, so no key of a dictionary
        cls.__hash__ = None  # type: ignore[assignment]
    return cls


def _inherited(cls: type) -> dict[str, _Field]:
    found: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        if "__made__" in base.__dict__:
            found.update(base.__dict__["__made__"].fields)
    return found


def _own(cls: type) -> dict[str, _Field]:
    found: dict[str, _Field] = {}
    for name, annotation in cls.__annotations__.items():
        if annotation.startswith("ClassVar"):
            continue
        given = getattr(cls, name, _NONE)
        one = given if isinstance(given, _Field) else _Field(default=given)
        one.name = name
        if one.default.__class__.__hash__ is None:
            raise ValueError(f"{cls.__name__}.{name}: all objects would share {one.default!r}")
        if one.default is not _NONE:
            setattr(cls, name, one.default)
        elif given is not _NONE:
            delattr(cls, name)
        found[name] = one
    return found


def _first(cls: type, fields: dict[str, _Field]) -> Callable[..., None]:
    """Return the `__init__` for the first objects; where more come it compiles that of all."""
    left = _FEW

    def first(self: object, *arguments: object, **named: object) -> None:
        nonlocal left
        left -= 1
        if left < 0 or not _is_filled(self, fields, arguments, named):
            made = _compiled(cls)
            cls.__init__ = made  # type: ignore[misc]
            made(self, *arguments, **named)

    return first


def _is_filled(
    new: object,
    fields: dict[str, _Field],
    arguments: tuple[object, ...],
    named: dict[str, object],
) -> bool:
    """Fill a new object; False where that cannot be: what is compiled says why."""
    values = {**dict(zip(fields, arguments, strict=False)), **named}
    if len(values) < len(arguments) + len(named) or not values.keys() <= fields.keys():
        return False
    for name, one in fields.items():
        value = values.get(name, one.default)
        if value is _NONE:
            if one.factory is None:
                return False
            value = one.factory()
        _set(new, name, value)
    return True


def _compiled(cls: type) -> Callable[..., None]:
    made: _Made = cls.__dict__["__made__"]
    names: dict[str, object] = {"_set": _set, "_none": _NONE}
    parameters, lines = [], []
    for name, one in made.fields.items():
        value = name
        if one.factory is not None:
            names[f"_make_{name}"] = one.factory
            value = f"_make_{name}() if {name} is _none else {name}"
            parameters.append(f"{name}=_none")
        elif one.default is not _NONE:
            names[f"_default_{name}"] = one.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        lines.append(f"_set(self, {name!r}, {value})" if made.frozen else f"self.{name} = {value}")
    body = "\n    ".join(lines or ["pass"])
    source = f"def __init__(self, {', '.join(parameters)}):\n    {body}\n"
    exec(source, names)  # noqa: S102 - of names in our own source, as `dataclasses` does
    function: Any = names["__init__"]
    function.__qualname__ = f"{cls.__qualname__}.__init__"
    return function  # type: ignore[no-any-return]


def _getter(names: list[str]) -> Callable[[object], object]:
    return attrgetter(*names) if names else lambda _value: ()


def _fields(owner: type) -> dict[str, _Field]:
    made: _Made = owner.__made__  # type: ignore[attr-defined]
    return made.fields


def standard_field(one: _Field) -> Any:  # noqa: ANN401 - typed for classes alone
    """Return the standard library's own of what `field` says."""
    import dataclasses  # noqa: PLC0415 - as above

    default = dataclasses.MISSING if one.default is _NONE else one.default
    factory = dataclasses.MISSING if one.factory is None else one.factory
    return dataclasses.field(  # type: ignore[call-overload]
        default=default, default_factory=factory, repr=one.is_shown, compare=one.is_compared,
        hash=one.is_hashed, kw_only=True,
    )  # fmt: skip


def _replace(value: T, /, **changes: object) -> T:
    """Return a copy of an object with other values for some of its attributes."""
    for name in _fields(type(value)):
        changes.setdefault(name, getattr(value, name))
    return type(value)(**changes)


class _Regex:
    """A regular expression that is compiled for the first text that it is held against."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what re.Pattern has
        if name.startswith("__"):
            raise AttributeError(name)
        compiled = re.compile(self.pattern, self._flags)
        # From now on these are found without coming here.
        for method in ("match", "fullmatch", "search", "sub", "split", "findall", "finditer"):
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
    from re import compile as regex
else:
    dataclass, field, replace, regex = _dataclass, _Field, _replace, _Regex
