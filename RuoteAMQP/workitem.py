# SPDX-License-Identifier: GPL-2.0-or-later
"""A workitem: the JSON that walks through a process, and comfortable access to its fields.

Whatever a workitem holds that nobody here knows of is kept as it came: order of keys, unusual Unicode, and
numbers that a float cannot hold (they are read as Decimal). What the engine would drop is never written: NaN is
refused, and an error always gets a shape that the engine survives. The names are those that participants of the
field use.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from RuoteAMQP import wire
from RuoteAMQP.journal import step_name
from RuoteAMQP.proxy import DictAttrProxy, FlowExpressionId, wrapped

__all__ = ["DictAttrProxy", "FlowExpressionId", "Workitem", "remote_error"]

# Any other class name could be unknown to the engine, which then drops the reply: the process would hang for ever.
_RUBY_CLASSES = frozenset(("RuntimeError", "StandardError", "ArgumentError", "IOError", "TypeError"))


class Workitem:
    """One workitem. Raises ValueError for text that is not a JSON object."""

    def __init__(self, content: str | bytes | Mapping[str, Any]) -> None:
        if isinstance(content, DictAttrProxy):
            content = content.as_dict()
        decoded = copy.deepcopy(dict(content)) if isinstance(content, Mapping) else wire.decode(content)
        if not isinstance(decoded, dict):
            raise ValueError(f"a workitem is a JSON object, not {type(decoded).__name__}")
        self._content: dict[str, Any] = decoded

    @property
    def fields(self) -> DictAttrProxy:
        """The fields, made when the workitem has none."""
        if not isinstance(self._content.get("fields"), dict):
            self._content["fields"] = {}
        return DictAttrProxy(self._content["fields"])

    @fields.setter
    def fields(self, value: Mapping[str, Any]) -> None:
        self._content["fields"] = value.as_dict() if isinstance(value, DictAttrProxy) else dict(value)

    @property
    def params(self) -> DictAttrProxy:
        """The attributes of the step in the process definition."""
        fields = self._content.get("fields")
        params = fields.get("params") if isinstance(fields, dict) else None
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
        """Whether no reply is wanted. A handler that answers later itself sets it on what it was given."""
        return bool(self.params.as_dict().get("forget"))

    @forget.setter
    def forget(self, value: bool) -> None:
        fields = self.fields.as_dict()
        if not isinstance(fields.get("params"), dict):
            fields["params"] = {}
        fields["params"]["forget"] = value

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
    def sid(self) -> str:
        """The step's identity as the engine's storage writes it."""
        return self.fei.to_storage_id()

    @property
    def step(self) -> str:
        """What recognises the step when it comes again (`wfid!subid!expid`); "" where the engine named none."""
        fei = self.fei
        return step_name(fei.wfid, fei.subid, fei.expid)

    @property
    def participant_name(self) -> str:
        """The name by which the process called."""
        return str(self._content.get("participant_name") or "")

    @property
    def wf_name(self) -> str:
        """The name of the process definition."""
        return str(self._content.get("wf_name") or "")

    @property
    def dispatched_at(self) -> Any:
        """When the engine sent the workitem."""
        return self.lookup("dispatched_at")

    @property
    def timed_out(self) -> Any:
        """What tells that an earlier step timed out, or None."""
        fields = self._content.get("fields")
        return wrapped(fields.get("__timed_out__")) if isinstance(fields, dict) else None

    @property
    def is_cancel(self) -> bool:
        """Whether this is no workitem but the engine's word that a step is cancelled (it has no fields)."""
        return bool(self._content.get("cancel")) and "fields" not in self._content

    @property
    def error(self) -> Any:
        """The error that the reply tells the engine, or None. Set a text, an exception or a dictionary."""
        return self._content.get("error")

    @error.setter
    def error(self, value: Any) -> None:
        if value is None:
            self._content.pop("error", None)
        else:
            self._content["error"] = remote_error(value, trace=self._content.get("trace"))

    @property
    def trace(self) -> Any:
        """The lines that say where the error arose, or None."""
        error = self._content.get("error")
        return error.get("trace") if isinstance(error, dict) else self._content.get("trace")

    @trace.setter
    def trace(self, value: Iterable[str]) -> None:
        if self._content.get("error") is None:
            self._content["trace"] = _lines(value)
        else:
            self._content["error"] = {**remote_error(self._content["error"]), "trace": _lines(value)}

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
        return wrapped(found)

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
        """The whole workitem as JSON text. Raises ValueError or TypeError for what JSON cannot hold."""
        return wire.dumps(self._content)

    def encode(self) -> bytes:
        """The whole workitem as a message's body, the error in a shape that the engine survives."""
        content = self._content
        if content.get("error") is not None:
            content = {**content, "error": remote_error(content["error"], trace=content.get("trace"))}
        return wire.encode(content)

    def dup(self) -> Workitem:
        """A deep copy."""
        return Workitem(self._content)


def remote_error(value: Any, trace: Any = None) -> dict[str, Any]:
    """An error as the engine survives it, made of a text, an exception, or a dictionary of whatever shape."""
    if isinstance(value, BaseException):
        # What was added to the exception (PEP 678) belongs to it: all mistakes of a file, for example.
        told = "\n".join((f"{type(value).__name__}: {value}".removesuffix(": "), *getattr(value, "__notes__", ())))
        return {"class": "RuntimeError", "message": told, "trace": wire.ruby_trace(value) or _lines(trace)}
    if isinstance(value, Mapping):
        kind: Any = value.get("class")
        message: Any = value.get("message")
        if message is None:
            message = json.dumps(dict(value), default=str)
        elif isinstance(kind, str) and kind and kind not in _RUBY_CLASSES and "Remote" not in kind:
            # The class would be lost otherwise.
            message = f"{kind}: {message}"
        return {
            **value,
            "class": kind if isinstance(kind, str) and kind in _RUBY_CLASSES else "RuntimeError",
            "message": str(message),
            "trace": _lines(value.get("trace") or trace),
        }
    return {"class": "RuntimeError", "message": str(value), "trace": _lines(trace)}


def _lines(trace: Any) -> list[str]:
    if trace is None:
        return []
    if isinstance(trace, str):
        return trace.splitlines()
    return [str(line) for line in trace] if isinstance(trace, Iterable) else [str(trace)]
