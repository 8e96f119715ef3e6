"""The wheel: its contents, and that it works without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from decoding import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("decoding", "kernels", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    output = tmp_path_factory.mktemp("wheel")
    options = ["--wheel", "--no-isolation", "--outdir", str(output), str(tree)]
    done = subprocess.run(
        [sys.executable, "-m", "build", *options], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = output.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_every_package_is_listed() -> None:
    folders = [*(ROOT / "decoding").rglob("__init__.py"), *(ROOT / "kernels").rglob("__init__.py")]
    packages = [".".join(path.parent.relative_to(ROOT).parts) for path in folders]
    named = {f"decoding.{name}" if name.startswith("kernels") else name for name in packages}
    assert PROJECT["tool"]["setuptools"]["packages"] == sorted(named)


@pytest.mark.slow
def test_the_name_carries_the_version(wheel: Path) -> None:
    assert wheel.name == f"decoding_engine-{__version__}-py3-none-any.whl"


@pytest.mark.slow
def test_it_installs_decoding_and_nothing_else(contents: list[str]) -> None:
    top = {name.split("/")[0] for name in contents}
    assert top == {"decoding", f"decoding_engine-{__version__}.dist-info"}


def test_it_holds_every_module(contents: list[str]) -> None:
    modules = [path.relative_to(ROOT) for path in (ROOT / "decoding").rglob("*.py")]
    modules += [
        Path("decoding") / path.relative_to(ROOT) for path in (ROOT / "kernels").rglob("*.py")
    ]
    packed = [name for name in contents if name.startswith("decoding/")]
    data = ["decoding/py.typed", "decoding/grammar/regular/unicode_properties.txt"]
    assert sorted(packed) == sorted([*data, *(path.as_posix() for path in modules)])


def test_it_carries_the_licence(contents: list[str]) -> None:
    assert any(name.endswith("/licenses/LICENSE") for name in contents)


@pytest.mark.slow
def test_it_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(target)!r})\n"
        "import decoding, decoding.cli.main, decoding.kernels.reference.step\n"
        "ours = [m for n, m in sys.modules.items() if n.split('.')[0] == 'decoding']\n"
        f"assert all(m.__file__.startswith({str(target)!r}) for m in ours), ours\n"
        "sys.exit(decoding.cli.main.main(['info']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.startswith(f"version: {__version__}\n")
