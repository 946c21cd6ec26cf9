# SPDX-License-Identifier: GPL-2.0-or-later
"""The site for programs: JSON of all that is shown first and of each job, Atom, Prometheus' text format, badges.

What a page would mask is masked here too. job.schema.json says what the JSON of a job has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from imgcore.job import Job
from imgcore.report import changes, render, text
from imgcore.report.artifacts import address
from imgcore.report.index import Index
from imgcore.report.ledger import Group
from imgcore.report.namepage import interesting
from imgcore.report.row import Row, cancelled_because, cancelled_by, page_name, state

__all__ = ["FEED", "atom", "badge", "index_json", "job_json", "metrics", "schema"]

#: How many of the newest finished jobs the feed has.
FEED = 50
_GENERATOR = {"generator": "Imager", "schema": 1}
_PROMETHEUS_NAMES = 1000


def schema() -> bytes:
    """The JSON Schema of `job_json`."""
    return resources.files(__package__).joinpath("job.schema.json").read_bytes()


def job_json(job: Job) -> bytes:
    """A job for programs: what its page says of it, without secrets."""
    ended = state(job).slug
    told: dict[str, Any] = {
        "image_id": job.image_id,
        "name": job.name,
        "arch": job.arch,
        "image_type": job.image_type,
        "status": str(job.status),
        "page": page_name(job.image_id),
        **{key: getattr(job, key) for key in ("requested_at", "started_at", "finished_at", "user", "priority")},
        **{key: list(getattr(job, key)) for key in ("tags", "packages", "groups", "extra_repos", "extra_opts")},
        "tokenmap": {key: changes.hide(key, str(value)) for key, value in job.tokenmap.items()},
        **{key: getattr(job, key) for key in ("tool", "executor", "retry_of", "attempt", "step", "request_step")},
        "worker": {"name": job.worker.get("name", ""), "host": job.worker.get("host", "")},
        **{key: getattr(job, key) for key in ("phase", "progress", "progress_detail")},
        "phases": [{"phase": each["phase"], "seconds": each["seconds"]} for each in job.phases],
        "resources": dict(job.resources),
        **{key: getattr(job, key) for key in ("files_url", "image_url", "logfile_url")},
        "artifacts": [
            {**{key: each[key] for key in ("name", "kind", "size", "sha256")}, "url": address(job, each["name"])}
            for each in job.artifacts
        ],
        "package_count": job.package_count,
        "source_date_epoch": job.source_date_epoch,
        **{key: getattr(job, key) for key in ("error", "error_cause", "error_remedy")},
        "cancelled_by": cancelled_by(job) if ended == "cancelled" else "",
        "cancelled_because": cancelled_because(job) if ended == "cancelled" else "",
        "warnings": list(job.warnings),
    }
    return _json(told)


def index_json(index: Index) -> bytes:
    """What the first page shows, for programs."""
    told = {
        "counts": {count.state.slug: count.number for count in index.counts},
        "running": [
            {**_row(each.row), "phase": each.row.phase, "percent": each.row.percent} for each in index.running
        ],
        "queued": [_row(each.row) for each in index.queued],
        "finished": [_row(row) for row in index.finished],
        "damaged": [{"image_id": row.image_id, "reason": row.error} for row in index.damaged],
    }
    return _json(told)


def _row(row: Row) -> dict[str, Any]:
    return {
        "image_id": row.image_id,
        "name": row.name,
        "state": row.state.slug,
        "arch": row.arch,
        "image_type": row.image_type,
        "user": row.user,
        "tags": list(row.tags),
        "time": row.time.iso if row.time else "",
        "seconds": row.seconds,
        "error": row.error,
        "page": row.href,
    }


def atom(index: Index) -> bytes:
    """The newest finished and failed jobs as an Atom feed (RFC 4287)."""
    rows = [row for row in index.finished if row.time][:FEED]
    return render.render("feed.atom.j2", {"rows": rows, "as_of": rows[0].time if rows else None}, root="")


def badge(name: str, group: Group) -> bytes:
    """A picture for other pages: how the last build of a name ended."""
    found = [each for each in interesting(group) if each is not None]
    last = max(found, key=lambda each: each.order, default=None)
    name = text.visible(name)
    name = name if len(name) <= 40 else f"{name[:39]}…"
    said = last.state.label.lower() if last else "no build yet"
    slug = last.state.slug if last else "none"
    # As wide as the usual sans-serif font at 11 pixels needs; textLength makes it fit in any other.
    widths = [12 + round(6.6 * len(each)) for each in (name, said)]
    return render.render("badge.svg.j2", {"name": name, "said": said, "slug": slug, "widths": widths}, root="")


def metrics(index: Index, names: Mapping[str, Group]) -> bytes:
    """The state of the service in Prometheus' text format, for its text collector; of the names that built last."""
    lines = ["# generator: Imager"]

    def metric(name: str, meaning: str, values: Sequence[tuple[str, float]]) -> None:
        lines.extend([f"# HELP imager_{name} {meaning}", f"# TYPE imager_{name} gauge"])
        # Two names that look the same are one series; it may be there once only.
        lines.extend(f"imager_{name}{labels} {value:.15g}" for labels, value in dict(values).items())

    metric("jobs", "Jobs in each state.", [(_label(state=each.state.slug), each.number) for each in index.counts])
    metric("queue_depth", "Jobs that wait.", [("", len(index.queued))])
    last = {name: interesting(group) for name, group in names.items()}
    built = [name for name, pair in last.items() if any(pair)]
    built.sort(key=lambda name: max(each.order for each in last[name] if each))
    shown = sorted(built[-_PROMETHEUS_NAMES:])
    for number, what in enumerate(("success", "failure")):
        rows = [(name, last[name][number]) for name in shown]
        metric(
            f"last_{what}_timestamp_seconds",
            f"When the last {what} of a name ended.",
            [(_label(name=name), row.order[0].timestamp()) for name, row in rows if row],
        )
    metric(
        "last_success_duration_seconds",
        "How long the last good build of a name took.",
        [(_label(name=name), row.seconds) for name in shown if (row := last[name][0])],
    )
    return ("\n".join(lines) + "\n").encode()


def _label(**values: str) -> str:
    def quoted(value: str) -> str:
        return text.visible(value).replace("\\", "\\\\").replace('"', '\\"')

    return "{" + ",".join(f'{key}="{quoted(value)}"' for key, value in values.items()) + "}"


def _json(told: Mapping[str, Any]) -> bytes:
    return json.dumps({**_GENERATOR, **_shown(told)}).encode() + b"\n"


def _shown(value: Any) -> Any:
    """`value` with every text in it as a page would show it; keys are ours but for those of the tokens."""
    if isinstance(value, str):
        return text.visible(value)
    if isinstance(value, Mapping):
        return {text.visible(key): _shown(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    return value
