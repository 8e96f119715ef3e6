"""Child process that runs fuzz cases: reads a kind and a number, writes the result.

Run as `python fuzz_child.py FOLDER`. A case that takes more than two seconds of processor time
kills the process, and the system refuses it memory beyond a gigabyte more than it began with.
"""

from __future__ import annotations

import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import fuzz_seeds as seeds
from fuzz_mutations import mutated_bytes, mutated_json

from decoding.errors import DecodingError
from decoding.models import load

KINDS = ("gguf", "safetensors", "config", "tokenizer", "texts", "index")
SECONDS = 2.0
BYTES = 1 << 30
_TEXT = "A cab's  12 aab\n<s>--🙂"


class Case(NamedTuple):
    """A kind of file: the model that it belongs to, and what damages it."""

    model: Path
    file: Path
    damaged: Callable[[int], bytes]


def gguf_case(folder: Path) -> Case:
    wholes = []
    for model in ("gpt2", "llama"):
        seeds.write_gguf(folder / "seed.gguf", model)
        wholes.append((folder / "seed.gguf").read_bytes())
    weights = sum(map(len, (wholes[0], wholes[1]))) // 4  # about half of a file is its metadata

    def damaged(number: int) -> bytes:
        whole = wholes[number % 2]
        return mutated_bytes(f"gguf-{number}", whole, header=len(whole) - weights)

    return Case(folder / "case.gguf", folder / "case.gguf", damaged)


def safetensors_case(folder: Path) -> Case:
    seeds.write_folder(folder, sharded=False)
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    return Case(folder, path, lambda number: mutated_bytes(f"tensors-{number}", whole, header))


def json_case(kind: str, folder: Path) -> Case:
    name, value, names, parts = {
        "config": ("config.json", seeds.CONFIG, seeds.CONFIG_NAMES, seeds.CONFIG_PARTS),
        "tokenizer": (
            "tokenizer.json",
            seeds.TOKENIZER,
            seeds.TOKENIZER_NAMES,
            seeds.TOKENIZER_PARTS,
        ),
        "texts": ("tokenizer_config.json", seeds.TEXTS, seeds.TEXTS_NAMES, seeds.TEXTS_PARTS),
        "index": (
            "model.safetensors.index.json",
            seeds.index(),
            seeds.INDEX_NAMES,
            seeds.INDEX_PARTS,
        ),
    }[kind]
    seeds.write_folder(folder, sharded=kind == "index")

    def damaged(number: int) -> bytes:
        return mutated_json(f"{kind}-{number}", value, names, parts)

    return Case(folder, folder / name, damaged)


def case(kind: str, folder: Path) -> Case:
    folder.mkdir()
    if kind == "gguf":
        return gguf_case(folder)
    return safetensors_case(folder) if kind == "safetensors" else json_case(kind, folder)


def use(path: Path) -> None:
    """Load a model, and ask everything of it that reads what the files said."""
    model = load(path)
    ids = [1, 2]
    if model.tokenizer is not None:
        for special in (True, False):
            ids = model.tokenizer.encode(_TEXT, add_special_tokens=special)[:8] or ids
        vocabulary = model.tokenizer.vocabulary
        for token_id in range(len(vocabulary)):
            vocabulary.text_of(token_id)
    prefill = getattr(model.forward, "prefill")  # of a cached model
    prefill([ids])


def outcome_of(path: Path) -> str:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        use(path)
    except DecodingError as error:
        return "refused" if len(str(error)) < 5000 else "a message of 5,000 characters"
    except BaseException:  # a panic of the Rust side is no Exception
        return traceback.format_exc()[-1500:].replace("\n", " | ")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "loaded"


def say(outcome: str) -> None:
    sys.stdout.write(f"{outcome}\n")
    sys.stdout.flush()


def main(folder: str) -> None:
    cases = {kind: case(kind, Path(folder) / kind) for kind in KINDS}
    for whole in (cases["config"].model, cases["index"].model):
        use(whole)  # whatever is imported late is there before memory is measured
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    say("ready")
    for line in sys.stdin:
        kind, number = line.split()
        model, file, damaged = cases[kind]
        whole = file.read_bytes() if file.exists() else b""
        file.write_bytes(damaged(int(number)))
        say(outcome_of(model))
        file.write_bytes(whole)


if __name__ == "__main__":
    main(*sys.argv[1:])
