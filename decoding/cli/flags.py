"""Request parameters as command-line flags: one table, from text to `GenerationParameters`."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from decoding.cli.grammar import read_grammar
from decoding.errors import require, shown
from decoding.parameters import GenerationParameters
from decoding.request_grammar import Grammar

DEFAULT_MAX_NEW_TOKENS = 128
"""What the command allows where it is not told, or less where the context has less room."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A request parameter as a command-line flag: its name, type and help.

    convert: from the argument's text; `bool` makes the pair `--name` and `--no-name`.
    join: for a flag that may be repeated, from the list of its values to the parameter.
    """

    convert: Callable[[str], Any]
    help: str
    metavar: str | None = None
    join: Callable[[list[Any]], Any] | None = None


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser `--max-new-tokens` and its like; a flag that is not used reads None."""
    for name, flag in FLAGS.items():
        options: dict[str, Any] = {"dest": name, "default": None, "help": flag.help}
        if flag.convert is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["action"] = "append" if flag.join else "store"
            options |= {"type": flag.convert, "metavar": flag.metavar}
        parser.add_argument(f"--{name.replace('_', '-')}", **options)


def read_flags(asked: argparse.Namespace, **defaults: object) -> GenerationParameters:
    """The parameters that the flags make.

    defaults: for flags that are not used.

    Raises:
        ParameterError: a value is outside its range.
    """
    given = defaults
    for name, flag in FLAGS.items():
        value = getattr(asked, name)
        if value is not None:
            given[name] = flag.join(value) if flag.join else value
    grammar = read_grammar(asked)
    if grammar is not None:
        legal = "grammar" not in given
        require("--grammar", asked.grammar, legal, "not used beside another grammar")
        given["grammar"] = grammar
    return GenerationParameters(**given)  # type: ignore[arg-type]  # checked at run time


def _grammar(text: str) -> Grammar:
    try:
        return Grammar.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{shown(text)}: {error}") from error


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not token ids with commas") from error


def _bias(text: str) -> tuple[int, float]:
    token_id, _, value = text.partition("=")
    try:
        return int(token_id), float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not ID=VALUE") from error


def _breaker(text: str) -> str:
    """The text with the escapes of line ends, tabs and backslashes decoded, as a shell does not."""
    return re.sub(r"\\[nrt\\]", lambda found: _ESCAPES[found[0]], text)


def _breakers(texts: list[str]) -> tuple[str, ...]:
    """`none` alone, the word of llama.cpp, is for no breakers at all."""
    return () if texts == ["none"] else tuple(texts)


_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t", r"\\": "\\"}

FLAGS: Mapping[str, Flag] = MappingProxyType(
    {
        "max_new_tokens": Flag(int, f"most tokens (default: {DEFAULT_MAX_NEW_TOKENS})", "N"),
        "stop": Flag(str, "end after this text; repeatable", "TEXT", tuple),
        "do_sample": Flag(bool, "draw tokens rather than take the likeliest"),
        "seed": Flag(int, "what tokens are drawn with (default: a random one)", "N"),
        "temperature": Flag(float, "divides the logits; 0 is greedy, 1 neutral", "T"),
        "top_k": Flag(int, "keep the K likeliest tokens; 0 is neutral", "K"),
        "top_p": Flag(float, "keep the likeliest tokens of mass P; 1 is neutral", "P"),
        "typical_p": Flag(float, "keep the most typical tokens of mass P; 1 is neutral", "P"),
        "min_p": Flag(float, "keep tokens P times as likely as the likeliest; 0 is neutral", "P"),
        "repetition_penalty": Flag(float, "on tokens of prompt and text; 1 is neutral", "R"),
        "frequency_penalty": Flag(float, "on tokens of the text, each time; 0 is neutral", "R"),
        "presence_penalty": Flag(float, "on tokens of the text, once; 0 is neutral", "R"),
        "logit_bias": Flag(_bias, "add to a logit; -inf bans; repeatable", "ID=VALUE", dict),
        "repeat_last_n": Flag(int, "the three penalties see the last N tokens; -1 is all", "N"),
        "min_tokens": Flag(int, "do not end before N tokens", "N"),
        "no_repeat_ngram_size": Flag(int, "no N tokens twice in a row of N", "N"),
        "bad_words_ids": Flag(_ids, "never these tokens in a row; repeatable", "IDS", tuple),
        "bad_words": Flag(str, "never this word; repeatable", "TEXT", tuple),
        "suppress_tokens": Flag(_ids, "never these tokens", "IDS"),
        "allowed_token_ids": Flag(_ids, "these tokens alone", "IDS"),
        "dry_multiplier": Flag(float, "against repetitions by their length; 0 is neutral", "M"),
        "dry_base": Flag(float, "of DRY's powers (default: 1.75)", "B"),
        "dry_allowed_length": Flag(int, "repetitions that DRY lets be (default: 2)", "N"),
        "dry_penalty_last_n": Flag(int, "DRY sees the last N tokens; -1 is all", "N"),
        "dry_sequence_breakers": Flag(
            _breaker, "no repetition reaches across this text; repeatable", "TEXT", _breakers
        ),
        "dynatemp_range": Flag(float, "by how much the entropy moves the temperature", "R"),
        "dynatemp_exponent": Flag(float, "how it does (default: 1)", "E"),
        "epsilon_cutoff": Flag(float, "keep tokens of probability P; 0 is neutral", "P"),
        "eta_cutoff": Flag(float, "the same, less where the entropy is high; 0 is neutral", "P"),
        "top_n_sigma": Flag(float, "keep logits within N deviations; 0 is neutral", "N"),
        "top_h": Flag(float, "keep the likeliest tokens of a share of the entropy", "H"),
        "xtc_probability": Flag(float, "how often to remove the top choices; 0 is neutral", "P"),
        "xtc_threshold": Flag(float, "from which probability they are (default: 0.1)", "P"),
        "mirostat": Flag(int, "hold the surprise at a target, by version 1 or 2", "V"),
        "mirostat_tau": Flag(float, "the target in bits (default: 5)", "T"),
        "mirostat_eta": Flag(float, "how quickly to correct (default: 0.1)", "E"),
        "best_of": Flag(int, "draw N texts and keep the likeliest", "N"),
        "truncate": Flag(int, "keep the last N tokens of the prompt", "N"),
        "return_full_text": Flag(bool, "put the prompt in front of the text"),
        "details": Flag(bool, "in the JSON: how the text came about (default with --json: yes)"),
        "decoder_input_details": Flag(bool, "in the JSON: the logprobs of the prompt"),
        "top_n_tokens": Flag(int, "in the JSON: the N likeliest tokens of every step", "N"),
        "grammar": Flag(_grammar, 'what the text must match: {"type": ..., "value": ...}', "JSON"),
        "jump_forward": Flag(bool, "write tokens that the grammar forces without drawing them"),
        "watermark": Flag(bool, "watermark the text"),
        "adapter_id": Flag(str, "the adapter to use", "ID"),
    }
)
"""A flag for every field of `GenerationParameters`, in the order of `--help`."""
