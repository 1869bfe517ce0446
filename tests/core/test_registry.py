"""The registry: order, refusal of duplicates, near names."""

from __future__ import annotations

import pytest

from oct_core.errors import OctError, UnknownNameError
from oct_core.registry import Registry


@pytest.fixture
def fruits() -> Registry[int]:
    registry: Registry[int] = Registry("fruit")
    for number, name in enumerate(("pear", "apple", "plum")):
        assert registry.add(name, number) == number
    return registry


def test_keeps_the_order_of_registration(fruits: Registry[int]) -> None:
    assert list(fruits) == ["pear", "apple", "plum"]
    assert len(fruits) == 3
    assert "apple" in fruits and "nut" not in fruits and 3 not in fruits
    assert fruits.get("plum") == 2


def test_refuses_a_name_twice_and_keeps_the_first(fruits: Registry[int]) -> None:
    with pytest.raises(ValueError, match="fruit 'apple' is registered twice"):
        fruits.add("apple", 9)
    assert fruits.get("apple") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("aple", "no fruit is called 'aple'; did you mean apple?"),
        ("xyz", "no fruit is called 'xyz'; there are: pear, apple, plum"),
        ("", "there are: pear, apple, plum"),
    ],
)
def test_an_unknown_name_gets_the_near_ones_or_all(
    fruits: Registry[int], name: str, message: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        fruits.get(name)
    assert message in str(caught.value)
    assert isinstance(caught.value, OctError)
