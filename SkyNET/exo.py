"""The process around one handler: loads it, starts it, gives it workitems, ends it.

What always holds: the handler hears `start` before its first workitem, `stop` when the end begins and `die` before
the process ends. SIGTERM and SIGINT let it finish what it holds, or hand that back to the queue after `stop_timeout`
seconds; a process that hangs even then is ended. SIGHUP reads the configuration again, and a mistake in it leaves
the old one in force.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from RuoteAMQP.connection import BrokerError
from RuoteAMQP.participant import Participant
from RuoteAMQP.workitem import Workitem
from SkyNET import configuration, logs
from SkyNET.configuration import ConfigurationError, Settings
from SkyNET.control import ParticipantCtrl, WorkItemCtrl
from SkyNET.notify import Notifier

__all__ = ["Exo", "load_handler", "main"]

# Seconds beyond `stop_timeout` after which a process that still has not ended is ended.
_LAST = 10.0

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
        super().__init__(settings.queue, broker=settings.broker, message_limit=settings.message_limit)
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
        self.log.error("error in handle_wi", exc_info=error)

    def cancel(self, workitem: Workitem) -> None:
        """Give the handler the engine's word."""
        self._exo.cancelled(workitem)

    def connected(self) -> None:
        """Tell systemd."""
        self._exo.notifier.ready(f"taking workitems from {self.queue}")

    def disconnected(self, reason: str, pause: float) -> None:
        """Tell systemd."""
        self._exo.notifier.waiting(f"no connection: {reason}", pause)

    def tick(self) -> None:
        """See what signals asked for."""
        self._exo.tick()


class Exo:
    """One handler's host. `run` blocks until a signal, or `finish`, ends it."""

    def __init__(self, conffile: str | Path, directory: Path = configuration.DIRECTORY) -> None:
        self._conffile, self._directory = Path(conffile), directory
        self.settings = configuration.load(self._conffile, directory)
        logs.set_up(self.settings.log_level)
        self.log = logging.getLogger(self.settings.name)
        self.notifier = Notifier()
        self.participant = _Hosted(self)
        self.handler = load_handler(self.settings.code)
        self.handler.log = self.log
        self.handler.send_to_engine = self.participant.reply_to_engine
        self._hangup = self._ending = self._told = False

    def run(self) -> None:
        """Host. Raises ConfigurationError when the handler cannot start, BrokerError for a queue of another kind."""
        try:
            self._lifecycle("start", self.settings)
        except Exception as error:
            self.log.debug("the handler did not start", exc_info=True)
            raise ConfigurationError(f"{self.settings.code}: the handler does not start: {_where(error)}") from error
        try:
            self.participant.run()
        finally:
            # A signal may have come after the last look.
            self.tick()
            self._quietly("die")

    def finish(self) -> None:
        """Begin the end. May be called by a signal handler."""
        self._ending = True
        self.participant.finish(self.settings.stop_timeout)

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
        hear = getattr(self.handler, "handle_wi_control", None)
        if hear:
            hear(WorkItemCtrl("cancel", flavour=flavour, wfid=workitem.wfid, workitem=workitem))

    def tick(self) -> None:
        """What signals asked for, done by the main thread outside of the signal."""
        self.notifier.alive()
        if self._ending and not self._told:
            self._told = True
            self.log.info("ending%s", ", waiting for the workitem at work" if self.participant.busy else "")
            self.notifier.stopping(self.settings.stop_timeout)
            self._last_resort()
            self._quietly("stop")
        # Not while a workitem is worked on, whose handler would get another configuration on the way.
        if self._hangup and not self._ending and not self.participant.busy:
            self._hangup = False
            self._reread()

    def _reread(self) -> None:
        self.notifier.reloading()
        try:
            fresh = configuration.load(self._conffile, self._directory)
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

    def _quietly(self, message: str) -> None:
        try:
            self._lifecycle(message, self.settings)
        except Exception:
            self.log.exception("error in handle_lifecycle_control(%s)", message)

    def _last_resort(self) -> None:
        def end() -> None:
            self.log.error("not ended %d s after the end began: ended by force", self.settings.stop_timeout + _LAST)
            logging.shutdown()
            os._exit(1)

        timer = threading.Timer(self.settings.stop_timeout + _LAST, end)
        timer.daemon = True
        timer.start()


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
