"""A reproducible study of what a lender's customer relationship management does to default.

Importing the package fixes what would make numbers differ between machines, so it comes before NumPy.
"""

import ctypes
import os
import sys

# One thread and one kernel family: sums are then added in the same order on every x86 machine.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
# Nor does NumPy take what newer processors alone have: its exponentials and logarithms there have other last bits.
os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512_ICL AVX512_SPR")

# Regressions make arrays of one size again and again. glibc would give each back to the system and fetch it page by
# page anew, a sixth of all processor time; so it keeps up to a gigabyte, and takes arrays from what it keeps.
_KEEP, _APART = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
    ctypes.CDLL(None).mallopt(_KEEP, 2**30)
    ctypes.CDLL(None).mallopt(_APART, 0)
