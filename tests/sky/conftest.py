"""No test asserts a time, so hypothesis must not either."""

from hypothesis import settings

settings.register_profile("sky", deadline=None)
settings.load_profile("sky")
