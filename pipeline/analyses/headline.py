"""What analyses of the headline regressions share: its terms, and rows that count its loans."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.core.protocol import Study
from pipeline.stats.samples import number_treated


def terms(protocol: Study) -> list[str]:
    """Return every control, time effects first: where they determine national series, those are dropped."""
    ladder = protocol.controls.ladder()
    return list(dict.fromkeys([*protocol.controls.time, *([*ladder.values()][-1] if ladder else [])]))


def row(named: Mapping[str, str], loans: pd.DataFrame, cluster: str, **more: Any) -> dict[str, Any]:
    """Return a row on default: what it is (`named`), the numbers of its loans and of their clusters, and `more`."""
    counts = {"n": len(loans), "n_treated": number_treated(loans), "n_clusters": loans[cluster].nunique()}
    return {"outcome": "default"} | dict(named) | counts | more
