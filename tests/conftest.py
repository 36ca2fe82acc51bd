"""Property tests are judged by what they find, not by how busy the machine is; and every run of them is the same.

`--hypothesis-profile=explore` looks further, at other examples in each run.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable", settings.default, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", settings.get_profile("repeatable"), derandomize=False, max_examples=1000)
settings.load_profile("repeatable")
