# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job has to do with others: the attempts at the same thing, and the last good image of its kind before it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from imgcore.report.ledger import Ledger
from imgcore.report.row import DAMAGED, GOOD, Row

__all__ = ["Related", "concerned", "of", "page_of", "place_of"]

_MOST_ATTEMPTS = 50
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


@dataclass(frozen=True)
class Related:
    """`attempts` are all of them, the first one first, or none where there is but one."""

    attempts: tuple[Row, ...] = ()
    before: Row | None = None

    @property
    def digest(self) -> str:
        """Changes with anything of it that a page shows."""
        told = [*((each.image_id, each.state.slug, each.attempt, each.order[0]) for each in self.attempts)]
        return repr((told, self.before and self.before.image_id))


def place_of(name: str) -> str:
    """The file name, without its ending, of what belongs to the image `name`."""
    if _PLAIN.fullmatch(name):
        return name
    return f"~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:20]}"


def page_of(name: str) -> str:
    """The address of the page of the image `name`, from the index."""
    return f"names/{quote(place_of(name))}.html"


def of(ledger: Ledger, row: Row) -> Related:
    """What the job has to do with others."""
    if row.state == DAMAGED:
        return Related()
    before = None
    if row.state.slug != "queued":
        before = next(ledger.names[row.name].newest(GOOD, kind=row.kind, before=row.order), None)
    return Related(_attempts(ledger, row), before)


def concerned(ledger: Ledger, row: Row) -> Iterator[str]:
    """The jobs whose pages show something of `row`, which has just come, changed or gone."""
    yield from _linked(ledger, row)
    # Its pages are where the other's JSON is.
    if row.image_id.endswith(".json") and row.image_id.removesuffix(".json") in ledger.rows:
        yield row.image_id.removesuffix(".json")
    if row.state == DAMAGED or row.name not in ledger.names:
        return
    if row.state.slug in GOOD:
        for each in ledger.names[row.name].after(row.order, kind=row.kind):
            yield each.image_id
            if each.state.slug in GOOD:
                break


def _linked(ledger: Ledger, row: Row) -> Iterator[str]:
    """Those that try the same as `row`."""
    for image_id in (row.image_id, row.retry_of, *ledger.retries.get(row.image_id, ())):
        found = ledger.rows.get(image_id)
        if found is not None:
            yield image_id
            yield from (each.image_id for each in _attempts(ledger, found))


def _attempts(ledger: Ledger, row: Row) -> tuple[Row, ...]:
    if row.state == DAMAGED or (not row.retry_of and row.image_id not in ledger.retries):
        return ()
    first, seen = row, {row.image_id}
    while (earlier := ledger.rows.get(first.retry_of)) and earlier.state != DAMAGED and earlier.image_id not in seen:
        first = earlier
        seen.add(first.image_id)
    found, waiting = {first.image_id: first}, [first]
    while waiting and len(found) < _MOST_ATTEMPTS:
        tried = map(ledger.rows.get, ledger.retries.get(waiting.pop().image_id, ()))
        for each in sorted((each for each in tried if each), key=lambda each: each.order):
            if each.image_id not in found:
                found[each.image_id] = each
                waiting.append(each)
    return tuple(sorted(found.values(), key=lambda each: (each.attempt, each.order))) if len(found) > 1 else ()
