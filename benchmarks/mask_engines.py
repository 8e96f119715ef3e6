"""Engines of token masks for JSON Schemas, all behind the protocol of mask scorers.

An engine is made for a vocabulary and compiles schemas; what it compiles is reset before each text,
gives a mask before each token and takes it.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from decoding.grammar import (
    CompiledGrammar,
    Machine,
    Matcher,
    compile_json_schema,
    token_table,
    warmup,
)
from decoding.grammar.schema import Schema
from decoding.models.fetch import fetch
from decoding.models.gguf import GGUFFile
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.vocabulary import Vocabulary


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
    @property
    def accepting(self) -> bool: ...


class Compiler(Protocol):
    """An engine; `compile` raises whatever it likes for what it cannot express."""

    def compile(self, schema: Schema) -> Walker: ...


class Tokens:
    """A byte-level vocabulary with its tokenizer."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary, eos: int) -> None:
        self.tokenizer, self.eos = tokenizer, eos
        self.bytes = [
            None if vocabulary.is_special(token_id) else vocabulary.bytes_of(token_id)
            for token_id in range(len(vocabulary))
        ]

    @classmethod
    def of_folder(cls, folder: Path) -> Tokens:
        """From a `tokenizer.json` and a `tokenizer_config.json`."""
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        end = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))["eos_token"]
        eos = tokenizer.token_to_id(end["content"] if isinstance(end, dict) else end)
        return cls(tokenizer, Vocabulary.from_tokenizers(tokenizer, source=folder), eos)

    @classmethod
    def of_smollm2(cls) -> Tokens:
        """SmolLM2's, which is fetched with the model."""
        metadata = GGUFFile.open(fetch("smollm2")).metadata
        found = HuggingFaceTokenizer.from_gguf(metadata)
        return cls(found.tokenizer, found.vocabulary, metadata["tokenizer.ggml.eos_token_id"])

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def pretrained(self) -> Any:  # the package has no types
        """As transformers wraps it."""
        from transformers import PreTrainedTokenizerFast

        end = self.tokenizer.id_to_token(self.eos)
        return PreTrainedTokenizerFast(tokenizer_object=self.tokenizer, eos_token=end)


class Engine:
    """This library."""

    package = "decoding-engine"

    def __init__(self, tokens: Spelled) -> None:
        special = frozenset(i for i, spelled in enumerate(tokens.bytes) if spelled is None)
        spelled = [b"" if spelled is None else spelled for spelled in tokens.bytes]
        self.machine = Machine(token_table(Vocabulary(spelled, special), [tokens.eos]))
        # Loading the machine code is the process's cost, not a schema's.
        warmup()
        # What stands now is no garbage: servers tell the collector so as well.
        gc.freeze()

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
    """llguidance as it is used alone, with the slices that it recommends for JSON."""

    package = "llguidance"

    def __init__(self, tokens: Tokens) -> None:
        import llguidance
        import llguidance.hf

        self.llguidance = llguidance
        self.tokenizer = llguidance.hf.from_tokenizer(
            tokens.pretrained(),
            eos_token=tokens.eos,
            slices=llguidance.LLTokenizer.json_slices(),
        )

    def compile(self, schema: Schema) -> LlguidanceCompiled:
        text = json.dumps({"grammars": [{"json_schema": schema}]})
        matcher = self.llguidance.LLMatcher(self.tokenizer, text)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return LlguidanceCompiled(matcher, self.tokenizer.vocab_size)


class LlguidanceCompiled:
    """One schema in llguidance."""

    def __init__(self, matcher: Any, vocab_size: int) -> None:  # has no types
        import llguidance.numpy as masks

        self.first, self.matcher, self.masks = matcher, matcher, masks
        self.out = masks.allocate_token_bitmask(1, vocab_size)

    def reset(self) -> None:
        self.matcher = self.first.deep_copy()

    def mask(self) -> NDArray[np.uint32]:
        self.masks.fill_next_token_bitmask(self.matcher, self.out, 0)
        return self.out[0].view(np.uint32)

    def advance(self, token_id: int) -> bool:
        # A token that it does not allow would leave the matcher in an error for good.
        if not int(self.out[0, token_id >> 5]) >> (token_id & 31) & 1:
            return False
        self.matcher.consume_token(token_id)
        if self.matcher.is_error():
            raise ValueError(self.matcher.get_error())
        return True

    @property
    def accepting(self) -> bool:
        return self.matcher.is_accepting()


class XgrammarEngine:
    """xgrammar with its defaults, compiling in one thread; rules stay cached across schemas."""

    package = "xgrammar"

    def __init__(self, tokens: Tokens) -> None:
        import xgrammar

        self.xgrammar = xgrammar
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokens.pretrained(), vocab_size=len(tokens.bytes), stop_token_ids=[tokens.eos]
        )
        self.width = info.vocab_size
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1)

    def compile(self, schema: Schema) -> XgrammarCompiled:
        compiled = self.compiler.compile_json_schema(json.dumps(schema))
        return XgrammarCompiled(self.xgrammar, compiled, self.width)


class XgrammarCompiled:
    """One schema in xgrammar."""

    def __init__(self, xgrammar: Any, compiled: Any, width: int) -> None:  # no types
        self.xgrammar, self.compiled = xgrammar, compiled
        self.matcher = xgrammar.GrammarMatcher(compiled)
        self.out = xgrammar.allocate_token_bitmask(1, width)
        self.row = self.out.numpy().view(np.uint32)[0]

    def reset(self) -> None:
        self.matcher = self.xgrammar.GrammarMatcher(self.compiled)

    def mask(self) -> NDArray[np.uint32]:
        self.matcher.fill_next_token_bitmask(self.out)
        return self.row

    def advance(self, token_id: int) -> bool:
        return self.matcher.accept_token(token_id)

    @property
    def accepting(self) -> bool:
        return self.matcher.is_completed()


OURS, INTERPRETED = "ours", "interpreted"
ENGINES = {
    OURS: Engine,
    # The same in a process without Numba.
    INTERPRETED: Engine,
    "llguidance": LlguidanceEngine,
    "xgrammar": XgrammarEngine,
}
