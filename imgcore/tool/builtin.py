# SPDX-License-Identifier: GPL-2.0-or-later
"""The built-in tool: Imager's own creator. Its proof of success is result.json, which it writes last."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from importlib.util import find_spec

from imgcore import kickstart
from imgcore.creator import plan as plans
from imgcore.errors import BuildError
from imgcore.executor import Outcome
from imgcore.tool import Artifact, Order, Output, Package, Prepared, Result
from imgcore.tool.diagnosis import diagnose
from imgcore.tool.shown import Shown

__all__ = ["Builtin", "RESULT"]

#: The file by which the creator tells what it made; not delivered.
RESULT = "result.json"
_RESULT_BYTES = 64 << 20


class Builtin:
    """The tool `builtin`."""

    name = "builtin"

    def prepare(self, order: Order) -> Prepared:
        """See `Tool.prepare`. The kickstart becomes a plan here, outside of the sandbox."""
        if find_spec("imgcore.creator.main") is None:
            # The plan is part of the core's package, the creator has one of its own.
            raise BuildError("the built-in tool is not installed here", "install imager-creator", "tool-missing")
        release = kickstart.release_of(order.extra_opts)
        tokens = kickstart.with_defaults(order.tokens, arch=order.arch, release=release)
        read = kickstart.read(order.kickstart, order.kickstart_name, tokens=tokens)
        plan, warnings = kickstart.plan(
            read,
            name=order.name,
            arch=order.arch,
            image_type=order.image_type,
            tokens=tokens,
            extra_opts=order.extra_opts,
            source_date_epoch=order.source_date_epoch,
            build_id=order.image_id,
        )
        shown = Shown()
        plan = dataclasses.replace(plan, repositories=tuple(_inside(shown, each) for each in plan.repositories))
        return Prepared(
            arguments=(),
            inputs={**shown.files, "plan.json": plans.to_json(plan).encode()},
            as_built=kickstart.redact(read.text).encode(),
            environment={"SOURCE_DATE_EPOCH": str(plan.source_date_epoch)},
            readable=tuple(shown.directories),
            urls=tuple(_urls(plan)),
            warnings=tuple(warnings),
        )

    def judge(self, order: Order, outcome: Outcome, output: Output) -> Result:
        """See `Tool.judge`."""
        if outcome.status or outcome.signal or RESULT not in output.files:
            raise diagnose(outcome, output.tail, self.name)
        try:
            told = json.loads(output.read(RESULT, _RESULT_BYTES))
            artifacts = tuple(Artifact(str(each["name"]), str(each["kind"])) for each in told["artifacts"])
            packages = tuple(Package(**{key: str(each[key]) for key in each}) for each in told["packages"])
            warnings = tuple(str(each) for each in told["warnings"])
        except (ValueError, KeyError, TypeError) as error:
            raise BuildError(f"the creator's {RESULT} cannot be read: {error}", "see the log", "no-proof") from error
        missing = [each.name for each in artifacts if each.name not in output.files]
        if missing or not artifacts:
            raise BuildError(
                f"the creator did not leave {', '.join(missing) or 'an image'}", "see the log", "no-proof"
            )
        return Result(artifacts, packages, warnings)


def _urls(plan: plans.Plan) -> Iterator[str]:
    for each in plan.repositories:
        for url in (each.url, each.mirrorlist, *each.gpg_keys):
            if url.startswith(("http://", "https://")):
                yield url


def _inside(shown: Shown, repository: plans.Repository) -> plans.Repository:
    """The repository as the sandbox finds it. What is not there the creator names, with the kickstart's line."""
    inside = dataclasses.replace(
        repository,
        url=shown.inside(repository.url, whole=True),
        mirrorlist=shown.inside(repository.mirrorlist, whole=False),
        gpg_key=",".join(shown.inside(each, whole=False) for each in repository.gpg_keys),
    )
    return inside if inside == repository else dataclasses.replace(inside, as_given=repository)
