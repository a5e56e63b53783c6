from __future__ import annotations

import pytest

from animate3d.errors import InputError
from animate3d.studio import api


def test_names_are_unique() -> None:
    with pytest.raises(ValueError, match="Module no-material already exists! Names of extensions conflict!"):
        api.register("no-material")(object)


def test_unknown_names_list_near_ones() -> None:
    with pytest.raises(KeyError) as caught:
        api.find("no-materiel")
    assert isinstance(caught.value, InputError)
    assert str(caught.value) == "Nothing is registered as 'no-materiel' (near: no-material)."
    with pytest.raises(KeyError, match="component type is empty"):
        api.find("")


def test_mixins_come_first_in_the_resolution_order() -> None:
    mixed = api.find("no-material:solid-color-background")
    assert [mixed.__name__, mixed.__mro__[1].__name__, mixed.__mro__[2].__name__] == [
        "no-material.solid-color-background",
        "SolidColorBackground",
        "BaseBackground",
    ]
