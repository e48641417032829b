from hypothesis import settings

# How long a case takes is for the benchmarks to say: on a busy machine a limit fails for no fault of the code.
settings.register_profile("without_clock", deadline=None)
settings.load_profile("without_clock")
