import functools

import pytest
from hypothesis import settings

from pipeline.runtime import code

# How long a case takes is for the benchmarks to say: on a busy machine a limit fails for no fault of the code.
settings.register_profile("without_clock", deadline=None)
settings.load_profile("without_clock")


@pytest.fixture(scope="session")
def parsed_once():
    """Modules are read again for every copy of the house, nearly all with the same text: each text is parsed once."""
    nodes, cut = functools.cache(code._nodes), code._settled
    kept = functools.cache(lambda text: cut(text, nodes(text)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "_nodes", nodes)
        patch.setattr(code, "_settled", lambda text, _: kept(text))
        yield
