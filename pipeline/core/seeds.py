"""Seeds of what is drawn: one a study, an analysis and a part of it, so that no part's draws move another's."""

import zlib


def seed_of(seed: int | str, *what: str) -> int:
    """Return the seed of what is drawn under these names, from the one in params.yaml."""
    return zlib.crc32(" ".join([str(seed), *what]).encode())
