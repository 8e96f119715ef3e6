"""Damaged model files give a model or a typed error, in bounded time and memory.

`make nightly` runs every case, `make test` the first few hundred of each kind.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from profiles import amount

pytest.importorskip("torch")
pytest.importorskip("gguf")

HERE = Path(__file__).parent
HANGS = 60.0  # seconds; a child that waits for a pipe uses no processor time
CASES = {
    "gguf": 10_000,
    "safetensors": 10_000,
    "config": 5_000,
    "tokenizer": 5_000,
    "texts": 5_000,
    "index": 5_000,
}
"""Examples that the profile `nightly` asks for."""


class Child:
    """A process that runs cases one after the other, and is started anew when it dies."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, 0
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "RUST_BACKTRACE": "0",
            "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
        }
        folder = self.folder / str(self.started)
        folder.mkdir()
        self.started += 1
        self.process = subprocess.Popen(
            [sys.executable, HERE / "fuzz_child.py", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self.answer(600) == "ready"
        return self.process

    def answer(self, seconds: float) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            self.process.kill()
            return f"no answer within {seconds} s"
        line = self.process.stdout.readline().strip()
        return line or f"the process ended with {self.process.wait()}"

    def run(self, kind: str, number: int) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind} {number}\n")
        self.process.stdin.flush()
        outcome = self.answer(HANGS)
        if outcome.startswith(("no answer", "the process ended")):
            self.close()
            self.start()
        return outcome

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait()


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    child = Child(tmp_path_factory.mktemp("cases"))
    yield child
    child.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_damage_costs_an_error_and_nothing_else(kind: str, child: Child) -> None:
    count = amount(check=150, full=150, nightly=CASES[kind])
    outcomes: Counter[str] = Counter()
    faults = []
    for number in range(count):
        outcome = child.run(kind, number)
        outcomes[outcome] += 1
        if outcome not in ("loaded", "refused"):
            faults.append(f"{kind} {number}: {outcome}")
    sys.stdout.write(f"{kind}: {dict(outcomes.most_common(2))}\n")
    assert not faults, f"{len(faults)} of {count}: " + "\n".join(faults[:20])
    # Files that all load, or none of which does, would say nothing.
    assert outcomes["loaded"] > count // 100
    assert outcomes["refused"] > count // 100
