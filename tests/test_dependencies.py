"""No package comes in whose licence nobody looked at."""

import re

import pytest

from tests.dependencies import COPYLEFT, EXCEPTIONS, PAGE, installed, locked

ROW = r"^\| (\S+) \| (\d\S*) \| (.+) \| (\w*) \|$"
ON_PAGE = {
    name: (version, licence, group)
    for name, version, licence, group in re.findall(ROW, PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
}


@pytest.fixture(scope="module")
def every():
    return installed()


@pytest.mark.parametrize("name", locked())
def test_a_package_declares_a_licence_that_is_permissive_or_an_exception(name, every):
    licence = ON_PAGE[name][1]
    # What only a group needs may not be installed where the tests run: make audit installs it.
    assert licence == every[name] or (every[name] == "not installed here" and ON_PAGE[name][2] == "lab"), "make audit"
    assert licence not in ("not declared", "not installed here"), "look its licence up and write it down"
    assert bool(COPYLEFT.search(licence)) == (name in EXCEPTIONS), licence


def test_the_page_names_the_locked_packages():
    assert {name: (version, group) for name, (version, _, group) in ON_PAGE.items()} == locked(), "make audit"
