"""Trials of xgrammar's masks of JSON Schemas."""

from __future__ import annotations

from importlib.metadata import version

from decoding.grammar.peers import xgrammar
from decoding.testing.peers.schema_trials import bytes_table, schema_trials
from decoding.testing.peers.trial import Trial


def trials() -> tuple[Trial, ...]:
    """The checks of xgrammar, told that a schema allows what it does not forbid."""
    machine = xgrammar.Machine(bytes_table())
    return schema_trials(
        f"xgrammar {version('xgrammar')}",
        lambda schema: xgrammar.compile_json_schema(schema, machine, strict_mode=False).matcher(),
    )
