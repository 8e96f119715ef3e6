"""Loads SGLang's module of custom logit processors, whose package cannot be imported without CUDA."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "sglang.srt.sampling.custom_logit_processor"


def load() -> Any:
    """The module, from the file of an installed or unpacked wheel."""
    if NAME in sys.modules:
        return sys.modules[NAME]
    relative = Path(*NAME.split(".")).with_suffix(".py")
    path = next((Path(at) / relative for at in sys.path if (Path(at) / relative).is_file()), None)
    if path is None:
        raise ModuleNotFoundError("sglang: pip install --no-deps sglang; pip install dill orjson")
    parts = NAME.split(".")[:-1]
    for depth in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:depth]), ModuleType(".".join(parts[:depth])))
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module
