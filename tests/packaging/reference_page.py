"""The public names of the library, and `docs/reference.md`, which lists them.

`python tests/packaging/reference_page.py` (`make reference`) rewrites the page.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"

PACKAGES = (
    "decoding",
    "decoding.processors",
    "decoding.processors.feedback",
    "decoding.processors.adaptive_p",
    "decoding.processors.mirostat",
    "decoding.presets",
    "decoding.grammar",
    "decoding.grammar.peers.llguidance",
    "decoding.grammar.peers.xgrammar",
    "decoding.watermark",
    "decoding.distributed",
    "decoding.inspect",
    "decoding.sampling",
    "decoding.sampling.sequences",
    "decoding.audit",
    "decoding.engine",
    "decoding.engine.front",
    "decoding.wire",
    "decoding.wire.openai",
    "decoding.wire.provenance",
    "decoding.wire.sse",
    "decoding.chat",
    "decoding.server",
    "decoding.models",
    "decoding.models.chat",
    "decoding.models.config",
    "decoding.models.tokenizer",
    "decoding.facts",
    "decoding.request_fields",
    "decoding.parameters",
    "decoding.pipeline",
    "decoding.history",
    "decoding.vocabulary",
    "decoding.typing",
    "decoding.errors",
    "decoding.adapters",
    "decoding.adapters.llama_cpp",
    "decoding.adapters.mlx_lm",
    "decoding.adapters.onnxruntime",
    "decoding.adapters.onnxruntime_genai",
    "decoding.adapters.openvino_genai",
    "decoding.adapters.ray",
    "decoding.adapters.sglang",
    "decoding.adapters.vllm",
    "decoding.adapters.transformers",
    "decoding.testing",
    "decoding.testing.candidates",
    "decoding.testing.case_strategies",
    "decoding.testing.cases",
    "decoding.testing.draws",
    "decoding.testing.exact",
    "decoding.testing.finite_schemas",
    "decoding.testing.laws",
    "decoding.testing.models",
    "decoding.testing.peers",
    "decoding.testing.statistics",
    "decoding.testing.strategies",
)
"""The public packages and modules, in the order of the page."""

INTERNAL = ("decoding.cli", "decoding.kernels")
"""Packages of the library that export nothing: the command line, and what pipelines run on."""

_HEAD = """\
# Reference

Every public name, by the package that exports it, with the first line of its docstring. `help()`
shows the rest. `make reference` writes this page.
"""


class PublicName(NamedTuple):
    """A name that a public package exports."""

    package: str
    name: str
    value: Any

    @property
    def summary(self) -> str:
        """The first line of its docstring; empty where it has none of its own."""
        if inspect.isclass(self.value) or inspect.isroutine(self.value):
            text = self.value.__doc__ or ""
            # A dataclass without a docstring gets its signature as one.
            return "" if text.startswith(f"{self.name}(") else _first_line(text)
        return _first_line(_text_under(importlib.import_module(self.package), self.name))


def public_names() -> Iterator[PublicName]:
    """Every public name of every public package."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in exported(module):
            yield PublicName(package, name, getattr(module, name))


def exported(module: ModuleType) -> list[str]:
    """`__all__`; without one, the classes and functions that a module defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isroutine(value))
        and value.__module__ == module.__name__
    )


def render() -> str:
    """The page."""
    parts = [_HEAD]
    for package in PACKAGES:
        module = importlib.import_module(package)
        names = [item for item in public_names() if item.package == package]
        rows = "\n".join(f"- `{item.name}`: {item.summary}" for item in names)
        parts.append(f"## {package}\n\n{_first_line(module.__doc__ or '')}\n\n{rows}\n")
    return "\n".join(parts)


def _first_line(text: str) -> str:
    return inspect.cleandoc(text).partition("\n\n")[0].replace("\n", " ")


def _text_under(module: ModuleType, name: str) -> str:
    """The string under the assignment of a name, in a module or where it imports the name from."""
    body = ast.parse(inspect.getsource(module)).body
    for statement, following in itertools.pairwise(body):
        if isinstance(statement, ast.ImportFrom):
            if name in (alias.name for alias in statement.names):
                return _text_under(importlib.import_module(statement.module or ""), name)
        elif (
            isinstance(statement, ast.Assign | ast.AnnAssign)
            and name in ast.unparse(statement).partition("=")[0]
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            return str(following.value.value)
    return ""


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
