"""Settings that all tests share."""

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
