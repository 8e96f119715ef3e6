"""Token masks for JSON Schemas: this engine and its peers over the same texts, in one run.

    python -m benchmarks.masks --tokenizer DIR --cases DIR [--engines ours,llguidance] [--json F]

DIR of the tokenizer holds a byte-level `tokenizer.json` and `tokenizer_config.json`; DIR of the
cases holds files of MaskBench: a schema, and texts that are valid or not. A text is accepted if
every one of its tokens was allowed. Times are thread CPU times of every mask of a schema that was
never seen before.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from decoding.errors import GrammarError
from decoding.grammar import Machine, Matcher, compile_json_schema, token_table
from decoding.grammar.compiled import CompiledGrammar
from decoding.grammar.schema import Schema
from decoding.models.token_bytes import vocabulary_of


class Spelled(Protocol):
    """A vocabulary: `bytes[i]` is what token i spells, `None` for special tokens."""

    bytes: list[bytes | None]
    eos: int

    def encode(self, text: str) -> list[int]: ...


class Walker(Protocol):
    """One compiled schema, and one text on its way through it."""

    def reset(self) -> None: ...
    def mask(self) -> NDArray[np.uint32]: ...
    def advance(self, token_id: int) -> bool: ...


class Compiler(Protocol):
    """An engine."""

    def compile(self, schema: Schema) -> Walker: ...


class Vocabulary:
    """The vocabulary of a folder with a tokenizer."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        known = vocabulary_of(self.tokenizer, folder)
        self.bytes = [
            None if known.is_special(token_id) else known.bytes_of(token_id)
            for token_id in range(len(known))
        ]
        end = json.loads((folder / "tokenizer_config.json").read_text())["eos_token"]
        self.eos = self.tokenizer.token_to_id(end["content"] if isinstance(end, dict) else end)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids


class Engine:
    """This library behind the protocol of mask scorers: compile, then reset, mask, advance."""

    package = "decoding-engine"

    def __init__(self, tokens: Spelled) -> None:
        from decoding.vocabulary import Vocabulary as Tokens

        special = frozenset(i for i, spelled in enumerate(tokens.bytes) if spelled is None)
        spelled = [b"" if spelled is None else spelled for spelled in tokens.bytes]
        self.machine = Machine(token_table(Tokens(spelled, special), [tokens.eos]))
        # The first walk loads the machine code: that is the process's cost, not a schema's.
        first = self.compile({"type": "object", "properties": {"a": {"type": "string"}}})
        first.reset()
        for token_id in tokens.encode('{"a": "b", "c": [1.5, null]}'):
            first.mask()
            first.advance(token_id)

    def compile(self, schema: Schema) -> Compiled:
        return Compiled(compile_json_schema(schema, self.machine))


class Compiled:
    """One schema, one text at a time."""

    def __init__(self, grammar: CompiledGrammar) -> None:
        self.grammar = grammar
        self.matcher: Matcher = grammar.matcher()

    def reset(self) -> None:
        self.matcher = self.grammar.matcher()

    def mask(self) -> NDArray[np.uint32]:
        return self.matcher.mask()

    def advance(self, token_id: int) -> bool:
        return self.matcher.advance(token_id)

    @property
    def accepting(self) -> bool:
        return self.matcher.is_accepting


class LlguidanceEngine:
    """llguidance with the slices that it recommends for JSON."""

    package = "llguidance"

    def __init__(self, tokens: Vocabulary) -> None:
        import llguidance
        import llguidance.hf
        from transformers import PreTrainedTokenizerFast

        wrapped = PreTrainedTokenizerFast(
            tokenizer_object=tokens.tokenizer, eos_token=tokens.tokenizer.id_to_token(tokens.eos)
        )
        self.llguidance = llguidance
        self.tokenizer = llguidance.hf.from_tokenizer(
            wrapped, eos_token=tokens.eos, slices=llguidance.LLTokenizer.json_slices()
        )

    def compile(self, schema: Schema) -> LlguidanceCompiled:
        text = json.dumps({"grammars": [{"json_schema": schema}]})
        matcher = self.llguidance.LLMatcher(self.tokenizer, text)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return LlguidanceCompiled(matcher, self.tokenizer.vocab_size)


class LlguidanceCompiled:
    """One schema in llguidance."""

    def __init__(self, matcher: Any, vocab_size: int) -> None:  # noqa: ANN401 -- has no types
        import llguidance.numpy as masks

        self.first, self.matcher, self.masks = matcher, matcher, masks
        self.out = masks.allocate_token_bitmask(1, vocab_size)

    def reset(self) -> None:
        self.matcher = self.first.deep_copy()

    def mask(self) -> NDArray[np.uint32]:
        self.masks.fill_next_token_bitmask(self.matcher, self.out, 0)
        return self.out[0].view(np.uint32)

    def advance(self, token_id: int) -> bool:
        if not int(self.out[0, token_id >> 5]) >> (token_id & 31) & 1:
            return False
        self.matcher.consume_token(token_id)
        return not self.matcher.is_error()


ENGINES = {"ours": Engine, "llguidance": LlguidanceEngine}


@dataclass
class Score:
    """What one engine did with all cases; times in microseconds, of compiling in milliseconds."""

    schemas: int = 0
    compiled: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    compile_ms: list[float] = field(default_factory=list)
    mask_us: list[float] = field(default_factory=list)


def score(engine: Compiler, tokens: Vocabulary, files: list[Path]) -> Score:
    """Every schema once, every one of its texts token by token."""
    result = Score()
    for path in files:
        case = json.loads(path.read_text())
        result.schemas += 1
        begun = time.thread_time_ns()
        try:
            compiled = engine.compile(case["schema"])
        except (GrammarError, ValueError) as error:
            result.refused[path.name] = str(error)[:200]
            continue
        result.compile_ms.append((time.thread_time_ns() - begun) / 1e6)
        result.compiled += 1
        for test in case["tests"]:
            compiled.reset()
            accepted = True
            for token_id in tokens.encode(json.dumps(test["data"], ensure_ascii=False)):
                begun = time.thread_time_ns()
                compiled.mask()
                result.mask_us.append((time.thread_time_ns() - begun) / 1e3)
                if not compiled.advance(token_id):
                    accepted = False
                    break
            if accepted != test["valid"]:
                result.wrong.append(path.name)
                break
    return result


def summary(result: Score) -> dict[str, Any]:
    """The figures of one engine."""
    figures: dict[str, Any] = {
        "schemas": result.schemas,
        "compiled": result.compiled,
        "wrong": len(result.wrong),
    }
    for name in ("compile_ms", "mask_us"):
        values = getattr(result, name) or [float("nan")]
        quantiles = np.percentile(values, (50, 90, 99, 100)).round(2).tolist()
        figures[name] = dict(zip(("p50", "p90", "p99", "max"), quantiles, strict=True))
        figures[name]["mean"] = round(float(np.mean(values)), 2)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--engines", default="ours")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    tokens = Vocabulary(arguments.tokenizer)
    files = sorted(arguments.cases.glob("*.json"))
    written = {}
    for name in arguments.engines.split(","):
        result = score(ENGINES[name](tokens), tokens, files)
        written[name] = {"summary": summary(result), **asdict(result)}
        del written[name]["mask_us"], written[name]["compile_ms"]
        print(name, json.dumps(written[name]["summary"], indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(written, indent=1))


if __name__ == "__main__":
    main()
