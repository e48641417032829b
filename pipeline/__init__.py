"""A reproducible study of what a lender's customer relationship management does to default.

Importing the package fixes what would make numbers differ between machines, so it comes before NumPy.
"""

import os

# One thread and one kernel family: sums are then added in the same order on every x86 machine.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
