"""Loaded by every Python whose PYTHONPATH names this folder: lets one call of a stage go wrong, as FAULT says.

FAULT is three words: what goes wrong (a signal or an error of the system), at which audited call, at the how-manieth.
"""

import errno
import os
import signal
import sys

if "FAULT" in os.environ and "pipeline" in sys.orig_argv:
    what, where, number = os.environ["FAULT"].split()
    waiting = int(number)

    def strike(event, arguments):
        global waiting
        if event != where:
            return
        waiting -= 1
        if waiting:
            return
        if what.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, what))
        else:
            raise OSError(getattr(errno, what), os.strerror(getattr(errno, what)))

    sys.addaudithook(strike)
