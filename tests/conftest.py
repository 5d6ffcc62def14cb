"""Settings that all tests share."""

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, and no deadline: a busy machine must not fail a test.
settings.register_profile(
    "fgbg",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fgbg")

SLOW_SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests have more time than pyproject.toml gives to all before they count as hung."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))
