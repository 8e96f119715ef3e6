"""Numba: walks of a token trie, which set the mask bits of the tokens that may come next."""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.grammar import layout
from decoding.kernels.grammar.arrays import Int16s, Int32s, Int64Rows, Int64s, UInt32s, UInt64s
from decoding.kernels.grammar.hashing import mixed
from decoding.kernels.grammar.jit import entry, inner
from decoding.kernels.grammar.json_step import QUOTE, is_structural, step
from decoding.kernels.grammar.layout import CONFIG, FRAME, FRAMES, MODE, STATE, TYPE
from decoding.kernels.grammar.subsets import next_state
from decoding.kernels.grammar.trie_nodes import (
    BYTE,
    DEPTH,
    DEPTH_AT,
    SIZE_AT,
    TOKEN,
    TOKEN_AT,
    allow,
    allow_token,
)


@entry
def walk(
    fields: Int32s, frames: Int64s, table: Int32s, trie: UInt64s, stack: Int64s, spacing: int,
    words: UInt32s, request: Int64s, choices: Int64s,
) -> int:  # fmt: skip
    """Set the bits of the tokens that may follow the configuration at depth 0 of `stack`.

    trie: packed nodes in preorder. stack: int64, a configuration of CONFIG_SIZE fields a depth.
    spacing: see `decoding.kernels.grammar.whitespace`. words: uint32, a bit a token, only ever set.
    choices: int64; field 0 counts the nodes whose byte leads to several configurations, and the
        nodes follow. The walk skips these nodes and those below them.
    Returns GOES_ON, or what is missing; NEEDS_CHOICE: `choices` is too short.
    """
    position: Any = 0
    size = len(trie)
    while position < size:
        node: Any = np.int64(trie[position])
        byte = node & BYTE
        depth = (node >> DEPTH_AT) & DEPTH
        above = (depth - 1) * layout.CONFIG_SIZE
        here = above + layout.CONFIG_SIZE
        mode = stack[above + CONFIG.MODE]
        # Inside strings most bytes move one number only.
        if mode == MODE.TEXT or (mode == MODE.IN_STRING and stack[above + CONFIG.COUNT] < 0):
            following = next_state(fields, table, stack[above + CONFIG.STATE], byte)
            if following == layout.UNKNOWN:
                return layout.NEEDS_ROOM
            if following != layout.DEAD:
                for field in range(layout.CONFIG_SIZE):
                    stack[here + field] = stack[above + field]
                stack[here + CONFIG.STATE] = following
                allow(words, node)
                position += 1
                continue
            if mode == MODE.TEXT or byte != QUOTE:
                position += node >> SIZE_AT
                continue
        elif mode not in (
            MODE.IN_STRING,
            MODE.IN_KEY,
            MODE.IN_LITERAL,
            MODE.IN_ITEM,
        ) and not is_structural(byte):
            # Nine in ten bytes of a vocabulary mean nothing between strings.
            position += node >> SIZE_AT
            continue
        for field in range(layout.CONFIG_SIZE):
            stack[here + field] = stack[above + field]
        answer = step(fields, frames, table, stack, here, byte, spacing, request)
        if answer == layout.STOPS:
            position += node >> SIZE_AT
        elif answer == layout.GOES_ON:
            allow(words, node)
            position += 1
        elif answer == layout.NEEDS_CHOICE and choices[0] + 1 < len(choices):
            choices[0] += 1
            choices[choices[0]] = position
            position += node >> SIZE_AT
        else:
            return answer
    return layout.GOES_ON


@entry
def sweep(
    fields: Int32s, table: Int32s, trie: UInt64s, state: int, stack: Int64s, words: UInt32s
) -> int:
    """Set the bits of the tokens that an automaton reads from a state.

    stack: int64, longer than the longest token.
    """
    stack[0] = state
    position: Any = 0
    size = len(trie)
    while position < size:
        node: Any = np.int64(trie[position])
        above = stack[((node >> DEPTH_AT) & DEPTH) - 1]
        following = next_state(fields, table, above, node & BYTE)
        if following == layout.UNKNOWN:
            return layout.NEEDS_ROOM
        if following == layout.DEAD:
            position += node >> SIZE_AT
            continue
        stack[(node >> DEPTH_AT) & DEPTH] = following
        allow(words, node)
        position += 1
    return layout.GOES_ON


@entry
def survey(
    fields: Int32s,
    table: Int32s,
    trie: UInt64s,
    state: int,
    between: int,
    stack: Int64Rows,
    counts: Int16s,
) -> int:
    """Count the characters that begin in each token read from a state; −1 if it cannot be read.

    between: `STATE.UNIVERSAL` of states between two characters. stack: int64 `(depth, 2)`.
    """
    stack[0, 0] = state
    stack[0, 1] = 0
    position: Any = 0
    size = len(trie)
    while position < size:
        node: Any = np.int64(trie[position])
        depth = (node >> DEPTH_AT) & DEPTH
        above = stack[depth - 1, 0]
        following = next_state(fields, table, above, node & BYTE)
        if following == layout.UNKNOWN:
            return layout.NEEDS_ROOM
        if following == layout.DEAD:
            position += node >> SIZE_AT
            continue
        stack[depth, 0] = following
        begins = 1 if fields[above + STATE.UNIVERSAL] == between else 0
        stack[depth, 1] = stack[depth - 1, 1] + begins
        token = (node >> TOKEN_AT) & TOKEN
        if token != 0:
            counts[token - 1] = stack[depth, 1]
        position += 1
    return layout.GOES_ON


@entry
def within(counts: Int16s, most: int, words: UInt32s) -> None:
    """Set the bits of the tokens whose count is not negative and at most `most`."""
    for token in range(len(counts)):
        if 0 <= counts[token] <= most:
            allow_token(words, token)


@inner
def first_slot(frames: Int64s, node: int, size: int, length: int) -> int:
    """The first slot of a frame in the hash table."""
    value = 0
    for field in range(size):
        value = mixed(value, frames[node + field] & 0x3FFFFFFF)
    return value & (length - 1)


@entry
def rehash(fields: Int32s, frames: Int64s, old: Int64s, known: Int64s) -> None:
    """Enter all frames of a hash table into a larger one."""
    for node in old:
        if node != 0:
            size = layout.FRAME_SIZE + fields[frames[node + FRAME.TYPE] + TYPE.WORDS]
            slot = first_slot(frames, node, size, len(known))
            while known[slot] != 0:
                slot = (slot + 1) & (len(known) - 1)
            known[slot] = node


@entry
def intern_frames(
    fields: Int32s, frames: Int64s, known: Int64s, configuration: Int64s, chain: Int64s
) -> int:
    """Move the new frames of a configuration to permanent offsets; equal frames get the same one.

    known: int64, a hash table of offsets, a power of two long. chain: int64 scratch.
    Returns GOES_ON or NEEDS_FRAMES.
    """
    base = frames[FRAMES.FREE]
    count = 0
    node = configuration[CONFIG.FRAME]
    while node >= base:
        if count == len(chain):
            return layout.NEEDS_FRAMES
        chain[count] = node
        count += 1
        node = frames[node + FRAME.PARENT]
    if 2 * (frames[FRAMES.HASH_USED] + 2 * count) >= len(known):
        return layout.NEEDS_FRAMES
    sizes = 0
    links = False
    for index in range(count):
        sizes += layout.FRAME_SIZE + fields[frames[chain[index] + FRAME.TYPE] + TYPE.WORDS]
        links = links or frames[chain[index] + FRAME.HASHES] >= base
    # What is new is copied out of the way first: a frame may lie where another one belongs. Links
    # of lists of hashes stay where they are.
    top = configuration[CONFIG.TOP] + sizes
    if top + sizes >= len(frames):
        return layout.NEEDS_FRAMES
    if links:
        base = configuration[CONFIG.TOP]
    for index in range(count):
        size = layout.FRAME_SIZE + fields[frames[chain[index] + FRAME.TYPE] + TYPE.WORDS]
        for field in range(size):
            frames[top + field] = frames[chain[index] + field]
        chain[index] = top
        top += size
    free = base
    parent = node
    for index in range(count - 1, -1, -1):
        moved = chain[index]
        frames[moved + FRAME.PARENT] = parent
        size = layout.FRAME_SIZE + fields[frames[moved + FRAME.TYPE] + TYPE.WORDS]
        slot = first_slot(frames, moved, size, len(known))
        found = 0
        while known[slot] != 0 and found == 0:
            same = True
            other = known[slot]
            for field in range(size):
                if frames[other + field] != frames[moved + field]:
                    same = False
                    break
            if same:
                found = other
            else:
                slot = (slot + 1) & (len(known) - 1)
        if found == 0:
            for field in range(size):
                frames[free + field] = frames[moved + field]
            known[slot] = free
            frames[FRAMES.HASH_USED] += 1
            found = free
            free += size
        parent = found
    frames[FRAMES.FREE] = free
    configuration[CONFIG.FRAME] = parent
    configuration[CONFIG.TOP] = free
    return layout.GOES_ON
