# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for all tests."""

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of what is tested.
settings.register_profile("any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for real parts of a busy machine gets a second try; the run lists who needed it.

    A broker, a browser or an emulated machine has its own pace, and a test's patience may end a moment too early. Who
    fails twice fails. A test of our own logic alone gets no second try.
    """
    for item in items:
        if item.get_closest_marker("real") or item.get_closest_marker("vm"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What went wrong at a first try is shown, also where the second was well."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
