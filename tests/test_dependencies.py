"""No package comes in whose licence nobody looked at."""

import re

import pytest

from tests.dependencies import COPYLEFT, EXCEPTIONS, PAGE, installed, locked


@pytest.fixture(scope="module")
def every():
    return installed()


@pytest.mark.parametrize("name", locked())
def test_a_package_declares_a_licence_that_is_permissive_or_an_exception(name, every):
    _, licence = every[name]
    assert licence not in ("not declared", "not installed here"), "look its licence up and write it down"
    assert bool(COPYLEFT.search(licence)) == (name in EXCEPTIONS), licence


def test_the_page_names_the_locked_packages():
    rows = re.findall(r"^\| (\S+) \| (\d\S*) \| .+ \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert dict(rows) == locked(), "make audit"
