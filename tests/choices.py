"""The files of stages, params.yaml and the studies' own files, copied into a folder and changed there."""

import re
import shutil
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.core import yaml
from pipeline.runtime import places

ROOT = Path(__file__).parents[1]


def copied(folder, *names, root=ROOT):
    """Copy the files of stages, params.yaml and its studies' files; of studies that are named with these alone.

    Fewer are quicker to read.
    """
    for file in places.PIPELINES:
        (folder / file.parent).mkdir(exist_ok=True)
        shutil.copy(root / file, folder / file)
    text = (root / "params.yaml").read_text(encoding="utf-8")
    for file in root.glob(places.choices("*").as_posix()):
        name = file.parent.name
        if not names or name in names:
            (folder / places.choices(name)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / places.choices(name))
        else:
            text = re.sub(rf"(?m)^    {name}: \{{\}}\n|(?<=^  studies: ){name}, |, {name}(?=, |$)", "", text)
    # A kind that is left without a study.
    head, mark, listed = text.partition("\nstudies:\n")
    listed = re.sub(r"(?m)^(  \w+:(?: &\w+)?)\n(?!   )", r"\1 {}\n", listed)
    (folder / "params.yaml").write_text(head + mark + listed, encoding="utf-8")


def contents():
    """Return what params.yaml holds, with each study's own choices under its name in ``studies``."""
    files = sorted(ROOT.glob(places.choices("*").as_posix()))
    studies = {file.parent.name: {"module": file.parent.name} | yaml.read(file) for file in files}
    return yaml.read(ROOT / "params.yaml") | {"studies": studies}


def edit(path, change):
    """Change what a YAML file holds, and keep its comments."""
    yaml = YAML()
    yaml.width = 1000
    content = yaml.load(path.read_text(encoding="utf-8"))
    change(content)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
