"""No package comes in whose licence nobody looked at."""

import re

import pytest

from tests.dependencies import COPYLEFT, EXCEPTIONS, PAGE, installed, locked

EVERY = installed()


@pytest.mark.parametrize("name", EVERY)
def test_a_package_declares_a_licence_that_is_permissive_or_an_exception(name):
    _, licence = EVERY[name]
    assert licence not in ("not declared", "not installed here"), "look its licence up and write it down"
    assert bool(COPYLEFT.search(licence)) == (name in EXCEPTIONS), licence


def test_the_page_names_the_locked_packages():
    rows = re.findall(r"^\| (\S+) \| (\d\S*) \| .+ \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert dict(rows) == locked(), "make audit"


def test_every_package_is_pinned_with_checksums():
    text = (PAGE.parents[1] / "requirements.lock").read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", text)
    pinned = [block for block in blocks if re.match(r"[A-Za-z0-9._-]+==", block)]
    assert len(pinned) >= len(locked()) and all("--hash=sha256:" in block for block in pinned)
    assert not re.search(r"(?m)^\s*(-e|--index-url|--extra-index-url|git\+|https?://)", text)
