"""A process that ends while its kernels are loaded leaves them to the next process."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from decoding.kernels.loader import Loader


class Failing:
    """A unit whose machine code is whole and cannot be loaded."""

    def check(self, _folder: Path) -> None:
        pass

    def load(self, _folder: Path) -> None:
        raise RuntimeError("can't register atexit after shutdown")


@pytest.mark.parametrize("ends", [True, False])
def test_what_cannot_be_loaded_at_the_end_is_not_deleted(
    ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit: Any = Failing()
    (tmp_path / "code").write_text("kept")
    if ends:
        over = SimpleNamespace(is_alive=lambda: False)
        monkeypatch.setattr(threading, "main_thread", lambda: over)
        with pytest.raises(RuntimeError, match="after shutdown"):
            Loader(tmp_path)._has_loaded(tmp_path, unit)
    else:
        with pytest.warns(RuntimeWarning, match="is damaged"):
            assert not Loader(tmp_path)._has_loaded(tmp_path, unit)
    assert (tmp_path / "code").exists() is ends
