"""Leaves the tests that need an engine to `make adapters`, which sets `DECODING_TEST_ENGINES`."""

import os

collect_ignore_glob = (
    []
    if "DECODING_TEST_ENGINES" in os.environ
    else ["engine_*.py", "gguf_llama.py", "onnx_llama.py"]
)
