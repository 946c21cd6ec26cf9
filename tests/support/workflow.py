# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a process' tree as ruote does, for the tests' engine: same ids, same fields, same places where it hangs.

A process is a tree of expressions that are applied and that reply; what each does happens one after the other, in
the order in which it was asked for. An application has a subid of its own, so that a repeated step is another step.
What ruote has and this does not is refused with a KeyError, never run as something else. So is a condition that
versions of ruote's parser read differently: only `X is [not] set` and `"X" [not] in ["A", "B"]` mean the same
everywhere.
"""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

__all__ = ["Expression", "Process", "World"]

Tree = list[Any]
Fields = dict[str, Any]

_COMMON = {"if", "unless", "forget", "lose", "flank", "timeout", "timers", "on_error", "on_cancel", "on_timeout"}
_DEFINITIONS = {"define", "process_definition", "workflow_definition"}
_COMMANDS = {"break", "stop", "over", "rewind", "continue", "reset", "skip", "back", "jump"}
# Of ruote, but not run here: not to be taken for participants.
_OTHERS = """
    add_branches apply as_soon_as await cron dec decrement every filter flank given inc increment let listen lose once
    pop read redo registerp reserve restore save stall that the undo unregisterp when
"""
_ENDLESS = 10_000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class WorkflowError(Exception):
    """What happens in a process: its class and message as the process sees them."""

    def __init__(self, message: str, kind: str = "RuntimeError", trace: Any = None) -> None:
        super().__init__(message)
        self.kind, self.trace = kind, trace


class World(Protocol):
    """What is around a process."""

    def queue_of(self, name: str) -> str | None:
        """The queue of the registered participant, None where there is none."""

    def deliver(self, queue: str, message: Fields, persistent: bool) -> None:
        """Send a message to a participant."""

    def registered_by(self, workitem: Fields) -> None:
        """Do what a step `boss_register` asks for."""

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something done after a time."""


class Process:
    """One process. `state` is running, ended, or failed (an error that nothing handles: it stays as it is)."""

    def __init__(self, world: World, wfid: str, tree: Tree, fields: Fields, variables: Fields) -> None:
        self.world, self.wfid = world, wfid
        self.state = "running"
        self.fields: Fields = {}
        self.error = ""
        self.expressions: dict[tuple[str, str], Expression] = {}
        self.name = _name_of(tree) or ""
        self._todo: deque[tuple[Callable[[], None], Expression | None, Fields]] = deque()
        workitem = {"fields": fields, "wf_name": self.name, "wf_revision": None}
        self.start(tree, workitem, "0", None, variables=dict(variables), launched=True)
        self.go_on()

    def start(
        self,
        tree: Tree,
        workitem: Fields,
        expid: str,
        parent: Expression | None,
        *,
        variables: Fields | None = None,
        subid: str = "",
        launched: bool = False,
        forgotten: bool = False,
    ) -> Expression:
        """Make an expression, and have it applied in its turn."""
        tree = copy.deepcopy(tree)
        name = tree[0]
        if launched and name in _DEFINITIONS:
            defined, tree = _reorganized(tree)
            if variables is not None and defined:
                variables[defined] = ["0", tree]
            kind: type[Expression] = _Sequence
        elif name in _KINDS:
            kind = _KINDS[name]
        elif name in _OTHERS.split():
            raise KeyError(f"the stand-in has no {name}")
        else:
            kind = _Reference
        made = kind(self, tree, copy.deepcopy(workitem), expid, subid or uuid.uuid4().hex, parent, variables)
        made.forgotten = forgotten
        self.expressions[made.subid, made.expid] = made
        self.put(made.do_apply, made, made.workitem)
        return made

    def put(self, what: Callable[[], None], of: Expression | None, workitem: Fields) -> None:
        """Do something in its turn; an error of it is one of that expression, with that workitem."""
        self._todo.append((what, of, workitem))

    def go_on(self) -> None:
        """Do what is to be done until the process waits for somebody, or is over."""
        for _ in range(_ENDLESS):
            if not self._todo:
                return
            what, of, workitem = self._todo.popleft()
            try:
                what()
            except WorkflowError as error:
                self._failed(of, workitem, error)
        # The engine would be busy with it for ever: for example with a step that is called like its process.
        self.state, self.error = "failed", "the process goes round and round"
        self._todo.clear()

    def receive(self, item: Fields) -> bool:
        """A step's reply, or error reply. False where nobody waits for it: it is ignored."""
        step = self.expressions.get((item["fei"].get("subid", ""), item["fei"].get("expid", "")))
        if not isinstance(step, _Reference) or step.queue is None:
            return False
        item = copy.deepcopy(item)
        error = item.pop("error", None)
        if error is not None:
            told = error if isinstance(error, dict) else {"class": "BOSS::RemoteError", "message": error}
            self._failed(step, item, WorkflowError(told["message"], told["class"], told.get("trace")))
        else:
            self.put(lambda: step.answered(item), step, item)
        self.go_on()
        return True

    def cancel(self) -> None:
        """Cancel the whole."""
        self.expressions[min(self.expressions, key=lambda key: len(key[1]))].do_cancel("")
        self.go_on()

    def waiting(self) -> list[str]:
        """The names of the steps that were sent out, or that nobody is registered for."""
        return [each.name for each in self.expressions.values() if isinstance(each, _Reference) and each.sent]

    def over(self, workitem: Fields) -> None:
        """The root has replied."""
        self.state, self.fields = "ended", workitem["fields"]

    def _failed(self, of: Expression | None, workitem: Fields, error: WorkflowError) -> None:
        told = {"class": error.kind, "message": str(error), "trace": error.trace, "tree": of.tree if of else None}
        handler = of.handled_by(told) if of and of.state != "failing" else None
        if handler is None:
            self.state, self.error = "failed", str(error)
            return
        workitem["fields"]["__error__"] = told
        self.put(lambda: handler.do_fail(workitem), handler, workitem)


class Expression:
    """One application of one branch of the tree."""

    def __init__(
        self,
        process: Process,
        tree: Tree,
        workitem: Fields,
        expid: str,
        subid: str,
        parent: Expression | None,
        variables: Fields | None,
    ) -> None:
        self.process, self.tree, self.workitem = process, tree, workitem
        self.expid, self.subid, self.parent, self.variables = expid, subid, parent, variables
        self.name: str = tree[0]
        self.attributes: Fields = tree[1]
        self.branches: list[Tree] = tree[2]
        self.children: list[Expression] = []
        self.state = ""
        self.forgotten = False
        self.workitem["fei"] = self.fei
        handler = self.attribute("on_error")
        self.on_error: list[tuple[str | None, Any]] = [(None, handler)] if handler else []

    # --- what an expression can ask for

    @property
    def fei(self) -> Fields:
        return {"engine_id": "engine", "wfid": self.process.wfid, "subid": self.subid, "expid": self.expid}

    @property
    def kind(self) -> str:
        """What the engine calls it."""
        return "participant" if isinstance(self, _Reference) else self.name

    @property
    def fields(self) -> Fields:
        fields: Fields = self.workitem["fields"]
        return fields

    @property
    def text(self) -> str:
        """The attribute that has no value: `error 'text'`."""
        found = next((name for name, value in self.attributes.items() if value is None), "")
        return str(self.substituted(found))

    def attribute(self, name: str, workitem: Fields | None = None) -> Any:
        return self.substituted(self.attributes.get(name), workitem)

    def attributes_now(self) -> Fields:
        return {self.substituted(name): self.attribute(name) for name in self.attributes}

    def substituted(self, value: Any, workitem: Fields | None = None) -> Any:
        """`${f:a.b}`, `${v:x}`, `${"x}` (quoted) replaced, again and again as ruote does; `$f:x` is the value."""
        if isinstance(value, list):
            return [self.substituted(each, workitem) for each in value]
        if isinstance(value, dict):
            return {self.substituted(key, workitem): self.substituted(each, workitem) for key, each in value.items()}
        if not isinstance(value, str):
            return value
        while found := re.search(r"(?<!\\)\$\{([^{}]+)\}", value):
            value = value[: found.start()] + self._named(found[1], workitem) + value[found.end() :]
        if literal := re.fullmatch(r"\$(?:(v|var|variable|f|fld|field):)?([^{}:\s$]+)", value):
            return self._value((literal[1] or "f")[0], literal[2], workitem)
        return value

    def _named(self, key: str, workitem: Fields | None) -> str:
        quoted = key[0] in "\"'"
        prefix, _, name = key.lstrip("\"'").rpartition(":")
        if prefix == "r":
            raise WorkflowError(f"'ruby_eval_allowed' is set to false, cannot evaluate >{name}<", "ArgumentError")
        value = next((v for p in (prefix or "f")[:2] if (v := self._value(p, name, workitem)) is not None), "")
        if isinstance(value, bool):
            value = str(value).lower()
        text = value if isinstance(value, str) else json.dumps(value)
        return json.dumps(text) if quoted else text

    def _value(self, kind: str, path: str, workitem: Fields | None) -> Any:
        return self.variable(path) if kind == "v" else _lookup((workitem or self.workitem)["fields"], path)

    def variable(self, path: str) -> Any:
        """The variable here, or further up."""
        first = path.split(".")[0].lstrip("/")
        if self.variables is not None and first in self.variables:
            return _lookup(self.variables, path.lstrip("/"))
        return self.parent.variable(path) if self.parent else None

    def set_variable(self, path: str, value: Any) -> None:
        """Set it where the next variables are."""
        if self.variables is not None:
            _put(self.variables, path.lstrip("/"), value)
        elif self.parent:
            self.parent.set_variable(path, value)

    def value(self, prefix: str = "") -> Any:
        """What `value`, `var_value` or `field_value` (`on`, `on_v`, `on_f`) names."""
        plain = (prefix, f"{prefix}_val", f"{prefix}_value") if prefix else ("val", "value")
        for name in plain:
            if name in self.attributes:
                return self.attribute(name)
        ends = ("",) if prefix else ("_val", "_value")
        for letter, kinds in (("v", ("v", "var", "variable")), ("f", ("f", "fld", "field"))):
            for kind in kinds:
                for end in ends:
                    if (name := f"{prefix}_{kind}" if prefix else f"{kind}{end}") in self.attributes:
                        return self._value(letter, str(self.attribute(name)), None)
        return None

    def target(self, *names: str) -> str | None:
        return next((str(self.attribute(name)) for name in names if self.attributes.get(name) is not None), None)

    # --- its life

    def do_apply(self) -> None:
        wanted, unwanted = self.attribute("if"), self.attribute("unless")
        if (wanted is not None and not _true(wanted)) or (
            wanted is None and unwanted is not None and _true(unwanted)
        ):
            self.reply_to_parent(self.workitem)
            return
        if str(self.attribute("forget")).lower() == "true":
            parent, self.parent, self.forgotten = self.parent, None, True
            if parent:
                answer = copy.deepcopy(self.workitem)
                self.process.put(lambda: parent.do_reply(self, answer), parent, answer)
            self.variables = {**_compiled(parent), **(self.variables or {})}
        if (timeout := self.attribute("timeout")) and str(timeout).strip():
            self.process.world.later(_seconds(str(timeout)), self._timed_out)
        self.apply()

    def apply(self) -> None:
        raise NotImplementedError

    def reply(self, child: Expression, workitem: Fields) -> None:
        """A child has replied. Expressions that go on overwrite this."""
        self.reply_to_parent(workitem)

    def do_reply(self, child: Expression, workitem: Fields) -> None:
        if child in self.children:
            self.children.remove(child)
        if not self.state:
            self.reply(child, workitem)
        elif not self.children:
            self.reply_to_parent(workitem)

    def reply_to_parent(self, workitem: Fields) -> None:
        if self.state == "failing":
            self._handle(workitem)
            return
        if self.state == "timing_out" and (handler := self.attribute("on_timeout")):
            self._become("on_timeout", handler, workitem)
            return
        if self.process.expressions.pop((self.subid, self.expid), None) is None:
            return
        workitem["fei"] = self.fei
        if self.parent:
            parent = self.parent
            self.process.put(lambda: parent.do_reply(self, workitem), parent, workitem)
        elif not self.forgotten:
            self.process.over(workitem)

    def do_fail(self, workitem: Fields) -> None:
        self.state, self.workitem = "failing", workitem
        self._end_children("")

    def do_cancel(self, flavour: str) -> None:
        if self.state == "cancelling":
            return
        self.state = "timing_out" if flavour == "timeout" else "cancelling"
        if flavour == "timeout":
            self.fields["__timed_out__"] = [self.fei, "2026-11-23 20:38:59 UTC", self.kind, self.attributes_now()]
        self.cancel(flavour)

    def cancel(self, flavour: str) -> None:
        self._end_children(flavour)

    def _end_children(self, flavour: str) -> None:
        if not self.children:
            self.reply_to_parent(self.workitem)
        for child in list(self.children):
            self.process.put(lambda child=child: child.do_cancel(flavour), child, child.workitem)  # type: ignore[misc]

    def _timed_out(self) -> None:
        if (self.subid, self.expid) in self.process.expressions:
            self.do_cancel("timeout")
            self.process.go_on()

    def child(self, index: int, workitem: Fields, *, forget: bool = False) -> None:
        """Apply a branch."""
        made = self.process.start(
            self.branches[index],
            workitem,
            f"{self.expid}_{index}",
            None if forget else self,
            variables=_compiled(self) if forget else None,
            forgotten=forget,
        )
        if not forget:
            self.children.append(made)

    def launch(self, tree: Tree, expid: str, workitem: Fields, variables: Fields, end: str = "") -> None:
        """Apply a tree that has variables of its own."""
        made = self.process.start(
            tree, workitem, expid, self, variables=variables, subid=uuid.uuid4().hex + end, launched=True
        )
        self.children.append(made)

    def position_of(self, child: Expression) -> int:
        return int(child.expid.rpartition("_")[2])

    # --- errors

    def handled_by(self, error: Fields) -> Expression | None:
        if self.state != "failing" and self._handler(error) is not None:
            return self
        return self.parent.handled_by(error) if self.parent else None

    def _handler(self, error: Fields) -> Any:
        for pattern, handler in self.on_error:
            if pattern is None or re.search(pattern, error["message"]) or re.search(pattern, error["class"]):
                return handler
        return None

    def _handle(self, workitem: Fields) -> None:
        handler = self._handler(self.fields["__error__"])
        text = str(handler).strip()
        if text in ("undo", "pass"):
            self.state = "failed"
            self.reply_to_parent(workitem)
        elif text.split(" ")[0] in _COMMANDS:
            self.state = ""
            workitem["fields"]["__command__"] = [text.split(" ")[0], None]
            self.reply(self, workitem)
        elif isinstance(handler, str) and re.search(r"[,*]|\d+[wdhmsMy]? *:", handler):
            raise KeyError(f"the stand-in cannot do the retries {handler!r}")
        else:
            self._become("on_error", self.tree if text in ("redo", "retry") else handler, self.workitem)

    def _become(self, why: str, handler: Any, workitem: Fields) -> None:
        """Another tree takes this place, with the same ids."""
        tree: Tree = copy.deepcopy(handler) if isinstance(handler, list) else [str(handler).strip(), {}, []]
        tree[1].update(
            {name: value for name, value in self.attributes.items() if name.startswith("on_") and name != why}
        )
        tree[1]["_triggered"] = why
        if self.process.expressions.pop((self.subid, self.expid), None) is None:
            return
        made = self.process.start(tree, workitem, self.expid, self.parent, variables=self.variables, subid=self.subid)
        made.forgotten = self.forgotten
        if self.parent:
            siblings = self.parent.children
            siblings[siblings.index(self)] = made


class _Sequence(Expression):
    def apply(self) -> None:
        self.go_to(0, self.workitem)

    def reply(self, child: Expression, workitem: Fields) -> None:
        self.go_to(self.position_of(child) + 1, workitem)

    def go_to(self, position: int, workitem: Fields) -> None:
        if position < len(self.branches):
            self.child(position, workitem)
        else:
            self.reply_to_parent(workitem)


class _Define(Expression):
    def apply(self) -> None:
        name, tree = _reorganized(self.tree)
        if name:
            self.set_variable(name, [self.expid, tree])
        self.reply_to_parent(self.workitem)


class _If(Expression):
    """The condition is the attribute `test`, or the result of the first branch."""

    def apply(self) -> None:
        test = self.attribute("test") or self.attribute("t") or self.text
        self.tested = bool(test)
        self._branch(0 if not self.tested or _true(test) else 1, self.workitem)

    def reply(self, child: Expression, workitem: Fields) -> None:
        if self.tested or self.position_of(child):
            self.reply_to_parent(workitem)
        else:
            self._branch(1 if workitem["fields"].get("__result__") is True else 2, workitem)

    def _branch(self, index: int, workitem: Fields) -> None:
        if index < len(self.branches):
            self.child(index, workitem)
        else:
            self.reply_to_parent(workitem)


class _Commanded(Expression):
    """A loop, which `break`, `rewind` and their like speak to, also from further down."""

    commanded: Fields | None = None

    def reply(self, child: Expression, workitem: Fields) -> None:
        workitem, self.commanded = self.commanded or workitem, None
        self.move_on(self.position_of(child) + 1 if child.parent is self else 0, workitem)

    def command(self, workitem: Fields) -> None:
        """Somebody further down gives a command: what runs is cancelled first."""
        self.commanded = workitem
        self.process.put(lambda: self.children[0].do_cancel(""), self, workitem)

    def move_on(self, position: int, workitem: Fields) -> None:
        raise NotImplementedError

    def given(self, workitem: Fields) -> tuple[str, int | None]:
        command, step = workitem["fields"].pop("__command__", None) or (None, None)
        for way in ("if", "unless"):
            for name in ("break", "rewind", "reset", "over", "stop"):
                test = self.attribute(f"{name}_{way}", workitem)
                if not command and test is not None and _true(test) == (way == "if"):
                    command = name
        if command in ("over", "stop"):
            command = "break"
        if command == "back":
            return "skip", -int(step or 1)
        return command or "", step if step is None else int(step)


class _Cursor(_Commanded):
    def apply(self) -> None:
        self.move_on(0, self.workitem)

    def move_on(self, position: int, workitem: Fields) -> None:
        command, step = self.given(workitem)
        if command in ("rewind", "continue", "reset"):
            position = 0
        elif command == "skip":
            position += 1 if step is None else step
        elif command == "jump":
            position = step or 0
        if position >= len(self.branches) and self.name in ("loop", "repeat"):
            position = 0
        if command == "break" or position >= len(self.branches):
            self.reply_to_parent(workitem)
        else:
            self.child(position, self.workitem if command == "reset" else workitem)


class _Iterator(_Commanded):
    def apply(self) -> None:
        self.values, self.index = _listed(self), -1
        if self.branches:
            self.move_on(0, self.workitem)
        else:
            self.reply_to_parent(self.workitem)

    def move_on(self, position: int, workitem: Fields) -> None:
        before, self.index = self.index, max(self.index, 0)
        command, step = self.given(workitem)
        if command in ("rewind", "continue"):
            self.index = 0
        elif command == "skip":
            self.index += (1 if step is None else step) + 1
        elif command == "jump":
            self.index = step or 0
        elif position >= len(self.branches):
            self.index += 1
        if command == "break":
            self.reply_to_parent(workitem)
        elif self.index == before:
            self.child(position, workitem)
        elif self.index >= len(self.values):
            self.reply_to_parent(workitem)
        else:
            self.set_variable("ii", self.index)
            variable, field = _to(self)
            if variable:
                self.set_variable(variable, self.values[self.index])
            else:
                workitem["fields"][field] = self.values[self.index]
            self.child(0, workitem)


class _Command(Expression):
    def apply(self) -> None:
        step = self.attribute("step") or self.attribute("to") or self.text or None
        told = copy.deepcopy(self.workitem)
        told["fields"]["__command__"] = [self.name, step]
        loop: Expression | None = self.parent
        while loop and not isinstance(loop, _Commanded):
            loop = loop.parent
        if loop is self.parent:
            self.reply_to_parent(told)
        elif isinstance(loop, _Commanded):
            loop.command(told)
        else:
            self.reply_to_parent(self.workitem)


class _Concurrence(Expression):
    answers: list[Fields]

    def apply(self) -> None:
        self.answers = []
        self.expected = self.start_all()
        if not self.expected:
            self.reply_to_parent(self.workitem)

    def start_all(self) -> int:
        for index in range(len(self.branches)):
            self.child(index, self.workitem)
        return len(self.branches)

    def reply(self, child: Expression, workitem: Fields) -> None:
        self.answers.append(workitem)
        count = int(self.attribute("count") or self.expected)
        if len(self.answers) == min(count, self.expected):
            for other in list(self.children):
                other.parent = None
                other.forgotten = True
                self.process.put(lambda other=other: other.do_cancel(""), other, other.workitem)  # type: ignore[misc]
            self.reply_to_parent(self._merged())

    def _merged(self) -> Fields:
        how = str(self.attribute("merge_type") or self.attribute("mt") or "override")
        first = (self.attribute("merge") or self.attribute("m") or "first") == "first"
        if how == "ignore":
            return self.workitem
        if how in ("override", "mix"):
            answers = self.answers[::-1] if first else self.answers
            merged = answers[-1]
            if how == "mix":
                merged["fields"] = {k: v for each in answers for k, v in each["fields"].items()}
            return merged
        merged, *others = self.answers
        if how not in ("union", "concat"):
            raise KeyError(f"the stand-in cannot merge by {how}")
        for other in others:
            _merge(merged["fields"], other["fields"], union=how == "union")
        return merged


class _ConcurrentIterator(_Concurrence):
    def start_all(self) -> int:
        tree: Tree
        values = _listed(self) if self.branches else []
        variable, field = _to(self)
        if len(self.branches) > 1:
            tree, expid = ["sequence", {}, self.branches], self.expid
        elif self.branches:
            tree, expid = self.branches[0], f"{self.expid}_0"
        for index, each in enumerate(values):
            workitem, variables = copy.deepcopy(self.workitem), {"ii": index}
            if variable:
                variables[variable] = each
            else:
                workitem["fields"][field] = each
            self.launch(tree, expid, workitem, variables, end=f"k{index}")
        return len(values)


class _Set(_Sequence):
    """`set`, `unset` and `push`; a value may also be the result of the branches."""

    def go_to(self, position: int, workitem: Fields) -> None:
        if position < len(self.branches):
            self.child(position, workitem)
            return
        self.workitem["fields"] = workitem["fields"]
        given = {k: v for k, v in self.attributes_now().items() if k not in _COMMON | {"escape", "override", "over"}}
        value = self.fields.get("__result__") if self.branches else self.value()
        variable, field = self.target("v", "var", "variable"), self.target("f", "fld", "field")
        if variable or field:
            name = f"v:{variable}" if variable else f"f:{field}"
        else:
            name, plain = next(iter(given.items()))
            value = plain if value is None else value
        if name.startswith("v:"):
            variable = name.removeprefix("v:")
            self.set_variable(variable, self._changed(self.variable(variable), value))
        else:
            path = name.removeprefix("f:")
            _put(self.fields, path, self._changed(_lookup(self.fields, path), value))
        self.reply_to_parent(self.workitem)

    def _changed(self, old: Any, value: Any) -> Any:
        if self.name == "unset":
            return _GONE
        return value if self.name != "push" else [*(old if isinstance(old, list) else [old] if old else []), value]


class _Error(Expression):
    def apply(self) -> None:
        text = self.attribute("msg") or self.attribute("message") or self.text
        raise WorkflowError(text or "error triggered from process definition", "Ruote::ForcedError")


class _OnError(Expression):
    """`on_error 'handler'`, `on_error /pattern/ => 'handler'`, or with the handler's steps as branches."""

    def apply(self) -> None:
        pattern: str | None = None
        handler: Any = self.text
        if not handler:
            pattern = next(iter(self.attributes), None)
            handler = self.attribute(pattern) if pattern else None
        if self.branches:
            pattern, handler = handler or None, ["sequence", {}, self.branches]
        if self.parent and handler:
            self.parent.on_error.append((pattern and pattern.strip("/"), handler))
        self.reply_to_parent(self.workitem)


class _Equals(Expression):
    def apply(self) -> None:
        values = [self._compared(name) for name in self.attributes if name not in _COMMON]
        self.fields["__result__"] = len(values) > 1 and values[0] == values[-1]
        self.reply_to_parent(self.workitem)

    def _compared(self, name: str) -> Any:
        value, kind = self.attribute(name), name.removeprefix("other_")
        if kind.startswith("f"):
            return self.fields.get(value)
        return self.variable(value) if kind.startswith("var") else value


class _Noop(Expression):
    def apply(self) -> None:
        self.reply_to_parent(self.workitem)


class _Wait(Expression):
    def apply(self) -> None:
        pause = self.attribute("for") or self.attribute("until") or self.text
        self.process.world.later(_seconds(str(pause)), self._over)

    def _over(self) -> None:
        self.reply_to_parent(self.workitem)
        self.process.go_on()


class _Forget(Expression):
    def apply(self) -> None:
        for index in range(len(self.branches)):
            self.child(index, self.workitem, forget=True)
        self.reply_to_parent(self.workitem)


class _Terminate(Expression):
    def apply(self) -> None:
        root: Expression = self
        while root.parent:
            root = root.parent
        self.process.put(lambda: root.do_cancel(""), root, root.workitem)


class _Reference(Expression):
    """A step: the subprocess of that name, else the participant; with nobody registered, it waits for ever."""

    queue: str | None = None
    sent = False

    def apply(self) -> None:
        given = self.attribute("ref") or self.text if self.name in ("participant", "subprocess", "ref") else self.name
        self.name, found = str(given), self.variable(str(given))
        while isinstance(found, str):
            self.name, found = found, self.variable(found)
        if isinstance(found, list):
            variables = {k: v for k, v in self.attributes_now().items() if k not in _COMMON | {"ref"}}
            self.launch(found[1], found[0], self.workitem, variables)
            return
        self.workitem["participant_name"] = self.name
        self.workitem["re_dispatch_count"] = 0
        self.fields["params"] = {**self.attributes_now(), "ref": self.name}
        self.fields.pop("__result__", None)
        if self.name == "boss_register":
            self.process.world.registered_by(self.workitem)
            self.answered(copy.deepcopy(self.workitem))
            return
        self.sent, self.queue = True, self.process.world.queue_of(self.name)
        if self.queue is not None:
            self.fields["dispatched_at"] = "2026-11-23 20:38:59.898316 UTC"
            self._deliver(copy.deepcopy(self.workitem))
            if self._option("forget"):
                self.answered(copy.deepcopy(self.workitem))

    def _option(self, name: str) -> Any:
        # The engine looks for its options in the step's attributes, then in the fields.
        params: Fields = self.fields["params"]
        return params.get(name, self.fields.get(name))

    def _deliver(self, message: Fields) -> None:
        queue = str(self._option("routing_key") or self.queue)
        self.process.world.deliver(queue, message, bool(self._option("persistent")))

    def answered(self, item: Fields) -> None:
        item["fields"].pop("params", None)
        item["fields"].pop("dispatched_at", None)
        self.reply_to_parent(item)

    def cancel(self, flavour: str) -> None:
        if self.children or not self.sent:
            super().cancel(flavour)
            return
        if self.queue is not None:
            useless = "#<Ruote::HashWrapper:0x00007fcc6b69b330>"
            self._deliver({"cancel": True, "fei": useless, "flavour": flavour or None})
        self.answered(self.workitem)


class _Kinds:
    table: ClassVar[dict[type[Expression], str]] = {
        _Sequence: "sequence",
        _Define: "define process_definition workflow_definition",
        _If: "if",
        _Cursor: "cursor loop repeat",
        _Iterator: "iterator",
        _Command: " ".join(_COMMANDS),
        _Concurrence: "concurrence",
        _ConcurrentIterator: "concurrent_iterator citerator",
        _Set: "set rset unset push",
        _Error: "error",
        _OnError: "on_error",
        _Equals: "equals",
        _Noop: "noop",
        _Wait: "wait sleep",
        _Forget: "forget",
        _Terminate: "terminate cancel_process kill_process",
        _Reference: "participant subprocess ref",
    }


_KINDS = {name: kind for kind, names in _Kinds.table.items() for name in names.split()}
_GONE = object()


def _true(condition: Any) -> bool:
    text = str(condition)
    if not text.strip():
        return False
    if found := re.fullmatch(r"(.*?)( is)?( not)? set", text):
        there = found[1].strip().strip("\"'") not in ("", "is", "nil")
        return there != bool(found[3])
    if found := re.fullmatch(r"(\"(?:[^\"\\]|\\.)*\")( is)?( not)? in (\[.*\])", text):
        return (json.loads(found[1]) in json.loads(found[4])) != bool(found[3])
    raise WorkflowError(f"couldn't interpret >{text}<", "Ruote::Exp::Condition::ConditionError")


def _name_of(tree: Tree) -> str | None:
    name = tree[1].get("name") or next((key for key, value in tree[1].items() if value is None), None)
    return str(name) if name else None


def _reorganized(tree: Tree) -> tuple[str | None, Tree]:
    """The definition's name, and its branches with the definitions among them first."""
    inner = [each for each in tree[2] if each[0] in _DEFINITIONS]
    rest = [each for each in tree[2] if each[0] not in _DEFINITIONS]
    return _name_of(tree), ["define", tree[1], [_reorganized(each)[1] for each in inner] + rest]


def _listed(of: Expression) -> list[Any]:
    times = of.attribute("times") or of.attribute("branches")
    if times is not None:
        # As Ruby's to_i: what is no number is none.
        found = re.match(r"\s*(\d+)", str(times))
        return list(range(int(found[1]) if found else 0))
    values = of.value("on")
    if isinstance(values, str):
        return [each.strip() for each in values.split(of.attribute("separator") or of.attribute("sep") or ",")]
    return values if isinstance(values, list) else []


def _to(of: Expression) -> tuple[str, str]:
    variable, field = of.target("to_v", "to_var", "to_variable"), of.target("to_f", "to_fld", "to_field")
    if to := of.target("to"):
        kind, colon, name = to.partition(":")
        if not colon or kind.startswith("f"):
            field = name or kind
        else:
            variable = name
    return variable or ("" if field else "i"), field or ""


def _compiled(of: Expression | None) -> Fields:
    return {**_compiled(of.parent), **(of.variables or {})} if of else {}


def _seconds(text: str) -> float:
    found = re.findall(r"([\d.]+)([smhdw]?)", text)
    if not found:
        raise WorkflowError(f"cannot read the time {text!r}", "ArgumentError")
    return sum(float(number) * _UNITS[unit or "s"] for number, unit in found)


def _lookup(fields: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(fields, list) and name.isdigit():
            fields = fields[int(name)] if int(name) < len(fields) else None
        else:
            fields = fields.get(name) if isinstance(fields, dict) else None
    return fields


def _put(fields: Fields, path: str, value: Any) -> None:
    way, _, last = path.rpartition(".")
    inner = _lookup(fields, way) if way else fields
    if not isinstance(inner, dict):
        # As ruote does it: nothing is made on the way, the whole path becomes a name.
        inner, last = fields, path
    if value is _GONE:
        inner.pop(last, None)
    else:
        inner[last] = value


def _merge(into: Fields, other: Fields, *, union: bool) -> None:
    for name, value in other.items():
        there = into.get(name)
        if isinstance(there, list) and isinstance(value, list):
            there += [each for each in value if not union or each not in there]
        elif isinstance(there, dict) and isinstance(value, dict):
            there |= value
        else:
            into[name] = value
