"""Reads a tokenizer's vocabulary from GGUF metadata, with llama.cpp's defaults.

Source: llama.cpp, `llama-vocab.cpp`, `llama_vocab::impl::load`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from decoding.models.fields import Fields
from decoding.models.files import shown
from decoding.models.pre_tokenizers import SPLITTERS, Splitter
from decoding.vocabulary.limits import MOST_CHARACTERS, MOST_TOKENS

_T = TypeVar("_T")
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of tokens. Control, unknown and user-defined tokens are found in a text as a whole."""

SENTENCE_PIECE, BYTE_LEVEL = "llama", "gpt2"
"""Values of `tokenizer.ggml.model` that are implemented."""
_BARE = ("no_vocab", "none")
_MOST_CUTS = 1 << 30
"""Largest sum of the squared lengths of SentencePiece tokens, each of which is cut everywhere.

Real vocabularies have 3·10⁷."""

_DEFAULT_IDS = MappingProxyType(
    {
        SENTENCE_PIECE: {"bos": 1, "eos": 2, "unknown": 0},
        BYTE_LEVEL: {"bos": 11, "eos": 11},  # Falcon's end of text
    }
)
_END_KEYS = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")
_END_TEXTS = frozenset(
    (
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
        "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
        "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
        "<｜end▁of▁sentence｜>", "[e~[",
        # What pads, or begins the next file, in a model of code.
        "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>",
        "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
    )
)  # fmt: skip
"""Texts of tokens that end a turn."""
_CHANNEL_ENDS = tuple(
    {call, other} for call in ("<|call|>", "<|calls|>") for other in ("<|return|>", "<|flush|>")
)
"""Where a vocabulary has both of a pair, `<|end|>` ends a part of an answer, not the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GGUFVocabulary:
    """Tokens by id, with their types, scores, merges and special tokens.

    model: "llama" (SentencePiece) or "gpt2" (byte-level BPE).
    types: a type each; a token whose text ends a turn is a control token.
    scores: of SentencePiece; 0 where a file has none.
    merges: of byte-level BPE, by rank.
    splitter: how byte-level BPE cuts text; None for SentencePiece.
    special_ids: of "bos", "eos", "unknown" and "padding", those that exist.
    begin, end: ids that a prompt gets in front and behind.
    space_prefix: SentencePiece puts a space in front of a text.
    end_token_ids: tokens that end a turn, by the file's keys or by their text.
    """

    model: str
    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[tuple[str, str]]
    splitter: Splitter | None
    special_ids: Mapping[str, int]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    space_prefix: bool
    end_token_ids: frozenset[int]

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], path: object = "GGUF metadata"
    ) -> GGUFVocabulary | None:
        """Read the vocabulary; None if the file has none.

        Raises:
            ModelFormatError: the tokenizer's model or pre-tokenizer is not known, a value has a
                wrong type, or tokens, types, scores and merges do not fit together.
        """
        fields = Fields(metadata, path, "tokenizer.ggml.")
        model = fields.text("model", "")
        if model in _BARE:
            return None
        if model not in _DEFAULT_IDS:
            known = ", ".join(repr(name) for name in _DEFAULT_IDS)
            raise fields.error(
                f"tokenizer model {shown(model)} is not implemented; implemented are {known}"
            )
        tokens = _list(fields, "tokens", str)
        if not 0 < len(tokens) <= MOST_TOKENS:
            raise fields.error(
                f"tokenizer.ggml.tokens must have at least one token and at most {MOST_TOKENS},"
                f" got {len(tokens)}"
            )
        tokens = [token or f"[EMPTY_{index}]" for index, token in enumerate(tokens)]
        if len(set(tokens)) != len(tokens):
            twice = next(token for token, count in Counter(tokens).items() if count > 1)
            raise fields.error(f"tokenizer.ggml.tokens must be distinct, got {shown(twice)} twice")
        longest = max(tokens, key=len)
        if len(longest) > MOST_CHARACTERS:
            raise fields.error(
                f"tokenizer.ggml.tokens must have at most {MOST_CHARACTERS} characters each,"
                f" got {len(longest)}: {shown(longest)}"
            )
        if model == SENTENCE_PIECE and sum(len(token) ** 2 for token in tokens) > _MOST_CUTS:
            raise fields.error(
                "tokenizer.ggml.tokens must be short: the squares of their lengths have a sum"
                f" above {_MOST_CUTS}"
            )
        types = _list(fields, "token_type", int, [NORMAL] * len(tokens))
        scores = _list(fields, "scores", float, [0.0] * len(tokens))
        for name, values in (("token_type", types), ("scores", scores)):
            if len(values) < len(tokens):
                raise fields.error(
                    f"tokenizer.ggml.{name} must have a value for each of {len(tokens)} tokens,"
                    f" got {len(values)}"
                )
        if any(math.isnan(score) for score in scores):
            raise fields.error("tokenizer.ggml.scores must be numbers, got nan")
        splitter = _splitter(fields) if model == BYTE_LEVEL else None
        special = _special_ids(fields, model, tokens, types)
        end_token_ids = _end_token_ids(tokens, special)
        types = [
            CONTROL if index in end_token_ids and token in _END_TEXTS else kind
            for index, (token, kind) in enumerate(zip(tokens, types, strict=False))
        ]
        add_bos = splitter is None or splitter.add_bos
        return cls(
            model=model,
            tokens=tokens,
            types=types,
            scores=scores[: len(tokens)],
            merges=_merges(fields) if model == BYTE_LEVEL else [],
            splitter=splitter,
            special_ids=special,
            begin=_added(fields, "bos", special, default=add_bos),
            end=_added(fields, "eos", special, default=False),
            space_prefix=fields.flag("add_space_prefix", default=True),
            end_token_ids=end_token_ids,
        )


def _list(fields: Fields, key: str, kind: type[_T], default: list[_T] | None = None) -> list[_T]:
    values = fields.get(key, default)
    wanted = (float, int) if kind is float else kind
    if not isinstance(values, list) or not all(isinstance(value, wanted) for value in values):
        raise fields.error(
            f"tokenizer.ggml.{key} must be a list of {kind.__name__}, got {shown(values)}"
        )
    return values


def _splitter(fields: Fields) -> Splitter:
    pre = fields.text("pre", "default") or "default"
    if pre not in SPLITTERS:
        known = ", ".join(SPLITTERS)
        raise fields.error(
            f"pre-tokenizer {shown(pre)} is not implemented; implemented are {known}"
        )
    return SPLITTERS[pre]


def _merges(fields: Fields) -> list[tuple[str, str]]:
    """Split a merge at its space; the first token may begin with a space."""
    merges = []
    for index, merge in enumerate(_list(fields, "merges", str)):
        cut = merge.find(" ", 1)
        if cut < 0:
            raise fields.error(f"tokenizer.ggml.merges[{index}] must be two tokens: {shown(merge)}")
        merges.append((merge[:cut], merge[cut + 1 :]))
    return merges


def _special_ids(
    fields: Fields, model: str, tokens: Sequence[str], types: Sequence[int]
) -> dict[str, int]:
    """Read the ids of special tokens; ids beyond the vocabulary are ignored, as in llama.cpp."""
    found: dict[str, int] = {}
    defaults = _DEFAULT_IDS[model]
    for name in ("bos", "unknown", "padding", *_END_KEYS):
        token_id = fields.get(f"{name}_token_id")
        if token_id is None and name in defaults:
            token_id = defaults[name]
            # Falcon's number says something only in a vocabulary where it is no piece of text.
            if model == BYTE_LEVEL and (token_id >= len(tokens) or types[token_id] != CONTROL):
                token_id = None
        if token_id is None:
            continue
        if isinstance(token_id, bool) or not isinstance(token_id, int):
            raise fields.error(
                f"tokenizer.ggml.{name}_token_id must be a token id, got {shown(token_id)}"
            )
        if 0 <= token_id < len(tokens):
            found[name] = token_id
    return found


def _added(
    fields: Fields, name: str, special: Mapping[str, int], *, default: bool
) -> tuple[int, ...]:
    """The token that is added before or after a prompt, if any."""
    if not fields.flag(f"add_{name}_token", default=default):
        return ()
    if name in special:
        return (special[name],)
    if fields.get(f"add_{name}_token") is None:
        return ()
    raise fields.error(
        f"tokenizer.ggml.{name}_token_id must be a token, as add_{name}_token is true,"
        f" got {shown(fields.get(f'{name}_token_id'))}"
    )


def _end_token_ids(tokens: Sequence[str], special: Mapping[str, int]) -> frozenset[int]:
    ids = {special[name] for name in _END_KEYS if name in special}
    ids |= {token_id for token_id, token in enumerate(tokens) if token in _END_TEXTS}
    by_text = {tokens[token_id]: token_id for token_id in ids}
    if any(pair <= by_text.keys() for pair in _CHANNEL_ENDS):
        ids.discard(by_text.get("<|end|>", -1))
    if "<|tool_response>" in by_text or "<|plamo:eos|>" in by_text:
        ids.discard(by_text.get("</s>", -1))
    return frozenset(ids)
