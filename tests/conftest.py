"""Settings all tests share."""

from hypothesis import HealthCheck, settings

# A busy machine must not fail a test: speed is measured in benchmarks/, never asserted here.
settings.register_profile("equipoise", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("equipoise")
