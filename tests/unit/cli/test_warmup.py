"""`decoding warmup` says what it does, and ends when all is compiled."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from decoding import compilation
from decoding.cli import warmup
from decoding.cli.main import main
from decoding.errors import DecodingError
from decoding.kernels import builder
from decoding.kernels.grammar.loading import AUTOMATA
from decoding.kernels.loader import Loader
from decoding.kernels.units import Group, Unit

pytest.importorskip("numba")

STAND_IN = '''
def load(folder, name):
    """Stands for machine code."""
    if name == "wrong":
        raise ValueError("it is wrong")
    (folder / name).touch()
'''


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader(tmp_path / "kernels")
    monkeypatch.setattr(compilation, "loader", lambda: loader)
    monkeypatch.setattr(builder, "interpreter", lambda: None)  # a process takes longer
    (tmp_path / "warm_stand_in.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))


def group(*names: str) -> Group:
    units = [Unit(name, "warm_stand_in", "decoding.kernels.rows", 10) for name in names]
    return Group(f"kernels of {' and '.join(names)}", tuple(units))


def test_it_tells_what_is_done_and_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = {"float32": group("one"), "float64": group("two", "three")}
    monkeypatch.setattr(warmup, "GROUPS", groups)
    assert main(["warmup", "float32", "float64", "float32"]) == 0
    told = capsys.readouterr()
    first, second = sorted(told.out.splitlines())
    assert first.startswith("kernels of one: ready after ")
    assert second.startswith("kernels of two and three: ready after ")
    assert told.err.splitlines()[-1] == "decoding: 100 % of the kernels are ready"


def test_a_terminal_has_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    list(warmup.compiled([group("one")]))
    told = capsys.readouterr().err
    assert "compiling 100%|" in told
    assert "decoding: compiling kernels of one, about 10 s, once on this machine\n" in told
    assert "decoding: kernels of one are compiled, after " in told


def test_what_cannot_be_compiled_is_an_error() -> None:
    with pytest.raises(DecodingError, match="kernels of wrong cannot be compiled: it is wrong"):
        list(warmup.compiled([group("wrong")]))


def test_without_numba_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    compilation.loader().errors[AUTOMATA] = ImportError("numba")
    assert main(["warmup", "grammars"]) == 1
    assert "numba" in capsys.readouterr().err


def test_another_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warmup", "int8"]) == 2
    assert "one of float32, float64, float16, bfloat16, grammars" in capsys.readouterr().err


def test_ctrl_c_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(warmup, "GROUPS", {"float32": group("one")})
    monkeypatch.setattr(warmup.time, "sleep", interrupted)
    assert main(["warmup", "float32"]) == 130
