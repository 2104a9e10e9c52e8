"""Parameters that users give flat and steps take in groups: no two groups share a name.

Not here: the groups (`hapdask.config.astrodrizzle`, `hapdask.config.tweakreg`) and their fields
(`hapdask.config.fields`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Self, get_type_hints


class Grouped:
    """A dataclass whose every field is a group: a dataclass of parameters."""

    __slots__ = ()

    @classmethod
    @cache
    def groups(cls) -> dict[str, type[Any]]:
        """Give the groups by their names, in order."""
        return get_type_hints(cls)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Give the names of all parameters, group by group."""
        return tuple(name for kind in cls.groups().values() for name in _names(kind))

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> Self:
        """Make the groups from flat names, which must all be among `names`.

        Raises
        ------
        ParameterError
            If a value is impossible.
        """
        return cls(
            **{
                group: kind(**{name: values[name] for name in _names(kind) if name in values})
                for group, kind in cls.groups().items()
            }
        )

    def values(self) -> dict[str, Any]:
        """Give every value by its name, in the order of the groups."""
        groups = (getattr(self, group) for group in self.groups())
        return {name: getattr(group, name) for group in groups for name in _names(type(group))}


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))
