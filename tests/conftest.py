"""For all tests: hypothesis measures no times, for the machine may be busy."""

from hypothesis import settings

settings.register_profile("hapdask", deadline=None)
settings.load_profile("hapdask")
