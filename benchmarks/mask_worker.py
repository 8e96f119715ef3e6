"""Runs one grammar engine on mask cases, in a process that can be killed.

`main` takes ENGINE SECONDS [FOLDER OF THE TOKENIZER] from the command line. It ends when a case
takes more SECONDS of the processor's time to compile, or to walk. It reads a case a line and
answers each with a line that says how long compiling took, and one with what became of the texts;
in front of them comes a line once the engine stands.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT
from benchmarks.mask_cases import Case
from benchmarks.mask_engines import ENGINES, INTERPRETED, Compiler, Spelled, Tokens, Walker

START_LIMIT_S = 300.0
_PATIENCE = 10.0
"""How many seconds pass on a busy machine for one of the processor's, at most."""
_REASON_LENGTH = 200


def compile_case(engine: Compiler, case: Case) -> tuple[Walker | None, dict[str, Any]]:
    """What an engine makes of a schema; it may refuse by any error."""
    begun = time.thread_time_ns()
    try:
        compiled = engine.compile(case.schema)
    except Exception as error:  # whatever an engine's refusal is
        reason = f"{type(error).__name__}: {error}"[:_REASON_LENGTH]
        return None, {"refused": reason, "compile_ns": time.thread_time_ns() - begun}
    return compiled, {"compile_ns": time.thread_time_ns() - begun}


def walk_case(compiled: Walker, tokens: Spelled, case: Case) -> dict[str, Any]:
    """All texts of a case twice, token by token: each mask is timed and compared with `advance`.

    A text is accepted if all its tokens were allowed and it may end there.
    """
    ids = [tokens.encode(text) for text, _ in case.texts]
    found: dict[str, Any] = {"mismatches": 0, "advance_ns": []}
    for name in ("mask_ns", "again_ns"):
        times: list[int] = []
        verdicts = [_walk(compiled, text, times, found) for text in ids]
        found[name] = times
        wrong = sum(
            verdict != valid for verdict, (_, valid) in zip(verdicts, case.texts, strict=True)
        )
        found["wrong"] = max(wrong, found.get("wrong", 0))
    return found


def _walk(compiled: Walker, ids: Sequence[int], times: list[int], found: dict[str, Any]) -> bool:
    clock = time.thread_time_ns
    compiled.reset()
    for token in ids:
        begun = clock()
        mask = compiled.mask()
        times.append(clock() - begun)
        allowed = bool(int(mask[token >> 5]) >> (token & 31) & 1)
        begun = clock()
        taken = compiled.advance(token)
        found["advance_ns"].append(clock() - begun)
        found["mismatches"] += bool(taken) != allowed
        if not taken:
            return False
    return bool(compiled.accepting)


def measured_floor(words: int) -> dict[str, float]:
    """What no engine can be below: microseconds to copy a mask, and to ask the clock."""
    rows = np.random.default_rng(0).integers(0, 2**32, (4096, words), np.uint32)
    out, copies = np.empty(words, np.uint32), []
    for row in rows:
        begun = time.perf_counter_ns()
        out[:] = row
        copies.append(time.perf_counter_ns() - begun)
    asked = []
    for _ in rows:
        begun = time.thread_time_ns()
        asked.append(time.thread_time_ns() - begun)
    return {"copy_us": float(np.median(copies)) / 1e3, "clock_us": float(np.median(asked)) / 1e3}


class _Process:
    """A worker that runs."""

    def __init__(self, command: Sequence[str]) -> None:
        self._popen = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, line: str) -> None:
        """Hand one line over, unless the process has ended."""
        if self._popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.write(f"{line}\n".encode())
                self._popen.stdin.flush()

    def answer(self, limit_s: float) -> dict[str, Any]:
        """The next line, or why there is none."""
        try:
            line = self._lines.get(timeout=limit_s)
        except queue.Empty:
            return {"failed": "time"}
        if line:
            said: dict[str, Any] = json.loads(line)
            return said
        return {"failed": "time" if self._popen.wait() == -signal.SIGPROF else "ended"}

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):  # it was killed, and the stream closed
            for line in self._popen.stdout or ():
                self._lines.put(line)
        self._lines.put(b"")


class Worker:
    """An engine's process, started when it is first needed and again after it was killed."""

    def __init__(self, command: Sequence[str], limit_s: float) -> None:
        self._command, self._limit_s = command, limit_s
        self._process: _Process | None = None

    @classmethod
    def of_engine(cls, name: str, tokenizer: Path | None, limit_s: float) -> Worker:
        """limit_s: seconds of the processor's time to compile a case, and again to walk it."""
        folder = [] if tokenizer is None else [str(tokenizer.resolve())]
        program = "from benchmarks import mask_worker; mask_worker.main()"
        if name == INTERPRETED:
            program = f"import sys; sys.modules['numba'] = None; {program}"
        command = [sys.executable, "-c", program, name, str(limit_s), *folder]
        return cls(command, _PATIENCE * limit_s)

    def start(self) -> dict[str, Any]:
        """What the worker says of itself. Raises `RuntimeError` if its engine does not stand."""
        self._process = _Process(self._command)
        said = self._process.answer(START_LIMIT_S)
        if "failed" in said:
            self.stop()
            raise RuntimeError(f"{' '.join(self._command)}: {said['failed']}")
        return said

    def run(self, case: Case) -> dict[str, Any]:
        """The worker's answer; `failed` says why there is none, or none of the texts."""
        if self._process is None:
            self.start()
        self._process.ask(json.dumps(asdict(case)))
        found: dict[str, Any] = {}
        for stage in ("compile", "texts"):
            found |= self._process.answer(self._limit_s)
            if "failed" in found:
                self.stop()
                return found | {"stage": stage}
            if "refused" in found:
                break
        return found

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process = None


def main() -> None:
    # What engines print is not an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(said: dict[str, Any]) -> None:
        answers.write(json.dumps(said) + "\n")
        answers.flush()

    name, limit, *folder = sys.argv[1:]
    try:
        tokens = Tokens.of_folder(Path(folder[0])) if folder else Tokens.of_smollm2()
        engine: Compiler = ENGINES[name](tokens)
    except ImportError as error:
        answer({"failed": str(error)})
        return
    words = (len(tokens.bytes) + 31) // 32
    answer({"tokens": len(tokens.bytes)} | measured_floor(words))
    for line in sys.stdin:
        read = json.loads(line)
        case = Case(read["name"], read["schema"], tuple(map(tuple, read["texts"])))
        # Its signal ends the process, whatever that does.
        signal.setitimer(signal.ITIMER_PROF, float(limit))
        compiled, said = compile_case(engine, case)
        answer(said)
        if compiled is not None:
            signal.setitimer(signal.ITIMER_PROF, float(limit))
            try:
                answer(walk_case(compiled, tokens, case))
            except Exception as error:  # one text's failure is not the run's
                answer({"failed": f"{type(error).__name__}: {error}"[:_REASON_LENGTH]})
        signal.setitimer(signal.ITIMER_PROF, 0.0)
