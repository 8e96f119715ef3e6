"""Compiled code of grammars is loaded only for the source that it was compiled from."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pytest

from decoding.kernels import kept_code
from decoding.kernels.kept_code import cache_key, closure_of, digest_of

FOLDER = Path(kept_code.__file__).parent


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of `decoding.kernels`."""
    copy = tmp_path / "kernels"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize("entry", ["grammar.walk", "grammar.earley_walk"])
def test_the_digest_changes_with_all_that_is_imported_and_with_nothing_else(
    package: Path, entry: str
) -> None:
    entry = f"decoding.kernels.{entry}"
    inside = {package / path_of(code) for code in closure_of(entry).values()}
    before = digest_of(entry, package)
    for path in set(package.rglob("*.py")) - inside:
        path.write_text("ADDED = 1", "utf-8")
    assert digest_of(entry, package) == before
    for path in inside:
        path.write_text(path.read_text("utf-8") + "\nADDED = 1\n", "utf-8")
        after = digest_of(entry, package)
        assert after != before, path
        before = after


def path_of(code: CodeType) -> Path:
    return Path(code.co_filename).relative_to(FOLDER)


def test_what_one_kind_of_grammar_runs_is_no_part_of_another_s() -> None:
    schemas, nested = (
        set(closure_of(f"decoding.kernels.grammar.{name}")) for name in ("walk", "earley_walk")
    )
    assert "decoding.kernels.grammar.frames" in schemas - nested
    assert "decoding.kernels.grammar.earley_sets" in nested - schemas
    sampler = set(closure_of("decoding.kernels.compiled.step"))
    assert "decoding.kernels.compiled.vectors" in sampler
    assert not any("grammar" in name for name in sampler)
    assert not any(name.endswith(("kernel", "loading", "folders")) for name in sampler)


def test_every_import_of_a_compiled_file_is_followed() -> None:
    """By their text: absolute names alone, and each module of ours is in the closure."""
    for entry in ("compiled.step", "grammar.walk", "grammar.earley_walk", "grammar.products"):
        closure = closure_of(f"decoding.kernels.{entry}")
        for code in closure.values():
            tree = ast.parse(Path(code.co_filename).read_text("utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom):
                    assert node.level == 0
                    assert not str(node.module).startswith("decoding.") or (
                        node.module in closure or node.module in kept_code._NEVER_COMPILED
                    )


MODULE = '''"""A module."""

from decoding.kernels.grammar.jit import entry

class Facts:
    """Some facts."""

    ONE = 1
    """A fact."""

@entry
def first(number):
    """The next number."""
    if number in {"a", "b"}:
        return None
    return number + Facts.ONE
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A module.", "Another text."),
        ("Some facts.", "Other facts."),
        ("A fact.", "Another."),
        ("The next number.", "One more."),
        ("@entry", "\n\n# a comment\n@entry"),
        ("number + Facts.ONE", "(\n        number + Facts.ONE\n    )"),
        ('{"a", "b"}', "{'a', 'b'}"),
    ],
)
def test_what_does_the_same_has_the_same_digest(package: Path, old: str, new: str) -> None:
    path = package / "grammar" / "walk.py"
    path.write_text(MODULE, "utf-8")
    before = digest_of("decoding.kernels.grammar.walk", package)
    edit(path, old, new)
    os.utime(path, (1, 1))
    assert digest_of("decoding.kernels.grammar.walk", package) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ONE = 1", "ONE = 2"),
        ("ONE = 1", "ONE = 1.0"),
        ("ONE = 1", "ONE = True"),
        ("number + F", "number - F"),
        ('"b"', '"c"'),
        ("return None", "return 0"),
        ("Facts.ONE", "Facts.TWO"),
        ("def first(number)", "def first(number=1)"),
        ("@entry\n", ""),
        ("import entry", "import inner as entry"),
    ],
)
def test_what_does_something_else_has_another(package: Path, old: str, new: str) -> None:
    path = package / "grammar" / "walk.py"
    path.write_text(MODULE, "utf-8")
    before = digest_of("decoding.kernels.grammar.walk", package)
    edit(path, old, new)
    os.utime(path, (1, 1))  # Python takes a file of the same size and second for the same
    assert digest_of("decoding.kernels.grammar.walk", package) != before


@pytest.mark.slow
def test_the_digest_is_the_same_in_every_process() -> None:
    program = (
        "from decoding.kernels.kept_code import digest_of;"
        " print(digest_of('decoding.kernels.compiled.step'))"
    )
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    printed = {
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, env=environment
        ).stdout
        for environment in environments
    }
    assert printed == {f"{digest_of('decoding.kernels.compiled.step')}\n".encode()}


def test_the_cache_depends_on_what_the_kernels_do_and_on_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("numba")
    llvmlite = pytest.importorskip("llvmlite.binding")
    before = cache_key("decoding.kernels.compiled.step")
    assert cache_key("decoding.kernels.compiled.step") == before
    assert cache_key("decoding.kernels.grammar.walk") != before
    with monkeypatch.context() as patch:
        patch.setattr(llvmlite, "get_host_cpu_name", lambda: "another")
        kept_code._environment.cache_clear()
        assert cache_key("decoding.kernels.compiled.step") != before
    kept_code._environment.cache_clear()
    monkeypatch.setattr(kept_code, "digest_of", lambda name: f"another {name}")
    assert cache_key("decoding.kernels.compiled.step") != before
