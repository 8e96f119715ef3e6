"""Collects the checks of the engines that are installed, and runs one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module

from decoding.testing.peers.trial import Trial

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
