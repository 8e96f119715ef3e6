"""Runs the checks of `decoding.testing` on installed engines' samplers and grammar masks.

`python -m decoding.testing.peers` prints a table: for each peer and each of its functions the law
that was checked, and whether it holds, is broken (a defect), or is a convention that differs from
ours on purpose; then the smallest counterexample of each. A peer that is not installed is named.
`--json` prints the same as JSON.
"""

from decoding.testing.peers.trial import Result, Trial, Trouble, all_trials, run_trial

__all__ = ["Result", "Trial", "Trouble", "all_trials", "run_trial"]
