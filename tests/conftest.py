"""What all tests share: no example of hypothesis fails for being slow, which on a busy machine says nothing."""

from hypothesis import HealthCheck, settings

settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
