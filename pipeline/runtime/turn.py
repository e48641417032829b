"""``python -m pipeline.runtime.turn NAME SUBJECT COMMAND ...``: run a command when no other NAME is under way."""

import subprocess
import sys

from pipeline.runtime.runs import alone

if __name__ == "__main__":
    name, subject, *command = sys.argv[1:]
    with alone(name, subject):
        sys.exit(subprocess.call(command))
