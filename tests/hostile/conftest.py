import shutil

import pytest

from pipeline.__main__ import main
from pipeline.stats import classifiers
from tests.choices import copied
from tests.hostile.place import STUDY, loans


@pytest.fixture(scope="session")
def furnished(tmp_path_factory):
    """A folder in which a reader's study was set up, prepared and given a saved score."""
    folder = tmp_path_factory.mktemp("furnished")
    copied(folder, "berka")
    loans(900).to_csv(folder / "loans.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(classifiers, "FOREST_TREES", 5)
        patch.setattr(classifiers, "BOOSTED_TREES", 20)
        assert main(["init-study", STUDY, "--data", "loans.csv"]) == 0
        for stage in ("intake", "prepare", "predict"):
            assert main([stage, "--study", STUDY]) == 0
    return folder


@pytest.fixture
def place(furnished, tmp_path, monkeypatch):
    """A copy of it, as the folder at work."""
    folder = tmp_path / "work"
    shutil.copytree(furnished, folder)
    monkeypatch.chdir(folder)
    return folder
