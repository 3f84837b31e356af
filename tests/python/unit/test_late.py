"""What is made at first use is held against the standard library's, class by class."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from typing import Any, ClassVar

import pytest

from gitops_rollback import late
from unit.test_architecture import MODULES

MANY = 30  # objects: by then the `__init__` of a class is compiled
HEAVY = {"cli", "__main__"}  # what leaves when it is imported
NAMES = [f"gitops_rollback.{name.replace('/', '.')}" for name in MODULES if name not in HEAVY]


def all_of(kind: type) -> list[Any]:
    """Every object of a kind at the top of any module, once."""
    modules = [importlib.import_module(name.removesuffix(".__init__")) for name in NAMES]
    found = {id(value): value for module in modules for value in vars(module).values()}
    return [value for value in found.values() if isinstance(value, kind)]


CLASSES = [one for one in all_of(type) if "__made__" in vars(one)]


def standard(cls: type) -> type:
    """The same class as the standard library makes it."""
    made = cls.__dict__["__made__"]
    body = {
        name: value
        for name, value in vars(cls).items()
        if inspect.isfunction(value) or isinstance(value, property)
        if name not in ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")
    }
    fields = [(name, Any, late.standard_field(one)) for name, one in made.fields.items()]
    for _name, _type, field in fields:
        field.kw_only = False
    return dataclasses.make_dataclass(
        cls.__name__, fields, namespace=body, frozen=made.frozen, bases=()
    )


def some(cls: type, number: int) -> list[object]:
    return [(number, name) for name in cls.__dict__["__made__"].fields]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_a_class_is_what_the_standard_library_makes_of_it(kind: type) -> None:
    cls: Any = kind
    judge: Any = standard(kind)
    one, other = cls(*some(cls, 1)), cls(*some(cls, 2))
    same = [cls(*some(cls, 1)) for _ in range(MANY)][-1]
    judged, equal, unequal = judge(*some(cls, 1)), judge(*some(cls, 1)), judge(*some(cls, 2))
    assert inspect.signature(cls.__init__).parameters.keys() == (
        inspect.signature(judge.__init__).parameters.keys()
    )
    assert cls.__match_args__ == judge.__match_args__
    if cls.__repr__ is Base.__repr__:
        assert repr(one).rpartition(".")[2] == repr(judged).rpartition(".")[2]
    assert (one == same, one == other, one == judged) == (judged == equal, judged == unequal, False)
    assert (cls.__hash__ is None) == (judge.__hash__ is None)
    if cls.__hash__ is not None:
        assert hash(one) == hash(same)
    name = next(iter(cls.__match_args__), "nothing")
    for value in (one, judged):
        frozen = cls.__dict__["__made__"].frozen
        if frozen:
            with pytest.raises(AttributeError):
                setattr(value, name, 0)
            with pytest.raises(AttributeError):
                delattr(value, name)
        elif cls.__match_args__:
            setattr(value, name, 0)
            assert getattr(value, name) == 0


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_defaults_are_those_that_the_class_gives(kind: type) -> None:
    cls: Any = kind
    judge: Any = standard(kind)
    needed = [
        (1, name)
        for name, one in inspect.signature(judge.__init__).parameters.items()
        if one.default is inspect.Parameter.empty and name != "self"
    ]
    given, judged = cls(*needed), judge(*needed)
    for name in cls.__match_args__:
        assert getattr(given, name) == getattr(judged, name)
    with pytest.raises(TypeError):
        cls(*some(cls, 1), "one too many")
    with pytest.raises(TypeError):
        cls(*needed, unknown=1)


def test_every_class_of_the_package_was_held_against_it() -> None:
    assert len(CLASSES) > 200


@late.dataclass(frozen=True)
class Base:
    shared: ClassVar[int] = 7
    a: int
    b: list[int] = late.field(default_factory=list)
    c: int = late.field(default=3, repr=False, compare=False)


@late.dataclass(frozen=True)
class Derived(Base):
    d: str = "x"


@late.dataclass
class Open:
    a: int
    more: dict[str, int] = late.field(default_factory=dict)


def test_a_derived_class_has_the_attributes_of_its_base_first() -> None:
    assert Derived.__match_args__ == ("a", "b", "c", "d")
    assert repr(Derived(1, d="y")) == "Derived(a=1, b=[], d='y')"


def test_an_object_is_the_same_whether_its_init_is_compiled_or_not() -> None:
    @late.dataclass(frozen=True)
    class Fresh(Base):
        d: str | None = "x"

    made = [Fresh(1, c=4, d=None) for _ in range(MANY)]
    assert [vars(one) for one in made] == [{"a": 1, "b": [], "c": 4, "d": None}] * MANY
    assert len({id(one.b) for one in made}) == MANY
    assert inspect.signature(Fresh).parameters.keys() == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("given", "named", "why"),
    [
        ((), {}, "missing 1 required positional argument: 'a'"),
        ((1, 2), {"a": 1}, "multiple values for argument 'a'"),
        ((1, 2, 3, 4), {}, "takes from 2 to 4 positional arguments but 5 were given"),
        ((1,), {"e": 1}, "unexpected keyword argument 'e'"),
    ],
)
def test_the_first_object_is_refused_as_any_other(
    given: tuple[int, ...], named: dict[str, int], why: str
) -> None:
    @late.dataclass(frozen=True)
    class Fresh(Base):
        pass

    made: Any = Fresh
    for _ in range(2):
        with pytest.raises(TypeError, match=why):
            made(*given, **named)


def test_a_factory_makes_each_object_its_own() -> None:
    first, second = Open(1), Open(1)
    first.more["x"] = 1
    assert (first.more, second.more) == ({"x": 1}, {})


def test_what_is_not_compared_makes_no_difference_and_types_do() -> None:
    assert Base(1, c=1) == Base(1, c=2)
    assert Base(1) != Derived(1)
    assert Base(1) != Open(1)  # type: ignore[comparison-overlap]


def test_a_copy_has_other_values_where_they_are_given() -> None:
    assert late.replace(Derived(1, [2], 4), d="z") == Derived(1, [2], 4, "z")
    assert late.replace(Derived(1, c=9), a=2).c == 9
    with pytest.raises(TypeError):
        late.replace(Derived(1), e=1)  # type: ignore[call-arg]


def test_the_functions_of_the_standard_library_serve_these_classes() -> None:
    assert dataclasses.is_dataclass(Derived)
    assert [field.name for field in dataclasses.fields(Base)] == ["a", "b", "c"]
    assert dataclasses.replace(Base(1), a=2) == Base(2)
    assert dataclasses.asdict(Open(1, {"x": 2})) == {"a": 1, "more": {"x": 2}}


def test_patterns_match_by_position() -> None:
    match Derived(1, [2]):
        case Base(a, b):
            assert (a, b) == (1, [2])


def test_a_default_that_all_objects_would_share_is_refused() -> None:
    with pytest.raises(ValueError, match="all objects would share"):

        @late.dataclass
        class Shares:
            a: list[int] = []  # noqa: RUF012 - what is to be refused


def test_an_object_that_holds_itself_has_a_text() -> None:
    one = Open(1)
    one.more = {"me": one}  # type: ignore[dict-item]
    assert repr(one) == "Open(a=1, more={'me': ...})"


@pytest.mark.parametrize("one", all_of(type(late.regex(""))), ids=lambda one: one.pattern[:40])
def test_every_expression_compiles_and_is_what_it_says(one: re.Pattern[str]) -> None:
    text: Any = "" if isinstance(one.pattern, str) else b""
    judge = re.compile(one.pattern, one.flags)
    assert (one.search(text) is None) == (judge.search(text) is None)
    assert one.groups == judge.groups
    assert one.flags == judge.flags


def test_an_expression_that_is_none_fails_when_it_is_used() -> None:
    one = late.regex("(")
    with pytest.raises(re.error):
        one.match("x")


def test_nothing_is_made_by_an_import() -> None:
    """That is the point: neither `dataclasses`, nor an `__init__`, nor a compiled expression."""
    for name, path in MODULES.items():
        if name == "late":
            continue
        text = path.read_text(encoding="utf-8")
        assert "dataclasses" not in text, f"{name}: import dataclass, field, replace from late"
        at_import = re.findall(r"^(?!    ).*re\.compile\(", text, re.MULTILINE)
        assert at_import == [], f"{name}: take regex from late"
