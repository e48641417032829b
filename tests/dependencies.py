"""What the locked packages are and under which licences: `python -m tests.dependencies` writes docs/dependencies.md."""

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/dependencies.md"

SPDX = {
    "MIT": "MIT", "MIT License": "MIT", "Expat license": "MIT", "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0",
    "Apache-2": "Apache-2.0", "BSD": "BSD", "BSD License": "BSD", "BSD 3-Clause": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause", "BSD 3-Clause License": "BSD-3-Clause",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "ISC License (ISCL)": "ISC",
    "The Unlicense (Unlicense)": "Unlicense",
}  # fmt: skip
"""Names of licences as packages write them."""

COPYLEFT = re.compile(r"GPL|GNU|MPL|Mozilla|EUPL|CDDL|EPL|Eclipse|CC-BY-SA|Sleepycat|QPL", re.IGNORECASE)


def locked():
    """Return version and group of every locked package, by name; what every reader needs has no group."""
    found = {}
    for lock in sorted(ROOT.glob("requirements*.lock"), key=lambda path: (path.stem != "requirements", path.stem)):
        group = lock.stem.removeprefix("requirements").removeprefix("-")
        for name, version in re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), flags=re.M):
            found.setdefault(name, (version, group))
    return dict(sorted(found.items()))


def licence(package):
    """Return the licence that an installed package declares: its expression, its classifiers, or its own words."""
    about = metadata.metadata(package)
    if said := about.get("License-Expression"):
        return said
    classes = [
        line.rsplit(" :: ", 1)[-1]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    short = (about.get("License") or "").strip().splitlines()
    own = [short[0]] if len(short) == 1 and len(short[0]) < 60 else []
    named = classes or own
    if not named:
        files = [file for file in metadata.files(package) or [] if re.search(r"licen[cs]e|copying", str(file), re.I)]
        text = " ".join(file.read_text() for file in files[:1])
        named = [name for name in ("MIT License", "Apache License", "BSD", "GNU") if name in text] or ["not declared"]
        named = ["BSD"] if named == ["not declared"] and "Redistribution and use in source" in text else named
    return " AND ".join(sorted({SPDX.get(name, name) for name in named}))


def installed():
    """Return the licence of every locked package, by name; of those that no machine here has, what is known."""
    found = {}
    for name in locked():
        try:
            found[name] = licence(name)
        except metadata.PackageNotFoundError:
            found[name] = ELSEWHERE.get(name, "not installed here")
    return found


ELSEWHERE = {
    "appnope": "BSD-2-Clause", "py4j": "BSD-3-Clause", "pyspark": "Apache-2.0", "pywin32": "PSF-2.0", "pywinpty": "MIT",
}  # fmt: skip
"""Packages that only macOS, Windows or Spark needs."""

OF_FILES = "its files stay under its own licence; nothing here changes or copies them"
EXCEPTIONS = {
    "asyncssh": "comes with DVC for remotes over SSH, which nothing here uses; EPL-2.0 may be chosen",
    "certifi": f"a list of certificates; {OF_FILES}",
    "dulwich": "comes with DVC; Apache-2.0 may be chosen",
    "fqdn": f"comes with JupyterLab; {OF_FILES}",
    "grandalf": "comes with DVC, which draws graphs on a terminal with it; offered under EPL-1.0 as well",
    "hypothesis": f"for the tests only; {OF_FILES}",
    "orjson": f"comes with DVC's tools; {OF_FILES}",
    "pathspec": f"comes with DVC; {OF_FILES}",
    "pygit2": "comes with DVC; its exception allows programs of any licence to link to it",
    "shtab": f"comes with DVC; {OF_FILES}",
    "tqdm": f"progress of downloads; {OF_FILES}",
}
"""Packages under copyleft, each with why it may be used all the same."""

TEXT = """\
# What this software stands on

Every package of [`requirements.lock`](../requirements.lock), which every reader needs, and of the locks of groups,
which are added when asked for (`make lab`, `make test`, `make .venv/dask`, `make .venv/spark`), with its version and
the licence that it declares. `make audit` writes this page anew, and a test fails when a package comes in under
copyleft that is not among the exceptions below.

Known vulnerabilities are asked for with `pip-audit -r requirements.lock --no-deps --disable-pip`, and so for each lock.
It needs the network: it has no database of its own, and where it cannot reach one it reports every package as not
audited. Every package is pinned to a version and to the checksums of its files, so that what is installed is what was
looked at.

## Exceptions

pandoc (GPL-2.0-or-later), which pypandoc-binary brings along, runs as a separate program. The others:

| package | licence | why it may be used |
|---|---|---|
{exceptions}

## All packages

| package | version | licence | group |
|---|---|---|---|
{packages}
"""


def page():
    """Return the page in Markdown."""
    licences = installed()
    exceptions = "\n".join(f"| {name} | {licences[name]} | {why} |" for name, why in EXCEPTIONS.items())
    packages = "\n".join(
        f"| {name} | {version} | {licences[name]} | {group} |" for name, (version, group) in locked().items()
    )
    return TEXT.format(exceptions=exceptions, packages=packages)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(locked())} packages")
