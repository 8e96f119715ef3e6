"""The flags that choose a model of this process: `--model` and `--adapters`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

from decoding.models import LanguageModel
from decoding.models.fetch import KNOWN_MODELS

Load: TypeAlias = Callable[[argparse.Namespace], LanguageModel]
"""Makes the model that the flags of `add_model_flags` choose."""

ADAPTERS_HELP = "a folder of LoRA adapters, which requests name"
ADAPTERS_METAVAR = "DIR"


def add_model_flag(parser: argparse.ArgumentParser, text: str) -> None:
    """Give a parser `--model`. text: what the command does with it."""
    kinds = f"{', '.join(KNOWN_MODELS)}, a .gguf file, or a folder"
    parser.add_argument("--model", metavar="NAME|FILE|DIR", help=f"{kinds}; {text}")


def add_adapters_flag(parser: argparse.ArgumentParser) -> None:
    """Give a parser `--adapters`, the folder from which `--adapter-id` names one."""
    text = f"{ADAPTERS_HELP} by --adapter-id"
    parser.add_argument("--adapters", metavar=ADAPTERS_METAVAR, help=text)
