"""Measures the library against its peers; run from the checkout, never installed.

python -m benchmarks.hot_loop    one decoding step, ours and peers
python -m benchmarks.engine      the loop around it
python -m benchmarks.server      the server under load, and what a step's time consists of
python -m benchmarks.parts       the passes that a step is made of
python -m benchmarks.kinds       each processor against one that stands for its kind
python -m benchmarks.green_lists  what a watermark costs a step
python -m benchmarks.embedding   what a step of the adapters adds to other engines
python -m benchmarks.masks       masks of JSON Schemas, ours and peers
python -m benchmarks.law_run     the laws of processors over every backend and format
python -m benchmarks.mask_yardstick  masks against an exact oracle, ours and peers
python -m benchmarks.tables      README.md's tables and those of docs/testing.md, from these results
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

# `python -m` puts the checkout on the path, where the folder `kernels` would pass for the package
# of that name that transformers looks for. This one is found through its own path from here on.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

# NumPy's dot products would take every core; it reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
