"""Imports: no circles between modules, and what `import decoding` loads."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTING = "decoding.testing"

HEAVY = (
    "asyncio hypothesis jinja2 llama_cpp llguidance matplotlib mlx mlx_lm numba onnxruntime"
    " onnxruntime_genai openvino_genai ray referencing safetensors sglang starlette tokenizers"
    " torch transformers vllm xgrammar"
)
MOST_OWN_MODULES, MOST_OTHER_MODULES, MOST_CALLS = 140, 50, 100_000
"""What `import decoding` may bring beyond NumPy, and the functions it may call; these take most of
a quarter of a second."""


def module_paths() -> dict[str, Path]:
    """Every module of ours by its name; the folder `kernels` is the package `decoding.kernels`."""
    found = {}
    for folder, package in (("decoding", "decoding"), ("kernels", "decoding.kernels")):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


PATHS = module_paths()


class Imports(ast.NodeVisitor):
    """What a module imports, wherever in it; blocks under TYPE_CHECKING do not count."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) not in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "imports are absolute here"
        module = node.module or ""
        for alias in node.names:
            name = f"{module}.{alias.name}"
            self.found.add(name if name in PATHS else module)


def imports_of(path: Path) -> set[str]:
    visitor = Imports()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.found


IMPORTS = {name: imports_of(path) for name, path in PATHS.items()}


def ours(name: str) -> Iterator[str]:
    return (target for target in IMPORTS[name] if target.split(".")[0] == "decoding")


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


PACKAGES = sorted({name.rpartition(".")[0] for name in PATHS if "." in name})


@pytest.mark.parametrize("package", PACKAGES)
def test_the_modules_and_folders_of_a_folder_do_not_import_in_circles(package: str) -> None:
    # What a package exports stands above all that is in the folder.
    depth = package.count(".") + 2
    rooms: dict[str, set[str]] = {}
    for name in PATHS:
        if name != package and within(name, package):
            room = ".".join(name.split(".")[:depth])
            rooms.setdefault(room, set()).update(
                ".".join(target.split(".")[:depth])
                for target in ours(name)
                if target != package and within(target, package) and not within(target, room)
            )
    graphlib.TopologicalSorter(rooms).prepare()  # raises CycleError, which names the circle


def test_no_imports_go_in_circles() -> None:
    graph = {name: set(ours(name)) - {name} for name in PATHS}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("front", ["decoding.adapters", "decoding.cli", "decoding.testing"])
def test_nothing_imports_adapters_the_command_line_or_the_kit_for_tests(front: str) -> None:
    importing = [name for name in PATHS if any(within(target, front) for target in ours(name))]
    assert [name for name in importing if not within(name, front)] == []


@pytest.mark.parametrize("name", sorted(name for name in PATHS if within(name, "decoding.kernels")))
def test_kernels_import_nothing_of_ours_but_kernels(name: str) -> None:
    assert [target for target in ours(name) if not within(target, "decoding.kernels")] == []


@pytest.mark.parametrize("name", sorted(PATHS))
def test_hypothesis_is_for_testing_only(name: str) -> None:
    imported = {target.split(".")[0] for target in IMPORTS[name]}
    assert "hypothesis" not in imported or within(name, TESTING)


def test_the_visitor_sees_what_it_should() -> None:
    source = (
        "from typing import TYPE_CHECKING\n"
        "from decoding import errors\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def late():\n    import numba.core\n"
    )
    visitor = Imports()
    visitor.visit(ast.parse(source))
    assert visitor.found == {"typing", "decoding.errors", "numba.core"}


def in_a_fresh_interpreter(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


ADAPTERS = sorted(name for name in PATHS if within(name, "decoding.adapters"))


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_imports_no_other_adapter(name: str) -> None:
    # One adapter may be several modules, in a folder.
    own = ".".join(name.split(".")[:3])
    others = [target for target in ours(name) if target in ADAPTERS and not within(target, own)]
    assert others == []


def test_nothing_heavy_is_imported() -> None:
    names = ["decoding", "decoding.cli.main", *ADAPTERS]
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = sorted(set({HEAVY!r}.split()) & sys.modules.keys())\n"
        "    assert not heavy, f'{name} imports {heavy}'\n"
    )
    in_a_fresh_interpreter(program)


def test_grammars_and_the_samplers_of_peers_wait_until_they_are_asked_for() -> None:
    program = "import sys, decoding; print(*sys.modules)"
    loaded = in_a_fresh_interpreter(program).split()
    assert not [
        name for name in loaded if name.startswith(("decoding.presets", "decoding.grammar"))
    ]


def test_an_import_brings_few_modules_and_does_little() -> None:
    # Beyond NumPy's. Counted and never timed: calls stand for what modules do as they are loaded.
    program = (
        "import sys, numpy\n"
        "before, calls = set(sys.modules), 0\n"
        "def count(frame, event, argument):\n"
        "    global calls\n"
        "    calls += event in ('call', 'c_call')\n"
        "sys.setprofile(count)\n"
        "import decoding\n"
        "sys.setprofile(None)\n"
        "print(calls, *sorted(set(sys.modules) - before))\n"
    )
    calls, *loaded = in_a_fresh_interpreter(program).split()
    own = [name for name in loaded if within(name, "decoding")]
    others = [name for name in loaded if not within(name, "decoding")]
    assert 0 < len(own) <= MOST_OWN_MODULES, own
    assert len(others) <= MOST_OTHER_MODULES, others
    assert 0 < int(calls) <= MOST_CALLS
