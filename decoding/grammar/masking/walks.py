"""`Walks`: moves a text's configuration by bytes; masks the trie tokens that may follow."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from decoding.grammar.json.configurations import ChoiceNeededError, Configuration, Configurations
from decoding.grammar.masking.acceptor import REJECTED
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.trie import Trie, chain
from decoding.kernels.grammar import layout
from decoding.kernels.grammar.trie_nodes import copy_twins


class Walks(Protocol):
    """Protocol: follows bytes from a configuration; sets mask bits of tokens that may follow.

    Both methods raise `ChoiceNeededError` where a byte leads to several configurations.
    """

    def follow(self, number: int, text: bytes) -> int:
        """The number of the configuration after one or more bytes; REJECTED if they do not fit."""

    def allow(self, configuration: Configuration, trie: Trie, mask: Mask) -> None:
        """Set the bits of the tokens of a trie that may follow a configuration."""


class KernelWalks:
    """`Walks` by Numba kernels."""

    def __init__(self, configurations: Configurations) -> None:
        self._configurations = configurations

    def follow(self, number: int, text: bytes) -> int:
        """See `Walks.follow`."""
        configurations, reached = self._configurations, np.zeros(1, np.uint32)
        depths = configurations.store.room_for(len(text))
        if configurations.walk(configurations[number], chain(text), reached):
            raise ChoiceNeededError
        if not reached[0]:
            return REJECTED
        last = len(text) * layout.CONFIG_SIZE
        return configurations.number(depths[last : last + layout.CONFIG_SIZE].copy())

    def allow(self, configuration: Configuration, trie: Trie, mask: Mask) -> None:
        """See `Walks.allow`."""
        if self._configurations.walk(configuration, trie.nodes, mask):
            raise ChoiceNeededError
        copy_twins(trie.twins, mask)
