# SPDX-License-Identifier: GPL-2.0-or-later
"""Attribute access to nested dictionaries, and the identity of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DictAttrProxy", "FlowExpressionId", "wrapped"]


class DictAttrProxy(MutableMapping[str, Any]):
    """A dictionary whose keys are attributes too; a key that is not there reads as None.

    A view, not a copy: changes go to the dictionary that it was made of. Where a key has the name of a dictionary's
    method (`items`, `values`, …), the attribute is what the key holds; `as_dict()` has the methods always.
    """

    _content: dict[str, Any]

    def __init__(self, content: dict[str, Any] | None = None) -> None:
        object.__setattr__(self, "_content", {} if content is None else content)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            # Python's own protocols (copy, pickle) ask for such names and must hear that they are absent,
            # but for those that the engine's fields have.
            if name in self.__dict__.get("_content", {}):
                return wrapped(self._content[name])
            raise AttributeError(name)
        return wrapped(self._content.get(name))

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        self._content.pop(name, None)

    def __getitem__(self, name: str) -> Any:
        return wrapped(self._content[name])

    def __setitem__(self, name: str, value: Any) -> None:
        self._content[name] = value.as_dict() if isinstance(value, DictAttrProxy) else value

    def __delitem__(self, name: str) -> None:
        del self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __eq__(self, other: object) -> bool:
        return self._content == (other._content if isinstance(other, DictAttrProxy) else other)

    __hash__ = None  # type: ignore[assignment]  # like a dictionary: what changes has no hash

    def __repr__(self) -> str:
        return f"DictAttrProxy({self._content!r})"

    def __copy__(self) -> DictAttrProxy:
        return DictAttrProxy(dict(self._content))

    def as_dict(self) -> dict[str, Any]:
        """The dictionary itself."""
        return self._content


class _KeyFirst:
    """A method of dictionaries that gives way to a key of its name."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def __get__(self, owner: DictAttrProxy | None, _: type | None = None) -> Any:
        if owner is None:
            return self._method
        name = self._method.__name__
        if name in owner._content:
            return wrapped(owner._content[name])
        return self._method.__get__(owner)


for _name in ("get", "keys", "items", "values", "pop", "popitem", "clear", "update", "setdefault"):
    setattr(DictAttrProxy, _name, _KeyFirst(getattr(MutableMapping, _name)))


def wrapped(value: Any) -> Any:
    """A dictionary as a proxy, everything else as it is."""
    return DictAttrProxy(value) if isinstance(value, dict) else value


@dataclass(frozen=True)
class FlowExpressionId:
    """Which step of which process: `wfid` names the process, `expid` the step, `subid` this run of it."""

    wfid: str = ""
    subid: str = ""
    expid: str = ""
    engine_id: str = ""

    def __str__(self) -> str:
        return f"{self.wfid}!{self.subid}!{self.expid}"

    def __getitem__(self, key: str) -> str:
        """Access by key, which the first client had."""
        if key not in ("wfid", "subid", "expid", "engine_id"):
            raise KeyError(key)
        return str(getattr(self, key))

    def to_storage_id(self) -> str:
        """The identity as the engine's storage writes it."""
        return f"{self.expid}!{self.subid}!{self.wfid}"
