"""Refuses context-free grammars so ambiguous that following a text takes too much work.

The work of an Earley recognizer grows with the third power of the length of a text where a grammar
is ambiguous, and with the number of rules that are (Earley 1970). No running text may end for this,
so a short text is tried when the grammar is compiled: at each byte the one is taken behind which
most rules are open.
"""

from __future__ import annotations

import numpy as np

from decoding.errors import GrammarLimitError
from decoding.kernels.grammar.earley import EarleyMachine
from decoding.kernels.grammar.earley_arrays import TOP, Network

_BYTES = 256
LENGTH = 48
"""Bytes of the text that is tried."""
MOST_WORK = 5_000_000
"""Items, callers and calls that may be looked at for it: 100 ms of compiled code."""
_MEMORY = 1 << 30


_RULES = 8
"""Rules that are tried besides the first one: a text may reach them late."""


def check_ambiguity(network: Network, where: str) -> None:
    """Raise `GrammarLimitError` for a grammar of which a short text takes too much work.

    where: the position of its first rule.
    """
    first = int(network.call_at[TOP])
    start = int(network.call_rule[first])
    called = np.bincount(network.call_rule, minlength=network.entry.size)
    called[start] = 0
    often = np.argsort(-called, kind="stable")[:_RULES]
    for rule in (start, *(one for one in often.tolist() if called[one] > 1)):
        calls = network.call_rule.copy()
        calls[first] = rule
        if not _is_followed(network._replace(call_rule=calls)):
            what = f"steps to follow {LENGTH} bytes, as many rules are ambiguous together"
            raise GrammarLimitError(where, what, MOST_WORK)


def _is_followed(network: Network) -> bool:
    """Whether a short text of a grammar takes little enough work."""
    machine = EarleyMachine(network, _MEMORY, most_work=MOST_WORK)
    _, representatives = np.unique(network.column_of[:_BYTES], return_index=True)
    state = machine.start
    for _ in range(LENGTH):
        following = [machine.step(state, byte) for byte in representatives.tolist()]
        alive = [one for one in following if one >= 0]
        if machine.work > MOST_WORK or not alive:
            break
        state = max(alive, key=machine.size)
    return machine.work <= MOST_WORK
