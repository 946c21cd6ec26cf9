# SPDX-License-Identifier: GPL-2.0-or-later
"""The process around one handler: loads it, starts it, gives it workitems, ends it.

What always holds: the handler hears `start` before its first workitem, `stop` when the end begins and `die` before
the process ends. SIGTERM and SIGINT let it finish what it holds, or leave that to others or to the next start after
`stop_timeout` seconds; a process that hangs even then is ended. SIGHUP reads the configuration again, and a mistake
in it leaves the old one in force.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from RuoteAMQP import marks
from RuoteAMQP.connection import PRIORITIES, BrokerError
from RuoteAMQP.journal import JournalError, open_free
from RuoteAMQP.participant import Participant, Work
from RuoteAMQP.workitem import Workitem
from SkyNET import configuration, logs
from SkyNET.configuration import ConfigurationError, Settings
from SkyNET.control import ParticipantCtrl, WorkItemCtrl
from SkyNET.notify import Notifier

__all__ = ["Exo", "load_handler", "main"]

# Seconds beyond `stop_timeout` after which a process that still has not ended is ended.
_LAST = 10.0
# Seconds between two looks at whether the end has begun.
_LOOK = 1.0

_USAGE = """\
usage: skynet_exo [--config-dir DIRECTORY] CONFFILE

Host the participant that CONFFILE describes until SIGTERM. Options are read from DIRECTORY/skynet.conf (default
/etc/skynet), the files of its include_dir, CONFFILE and DIRECTORY/NAME.conf; the last one wins. SIGHUP reads them
again.
"""


class _Hosted(Participant):
    """The participant whose work a handler does."""

    def __init__(self, exo: Exo) -> None:
        settings = exo.settings
        super().__init__(
            settings.queue,
            broker=settings.broker,
            message_limit=settings.message_limit,
            journal=exo.journal,
            arguments=PRIORITIES if settings.priorities else None,
            control=True,
        )
        self.log = exo.log
        self._exo = exo

    def consume(self) -> None:
        """Give the workitem to the handler."""
        workitem = self.workitem
        if workitem is not None:
            # Until the next one: what the host logs about the reply belongs to it too.
            logs.about(workitem)
            self._exo.work(workitem)

    def failed(self, error: BaseException) -> None:
        """Log what the handler raised; the engine is told."""
        # An error that says what to do is an answer, no fault of the handler.
        known = bool(getattr(error, "remedy", ""))
        self.log.error("error in handle_wi%s", f": {error}" if known else "", exc_info=None if known else error)

    def cancel(self, workitem: Workitem) -> None:
        """Give the handler the engine's word."""
        self._exo.cancelled(workitem)

    def may_take(self) -> str:
        """Ask the handler."""
        return self._exo.may_take()

    def controlled(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Do what the control exchange says."""
        return self._exo.controlled(message)

    def connected(self) -> None:
        """Tell systemd; and hear what was said while nobody listened here."""
        self._exo.notifier.ready(f"taking workitems from {self.queue}")
        self._exo.catch_up()

    def disconnected(self, reason: str, pause: float) -> None:
        """Tell systemd."""
        self._exo.notifier.waiting(f"no connection: {reason}", pause)

    def tick(self) -> None:
        """See what signals asked for."""
        self._exo.tick()


class Exo:
    """One handler's host. `run` blocks until a signal, `finish` or the end of a `drain` ends it.

    `changes` are sections with options that win over the files. Raises ConfigurationError.
    """

    def __init__(
        self,
        conffile: str | Path,
        directory: Path = configuration.DIRECTORY,
        changes: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._load = partial(configuration.load, Path(conffile), directory, changes)
        self.settings = self._load()
        logs.set_up(self.settings.log_level)
        self.log = logging.getLogger(self.settings.name)
        for path in configuration.exposed(self.settings):
            self.log.warning("everybody can read the password in %s: chmod o= it, or use amqp_pwd_file", path)
        self.notifier = Notifier()
        self.handler = load_handler(self.settings.code)
        try:
            self.journal = open_free(self.settings.journal)
        except JournalError as error:
            raise ConfigurationError(f"option journal of section [participant]: {error}") from error
        self.participant = _Hosted(self)
        self.handler.log = self.log
        self.handler.send_to_engine = self.participant.reply_to_engine
        self.handler.post = self.participant.post
        self.handler.is_cancelled = self.is_cancelled
        self._hangup = self._ending = self._told = False
        self._over = threading.Event()

    def run(self) -> None:
        """Host. Raises ConfigurationError when the handler cannot start, BrokerError for a queue of another kind."""
        try:
            self._lifecycle("start", self.settings)
        except Exception as error:
            self.log.debug("the handler did not start", exc_info=True)
            raise ConfigurationError(f"{self.settings.code}: the handler does not start: {_where(error)}") from error
        threading.Thread(target=self._see_to_the_end, name="the end's bound", daemon=True).start()
        try:
            self.participant.run()
        finally:
            # A signal may have come after the last look.
            self.tick()
            self._quietly("die")
            self.journal.close()
            self._over.set()

    def finish(self) -> None:
        """Begin the end. May be called by a signal handler."""
        self._ending = True
        self.participant.finish(self.settings.stop_timeout)

    def drain(self) -> None:
        """Take nothing more, and end when what is held is finished. May be called by a signal handler."""
        self.participant.held_back = "draining"

    def is_cancelled(self, image_id: str) -> bool:
        """Whether somebody has cancelled that image; waits for the broker."""
        return bool(self.participant.ask_broker(lambda connection: marks.is_set(connection, image_id)))

    def may_take(self) -> str:
        """Why the handler wants nothing more now, or ""."""
        ask = getattr(self.handler, "may_take", None)
        return str(ask() or "") if ask else ""

    def reload(self) -> None:
        """Have the configuration read again soon. May be called by a signal handler."""
        self._hangup = True

    def work(self, workitem: Workitem) -> None:
        """One workitem, in the working thread."""
        if workitem.fields.debug_trace or workitem.params.debug_trace:
            self.log.info("%s", logs.summary(workitem))
        if workitem.fields.debug_dump or workitem.params.debug_dump:
            self.log.info("%s", workitem.dump())
        self.handler.handle_wi(workitem)

    def cancelled(self, workitem: Workitem) -> None:
        """The engine cancelled something, in the connection's thread."""
        flavour = workitem.to_h().get("flavour")
        self.log.info(
            "the engine cancels %s (%s)", workitem.wfid or "a step that it does not name", flavour or "plain"
        )
        self._cancel(WorkItemCtrl("cancel", flavour=flavour, wfid=workitem.wfid, step=workitem.step), workitem)

    def catch_up(self) -> None:
        """Cancel what was cancelled while this process, or its connection, was away; by the connection's thread."""
        for work in self.participant.held():
            image_id = logs.image_id_of(work.workitem)
            if image_id and self.is_cancelled(image_id):
                self.log.info("%s was cancelled meanwhile", image_id)
                reason = "while its worker could not hear it"
                self._cancel(WorkItemCtrl("cancel", step=work.step, image_id=image_id, reason=reason), None)

    def _cancel(self, ctrl: WorkItemCtrl, message: Any) -> None:
        hear = getattr(self.handler, "handle_wi_control", None)
        if hear:
            ctrl.workitem = next((work.workitem for work in self.participant.held() if _meant(ctrl, work)), message)
            hear(ctrl)

    def controlled(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Do what somebody says to all participants; the answer, where one is due."""
        action, meant = message["action"], message.get("worker") or ""
        if meant not in ("", self.settings.name, f"{socket.gethostname()}/{self.settings.name}"):
            return None
        who = _line(message.get("who") or message.get("user"))
        if action == "status":
            return self.status()
        if action in ("pause", "resume", "drain"):
            held_back = {"pause": "paused", "resume": "", "drain": "draining"}[action]
            self.log.info("%s by %s", held_back or "resumed", who or "somebody")
            self.participant.held_back = held_back
            return self.status()
        if action == "cancel" and (message.get("image_id") or message.get("step")):
            image_id, step = str(message.get("image_id") or ""), str(message.get("step") or "")
            self.log.info("%s cancels %s", who or "somebody", _line(image_id or step))
            self._cancel(
                WorkItemCtrl("cancel", step=step, image_id=image_id, who=who, reason=_line(message.get("reason"))),
                None,
            )
        return None

    def status(self) -> dict[str, Any]:
        """How the participant is, for people and programs."""
        participant = self.participant
        more = getattr(self.handler, "status", None)
        state = participant.held_back or ("waiting" if participant.full else "taking")
        return {
            "worker": self.settings.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "queue": participant.queue,
            "state": state,
            "why": participant.full,
            "slots": participant.slots,
            "held": [_held(work) for work in participant.held()],
            "outbox": participant.unsent,
            **(more() if more else {}),
        }

    def tick(self) -> None:
        """What signals asked for, done by the main thread outside of the signal."""
        self.notifier.alive()
        if self._ending and not self._told:
            self._told = True
            waits = self.participant.busy and not self.participant.leaves_work
            self.log.info("ending%s", ", waiting for the workitem at work" if waits else "")
            self.notifier.stopping(self.settings.stop_timeout)
            self._quietly("stop")
        drained = self.participant.held_back == "draining" and not self.participant.busy
        if drained and not self.participant.unsent and not self._ending:
            self.finish()
        # Not while a workitem is worked on, whose handler would get another configuration on the way.
        held = self.participant.busy and not self.participant.leaves_work
        if self._hangup and not self._ending and not held:
            self._hangup = False
            self._reread()

    def _reread(self) -> None:
        self.notifier.reloading()
        try:
            fresh = self._load()
            self._lifecycle("start", fresh)
        except Exception as error:
            self.log.error("the old configuration stays in force: %s", error)
        else:
            old, self.settings = self.settings, fresh
            logs.set_up(fresh.log_level)
            if (old.code, old.name) != (fresh.code, fresh.name):
                self.log.warning("another name or code needs a restart")
            self.participant.message_limit = fresh.message_limit
            if (old.broker, old.queue) != (fresh.broker, fresh.queue):
                self.participant.broker, self.participant.queue = fresh.broker, fresh.queue
                self.participant.reconnect()
            self.log.info("configuration read again: %s", ", ".join(map(str, fresh.files)))
        self.notifier.ready(f"taking workitems from {self.participant.queue}")

    def _lifecycle(self, message: str, settings: Settings) -> None:
        hear = getattr(self.handler, "handle_lifecycle_control", None)
        if hear:
            hear(ParticipantCtrl(message, config=settings.parser))
        if message == "start":
            self.participant.slots = settings.slots or int(getattr(self.handler, "slots", 1))
            self.participant.once = bool(getattr(self.handler, "once", False))
            self.participant.leaves_work = bool(getattr(self.handler, "leaves_work", False))

    def _quietly(self, message: str) -> None:
        try:
            self._lifecycle(message, self.settings)
        except Exception:
            self.log.exception("error in handle_lifecycle_control(%s)", message)

    def _see_to_the_end(self) -> None:
        """In a thread of its own: the main one may wait for a broker that says nothing, or for a handler."""
        while not self._ending:
            if self._over.wait(_LOOK):
                return
        bound = self.settings.stop_timeout + _LAST
        if not self._over.wait(bound):
            self.log.error("not ended %d s after the end began: ended by force", bound)
            logging.shutdown()
            os._exit(1)


def load_handler(code: Path) -> Any:
    """The `ParticipantHandler` of a file. Raises ConfigurationError."""
    # The file's own directory first, for files that import their neighbours.
    sys.path.insert(0, str(code.parent))
    spec = importlib.util.spec_from_file_location(code.stem, code)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{code} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[code.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigurationError(f"{code} cannot be loaded: {_where(error)}") from error
    made: Callable[[], Any] | None = getattr(module, "ParticipantHandler", None)
    if made is None:
        raise ConfigurationError(f"{code} has no class ParticipantHandler")
    try:
        handler = made()
    except Exception as error:
        raise ConfigurationError(f"{code}: ParticipantHandler() fails: {_where(error)}") from error
    if not callable(getattr(handler, "handle_wi", None)):
        raise ConfigurationError(f"{code}: ParticipantHandler has no method handle_wi")
    return handler


def _meant(ctrl: WorkItemCtrl, work: Work) -> bool:
    return work.step == ctrl.step or (bool(ctrl.image_id) and logs.image_id_of(work.workitem) == ctrl.image_id)


def _held(work: Work) -> dict[str, Any]:
    return {
        "step": work.step,
        "image_id": logs.image_id_of(work.workitem),
        "name": _line(work.workitem.lookup("image.name")),
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(work.since)),
    }


def _line(value: Any) -> str:
    """Text of a message for a log line or a terminal."""
    return "".join(char if char.isprintable() else "?" for char in value)[:200] if isinstance(value, str) else ""


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return " ".join(f"{type(error).__name__}: {error}{place}".split())


def main(arguments: list[str] | None = None) -> int:
    """The command `skynet_exo`: 0 after a signal, 2 for what must be mended first."""
    rest = list(sys.argv[1:] if arguments is None else arguments)
    directory = Path(os.environ.get("SKYNET_CONFIG_DIR") or configuration.DIRECTORY)
    if "--help" in rest or "-h" in rest:
        print(_USAGE, end="")
        return 0
    if len(rest) > 1 and rest[0] == "--config-dir":
        directory, rest = Path(rest[1]), rest[2:]
    if len(rest) != 1 or rest[0].startswith("-"):
        print("skynet_exo: it takes one configuration file (--help says more)", file=sys.stderr)
        return 2
    try:
        exo = Exo(rest[0], directory)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: exo.finish())
        signal.signal(signal.SIGHUP, lambda *_: exo.reload())
        exo.run()
    except (ConfigurationError, BrokerError) as error:
        print(f"skynet_exo: {error}", file=sys.stderr)
        return 2
    logging.shutdown()
    # A handler's thread that hangs, working or not, must not keep the process.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
