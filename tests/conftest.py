"""Settings of all tests: no time limits for hypothesis, because slow examples on a busy machine are no failures."""

from hypothesis import HealthCheck, settings

settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
