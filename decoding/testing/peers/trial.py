"""`Trial`: a check of one law on a function of another engine; collects trials, and runs one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module

_MAKERS = {
    "transformers": "transformers_trials.trials",
    "torch": "torch_trials.trials",
    "vllm": "vllm_trials.trials",
    "mlx_lm": "mlx_trials.trials",
    "tgi": "tgi_trials.trials",
    "xgrammar": "schema_trials.of_xgrammar",
    "llguidance": "schema_trials.of_llguidance",
}
"""By peer: the module and the function that make its trials, if the peer can be imported."""


class Trouble(Enum):
    """What a trial says that its broken law means: a defect, a convention or a limit.

    DEFECT: the peer breaks what it documents, the standard that it names, or what every sampler
    must keep. CONVENTION: a choice that differs from this library's, made on purpose. LIMIT:
    arithmetic or an input at the edge of what a user meets, or what the peer warns of.
    """

    DEFECT = "defect"
    CONVENTION = "convention"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Trial:
    """A check of one law on one function of another engine, the peer.

    peer: the peer and its version. subject: the function. law: in words.
    check: raises `AssertionError`, or what the peer raises, where the law is broken.
    trouble: what it means if it is.
    source: whether the peer's own code runs ("installed") or a transcription of its rule.
    """

    peer: str
    subject: str
    law: str
    check: Callable[[], object]
    trouble: Trouble = Trouble.DEFECT
    source: str = "installed"


def demand(holds: bool, shown: str) -> None:
    """Raise `AssertionError` with a counterexample unless a law holds."""
    if not holds:
        raise AssertionError(shown)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check of an engine.

    broken: whether the law is broken. shown: the counterexample.
    """

    trial: Trial
    broken: bool
    shown: str = ""


def all_trials() -> tuple[tuple[Trial, ...], dict[str, str]]:
    """The trials of every peer that can be imported, and why the others cannot."""
    trials: list[Trial] = []
    missing: dict[str, str] = {}
    for peer, place in _MAKERS.items():
        module, function = place.split(".")
        try:
            trials += getattr(import_module(f"decoding.testing.peers.{module}"), function)()
        except ImportError as error:
            missing[peer] = str(error)
    return tuple(trials), missing


def run_trial(trial: Trial) -> Result:
    """Run one check of an engine; an exception that the engine raises counts as a broken law."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            trial.check()
        except Exception as error:
            name = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            return Result(trial, broken=True, shown=f"{name}{error}"[:1500])
    return Result(trial, broken=False)
