"""A workitem: the JSON that walks through a process, and comfortable access to its fields.

Whatever a workitem holds that nobody here knows of is kept as it came. The names are those that
participants of the field use.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DictAttrProxy", "FlowExpressionId", "Workitem"]


class DictAttrProxy(MutableMapping[str, Any]):
    """A dictionary whose keys are attributes too; a key that is not there reads as None.

    A view, not a copy: changes go to the dictionary that it was made of.
    """

    _content: dict[str, Any]

    def __init__(self, content: dict[str, Any] | None = None) -> None:
        object.__setattr__(self, "_content", {} if content is None else content)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            # Python's own protocols (copy, pickle) ask for such names and must hear that they are absent,
            # but for those that the engine's fields have.
            if name in self._content:
                return _wrapped(self._content[name])
            raise AttributeError(name)
        return _wrapped(self._content.get(name))

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        self._content.pop(name, None)

    def __getitem__(self, name: str) -> Any:
        return _wrapped(self._content[name])

    def __setitem__(self, name: str, value: Any) -> None:
        self._content[name] = value.as_dict() if isinstance(value, DictAttrProxy) else value

    def __delitem__(self, name: str) -> None:
        del self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return f"DictAttrProxy({self._content!r})"

    def as_dict(self) -> dict[str, Any]:
        """The dictionary itself."""
        return self._content


def _wrapped(value: Any) -> Any:
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


class Workitem:
    """One workitem. Raises ValueError for text that is not a JSON object."""

    def __init__(self, content: str | bytes | Mapping[str, Any]) -> None:
        if isinstance(content, Mapping):
            decoded: Any = copy.deepcopy(dict(content))
        else:
            decoded = json.loads(content)
        if not isinstance(decoded, dict):
            raise ValueError(f"a workitem is a JSON object, not {type(decoded).__name__}")
        self._content: dict[str, Any] = decoded

    @property
    def fields(self) -> DictAttrProxy:
        """The fields, made when the workitem has none."""
        if not isinstance(self._content.get("fields"), dict):
            self._content["fields"] = {}
        return DictAttrProxy(self._content["fields"])

    @property
    def params(self) -> DictAttrProxy:
        """The attributes of the step in the process definition."""
        params = self.fields.as_dict().get("params")
        return DictAttrProxy(params if isinstance(params, dict) else {})

    @property
    def result(self) -> Any:
        """What the process looks at after the step."""
        return self.fields.as_dict().get("__result__")

    @result.setter
    def result(self, value: Any) -> None:
        self.fields.as_dict()["__result__"] = value

    @property
    def forget(self) -> bool:
        """Whether the engine went on already and wants no reply."""
        return bool(self.params.as_dict().get("forget"))

    @property
    def fei(self) -> FlowExpressionId:
        """The step's identity; empty where the workitem has none that can be read."""
        raw = self._content.get("fei")
        fei = raw if isinstance(raw, dict) else {}
        return FlowExpressionId(*(str(fei.get(key) or "") for key in ("wfid", "subid", "expid", "engine_id")))

    @property
    def wfid(self) -> str:
        """The process' identity."""
        return self.fei.wfid

    @property
    def participant_name(self) -> str:
        """The name by which the process called."""
        return str(self._content.get("participant_name") or "")

    @property
    def error(self) -> Any:
        """The error that the reply tells the engine, or None."""
        return self._content.get("error")

    @error.setter
    def error(self, value: Any) -> None:
        self._content["error"] = value

    def lookup(self, path: str) -> Any:
        """The field at a dotted path, or None."""
        found: Any = self.fields.as_dict()
        for part in path.split("."):
            if isinstance(found, dict):
                found = found.get(part)
            elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            else:
                return None
        return _wrapped(found)

    def set_field(self, path: str, value: Any) -> None:
        """Set the field at a dotted path; dictionaries on the way are made."""
        *parents, last = path.split(".")
        place = self.fields.as_dict()
        for part in parents:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = value.as_dict() if isinstance(value, DictAttrProxy) else value

    def to_h(self) -> dict[str, Any]:
        """The whole workitem as a dictionary (not a copy)."""
        return self._content

    def dump(self) -> str:
        """The whole workitem as JSON text."""
        return json.dumps(self._content, ensure_ascii=False)

    def dup(self) -> Workitem:
        """A deep copy."""
        return Workitem(self._content)
