"""The public names: few at the top, each described, listed, and made of public types only."""

from __future__ import annotations

import ast
import functools
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from reference_page import INTERNAL, PACKAGES, PAGE, PublicName, public_names, render

import decoding
from decoding import processors

ROOT = Path(__file__).parents[2]
PUBLIC = list(public_names())
HELD_FOR_THE_LIBRARY = {
    "decoding.adapters.onnxruntime._Block",
    "decoding.adapters.onnxruntime._Past",
    "decoding.adapters.transformers.cached.Block",
    "decoding.chat.reader.AnswerForm",
    "decoding.engine.plans.Plan",
    "decoding.engine.stopping._Automaton",
    "decoding.grammar.json.automaton_store.Store",
    "decoding.grammar.masking.acceptor.Acceptor",
    "decoding.grammar.masking.routes.Route",
    "decoding.grammar.tokens.trie.Trie",
    "decoding.models.gguf_vocabulary.GGUFVocabulary",
}
"""Internal types that a public object holds and whose values no caller makes or reads."""
MOST_NAMES = 45
"""What `decoding` exports: no more than one reads at a glance."""


def test_all_is_what_is_defined() -> None:
    public = {
        name
        for name, value in vars(decoding).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    later = {"compare", "explain"}  # imported when they are asked for
    assert set(decoding.__all__) == public - {"TYPE_CHECKING"} | {"__version__"} | later


def test_inspection_is_imported_when_it_is_asked_for() -> None:
    program = (
        "import sys, decoding\n"
        "assert 'decoding.inspect' not in sys.modules\n"
        "explain = decoding.explain\n"
        "assert explain is decoding.inspect.explain\n"
        "from decoding import compare\n"
        "assert compare is decoding.inspect.compare\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_all_is_sorted_and_short() -> None:
    assert decoding.__all__ == sorted(decoding.__all__)
    assert len(decoding.__all__) <= MOST_NAMES


@pytest.mark.parametrize("name", processors.__all__)
def test_decoding_resolves_every_processor(name: str) -> None:
    assert getattr(decoding, name) is getattr(processors, name)


def test_decoding_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError, match="module 'decoding' has no attribute 'TopQ'"):
        decoding.TopQ  # noqa: B018 -- the access itself raises


def test_every_package_is_public_or_internal() -> None:
    packages = {
        f"decoding.{path.parent.name}" for path in (ROOT / "decoding").glob("*/__init__.py")
    }
    unlisted = [
        name
        for name in packages
        if not any(f"{listed}.".startswith(f"{name}.") for listed in (*PACKAGES, *INTERNAL))
    ]
    assert unlisted == []


def test_every_public_name_has_a_docstring() -> None:
    assert [f"{item.package}.{item.name}" for item in PUBLIC if not item.summary] == []


def test_every_public_member_has_a_docstring() -> None:
    # A method that a protocol or a base class describes inherits its docstring. Presets' and
    # processors' `lower` and `__call__` are described by `Lowerable` and `Processor`.
    undescribed = [
        f"{item.package}.{item.name}.{member}"
        for item in PUBLIC
        for member, function in members(item.value)
        if not member.startswith("_")
        and not inspect.getdoc(function)
        and not any(hasattr(kind, member) for kind in described_by)
    ]
    assert undescribed == []


def test_the_reference_lists_every_public_name() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `make reference`"


def test_public_signatures_have_public_types_only() -> None:
    public = {id(item.value) for item in PUBLIC}
    private: dict[str, set[str]] = {}
    for item in PUBLIC:
        for kind in own_types_of(item):
            if id(kind) not in public:
                name = f"{kind.__module__}.{kind.__qualname__}"
                private.setdefault(name, set()).add(f"{item.package}.{item.name}")
    # Equal, so that a type that leaves the signatures leaves the list.
    assert private.keys() == HELD_FOR_THE_LIBRARY, private


def test_the_search_for_private_types_finds_them() -> None:
    from decoding.engine.stopping import StopMatcher, StopStrings

    found = set(own_types_of(PublicName("decoding.engine.stopping", "StopStrings", StopStrings)))
    assert StopMatcher in found


described_by = (typing.cast("Any", decoding.Processor), decoding.pipeline.Lowerable)


def members(value: object) -> Iterator[tuple[str, Any]]:
    """The functions of a class, those behind its properties included."""
    for name, member in vars(value).items() if inspect.isclass(value) else ():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function):
            yield name, function


def own_types_of(item: PublicName) -> Iterator[type]:
    """The types of this library in the annotations of a public function or class."""
    if not (inspect.isclass(item.value) or inspect.isfunction(item.value)):
        return
    methods = [
        function
        for name, function in members(item.value)
        if not name.startswith("_") or name in ("__init__", "__call__")
    ]
    names = names_for_types_of(sys.modules[item.value.__module__])
    for annotated in (item.value, *methods):
        for name, annotation in typing.get_type_hints(annotated, localns=names).items():
            if not name.startswith("_"):
                yield from types_in(annotation)


def types_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and annotation.__module__.split(".")[0] == "decoding":
        yield annotation
    for part in annotation if isinstance(annotation, list) else typing.get_args(annotation):
        yield from types_in(part)


@functools.cache
def names_for_types_of(module: ModuleType) -> dict[str, Any]:
    """What annotations of a module name, imports for type checkers only included."""
    names = dict(vars(module))
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            imports = [part for part in statement.body if isinstance(part, ast.ImportFrom)]
            exec(ast.unparse(ast.Module(imports, [])), names)
    return names


def test_a_star_import_takes_what_all_lists() -> None:
    program = (
        "from decoding import *; print(*sorted(set(dir()) & set(__import__('decoding').__all__)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == sorted(set(decoding.__all__))
