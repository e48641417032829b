"""Simulate a study's raw tables, and put the truth where no analysis looks."""

import shutil

from pipeline.core.params import Params
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.studies.reference.generator import generate
from pipeline.studies.reference.settings import Settings


def run(study: str, params: Params) -> str:
    """Write the raw tables as lenders' systems would, and the truth apart from them."""
    protocol = params.study(study)
    if not protocol.simulated:
        raise StudyError(f"{places.choices(study)} has no scenario: only studies that have one are simulated.")
    tables, truth = places.interim(study), places.truth(study)
    generate(Settings(scenario=protocol.scenario, scale=protocol.scale), params.seed, tables)
    shutil.rmtree(truth, ignore_errors=True)
    truth.parent.mkdir(parents=True, exist_ok=True)
    (tables / "truth").replace(truth)
    return f"scenario {protocol.scenario}, scale {protocol.scale:g}"
