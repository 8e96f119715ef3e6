"""Trials of llguidance's masks of JSON Schemas."""

from __future__ import annotations

from importlib.metadata import version

from decoding.grammar.peers import llguidance
from decoding.testing.peers.schema_trials import bytes_table, schema_trials
from decoding.testing.peers.trial import Trial


def trials() -> tuple[Trial, ...]:
    """The checks of llguidance."""
    machine = llguidance.Machine(bytes_table())
    return schema_trials(
        f"llguidance {version('llguidance')}",
        lambda schema: llguidance.compile_json_schema(schema, machine).matcher(),
    )
