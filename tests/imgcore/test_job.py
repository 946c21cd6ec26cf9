# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/job.py and job.schema.json."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcore import job
from imgcore.job import Job, Status
from tests.support.records import a_job, validate

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_texts = st.lists(st.text(), max_size=3).map(tuple)
_count = st.integers(0, 2**63)
_pid = st.integers(0, 2**31 - 1)
_seconds = st.floats(0, 1e12)
_time = st.just("") | st.datetimes(timezones=st.just(UTC)).map(job.timestamp)
_KNOWN = {field.name for field in dataclasses.fields(Job)}
_others = st.dictionaries(st.text().filter(lambda key: key not in _KNOWN), _json, max_size=3)


def _mapping(**kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda known, unknown: {**{f"x-{key}": value for key, value in unknown.items()}, **known},
        st.fixed_dictionaries({}, optional=kinds),
        st.dictionaries(st.text(), _json, max_size=2),
    )


def _objects(**kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    return st.lists(st.fixed_dictionaries({**kinds, "of another version": _json}), max_size=2).map(tuple)


jobs = st.builds(
    Job,
    image_id=st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,20}\Z"),
    name=st.text(),
    arch=st.text(),
    image_type=st.text(),
    revision=_count,
    prefix=st.text(),
    tokenmap=st.dictionaries(st.text(), st.text(), max_size=3),
    extra_repos=_texts,
    packages=_texts,
    status=st.sampled_from(Status),
    tags=_texts,
    emails=_texts,
    priority=st.sampled_from(["", "high"]),
    attempt=st.integers(1, 99),
    retry_of=st.text(),
    step=st.text(),
    timeout=_seconds,
    requested_at=_time,
    started_at=_time,
    updated_at=_time,
    progress=st.floats(0, 1),
    phases=st.lists(st.fixed_dictionaries({"phase": st.text(), "seconds": _seconds, "new": _json}), max_size=2).map(
        tuple
    ),
    error=st.text(),
    warnings=_texts,
    artifacts=_objects(name=st.text(), kind=st.text(), size=_count, sha256=st.text()),
    resources=_mapping(cpu_seconds=_seconds, peak_processes=_count),
    usage=_mapping(seconds=st.lists(_seconds, max_size=3), memory_bytes=st.lists(_seconds, max_size=3)),
    worker=_mapping(host=st.text(), pid=_pid),
    event=st.just({"time": job.timestamp(), "from": "", "to": "IN QUEUE", "seq": 1}),
    unknown=_others,
)


@given(jobs)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_record_reads_back_as_it_was_and_is_as_the_schema_says(record: Job) -> None:
    content = job.to_json(record)
    assert job.from_json(content) == record
    assert job.to_json(job.from_json(content)) == content
    validate(content)


@given(jobs)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_fields_of_other_versions_survive_a_read_modify_write_at_every_depth(record: Job) -> None:
    told = json.loads(job.to_json(record))
    read = job.from_json(json.dumps({**told, "schema": 99}).encode())
    again = json.loads(job.to_json(job.amend(read, {"progress": 0.5})))
    assert again == {**told, "schema": 99, "progress": 0.5}


def test_a_file_name_that_is_no_text_survives(tmp_path: object) -> None:
    record = a_job(error="cannot read \udcff\udc80 — ü")
    content = job.to_json(record)
    content.decode("utf-8")
    assert job.from_json(content) == record


def test_the_record_has_one_field_a_line_for_people_and_their_tools() -> None:
    lines = job.to_json(a_job()).decode().splitlines()
    assert (lines[0], lines[-1]) == ("{", "}")
    assert [line.split('"')[1] for line in lines[1:-1]] == [
        field.name for field in dataclasses.fields(Job) if field.name != "unknown"
    ]


def test_the_schema_describes_every_field_and_no_other() -> None:
    schema = job.schema()
    assert set(schema["properties"]) == _KNOWN - {"unknown"}
    assert all(each.get("description") for each in schema["properties"].values())
    assert schema["properties"]["status"]["enum"] == [str(status) for status in Status]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("image_id", 7, "must be text"),
        ("status", "SLEEPING", "must be one of 'IN QUEUE'"),
        ("status", ["DONE"], "must be one of"),
        ("revision", -1, "must be a whole number"),
        ("revision", True, "must be a whole number"),
        ("revision", 1.5, "must be a whole number"),
        ("attempt", 0, "must be a whole number from 1 up"),
        ("attempt", "2", "must be a whole number"),
        ("priority", "low", "must be 'high' or empty"),
        ("priority", 1, "must be text"),
        ("step", 1, "must be text"),
        ("emails", "a@b.org", "must be a list of texts"),
        ("progress", 1.5, "must be a number between 0 and 1"),
        ("timeout", "60", "must be a number"),
        ("tags", "pinned", "must be a list of texts"),
        ("tags", [1], "must be a list of texts"),
        ("tokenmap", {"a": 1}, "must be an object of texts"),
        ("tokenmap", [], "must be an object"),
        ("requested_at", "yesterday", "must be a time"),
        ("artifacts", {}, "must be a list of objects"),
        ("artifacts", [{"name": "a", "kind": "image", "size": 1}], "must have sha256"),
        ("artifacts", [{"name": "a", "kind": "image", "size": "1", "sha256": ""}], "size must be a whole number"),
        ("usage", {"seconds": 1}, "seconds must be a list of at most 1000 numbers"),
        ("usage", {"disk_bytes": [-1]}, "disk_bytes must be a number"),
        ("worker", {"pid": "1"}, "pid must be a whole number"),
        ("worker", {"pid": 1 << 31}, "pid must be the number of a process"),
        ("event", {"seq": "1"}, "seq must be a whole number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_code_and_schema_alike(field: str, value: object, says: str) -> None:
    told = json.loads(job.to_json(dataclasses.replace(a_job(), revision=1)))
    content = json.dumps({**told, field: value}).encode()
    with pytest.raises(ValueError, match=f"^field {field} ") as caught:
        job.from_json(content)
    assert says in str(caught.value)
    with pytest.raises(jsonschema.ValidationError):
        validate(content)
    with pytest.raises(ValueError, match=f"^field {field} "):
        job.amend(a_job(), {field: value})


@pytest.mark.parametrize(("field", "value"), [("timeout", 10**400), ("resources", {"wall_seconds": 10**400})])
def test_a_number_that_no_float_holds_is_refused_like_any_that_is_wrong(field: str, value: object) -> None:
    told = json.loads(job.to_json(a_job()))
    with pytest.raises(ValueError, match=f"^field {field} .*must be a number"):
        job.from_json(json.dumps({**told, field: value}).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b"[" * 100_000, b'{"x": NaN}'])
def test_what_is_no_record_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        job.from_json(content)
    assert str(caught.value).isprintable()


@given(st.binary())
def test_junk_raises_nothing_but_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"field|it is not"):
        job.from_json(content)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
def test_a_number_that_json_does_not_have_never_gets_into_a_record(value: float) -> None:
    with pytest.raises(ValueError, match=r"^field progress must be a number"):
        job.amend(a_job(), {"progress": value})


def test_a_field_that_a_job_does_not_have_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="no field progres"):
        job.amend(a_job(), {"progres": 0.5})


def test_amending_leaves_the_job_that_it_starts_from_as_it_was() -> None:
    before = a_job(tags=("a",))
    after = job.amend(before, {"tags": ["b"], "worker": {"pid": 1}})
    assert (before.tags, before.worker) == (("a",), {})
    assert after == dataclasses.replace(before, tags=("b",), worker={"pid": 1})


@given(jobs, jobs)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_job_that_was_written_and_amended_is_written_as_it_is_now(before: Job, after: Job) -> None:
    job.to_json(before)
    changes = {field: getattr(after, field) for field in ("tags", "progress", "error", "worker", "status")}
    amended = job.amend(before, changes)
    assert job.to_json(amended) == job.to_json(dataclasses.replace(before, **changes))


def test_the_states_lead_from_the_queue_to_an_end_and_only_a_finished_image_is_tested() -> None:
    assert {(str(a), str(b)) for a in Status for b in Status if job.allowed(a, b)} == {
        ("IN QUEUE", "BUILDING"),
        ("IN QUEUE", "CANCELLED"),
        ("IN QUEUE", "ERROR"),
        ("BUILDING", "DONE"),
        ("BUILDING", "ERROR"),
        ("BUILDING", "CANCELLED"),
        ("BUILDING", "IN QUEUE"),
        ("DONE", "DONE, TESTED"),
    }


def test_what_is_final_changes_no_more_but_to_tested_and_two_ends_are_good() -> None:
    assert {state for state in Status if not job.TRANSITIONS[state]} | {Status.DONE} == job.FINAL
    assert {Status.DONE, Status.TESTED} == job.GOOD


def test_times_are_utc_and_sort_as_text() -> None:
    first = job.timestamp(datetime.fromisoformat("2026-01-01T01:00:00+02:00"))
    assert first == "2025-12-31T23:00:00.000000Z"
    assert first < job.timestamp(datetime(2026, 1, 1, tzinfo=UTC)) < job.timestamp()


def test_a_record_of_a_version_before_attempts_is_a_first_attempt() -> None:
    told = json.loads(job.to_json(a_job()))
    for name in ("step", "request_step", "request_digest", "retry_of", "attempt", "priority", "emails"):
        del told[name]
    read = job.from_json(json.dumps(told).encode())
    assert (read.attempt, read.retry_of, read.step, read.priority, read.emails) == (1, "", "", "", ())
