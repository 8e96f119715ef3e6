"""Tools that test samplers, processors, streams, grammars and engines, also those of third parties.

One call checks one thing of anyone's; a failure is an `AssertionError` that shows the smallest
counterexample found:

`check_processor`  a function of logits, against a processor or pipeline that it claims to be.
`check_sampler`    a function that draws tokens.
`check_stream`     a function from tokens to pieces of text, with stop strings.
`check_grammar`    masks of a grammar.
`check_engine`     an engine, by a state machine.

`sample_size` says how many draws a test of a distribution needs. What the checks are made of:

`laws`        checks that every processor of this library must pass.
`strategies`  Hypothesis strategies for logits, histories, processors and pipelines.
`case_strategies`  Hypothesis strategies for batches of any format and width, parameters aimed at a
              row's own cuts, texts in tokens, and JSON Schemas with texts.
`exact`       the exact distribution of a sampler.
`models`      models without weights, whose logits depend on the prefix alone.
`peers`       laws × peers, as a table: `python -m decoding.testing.peers`.
"""

from typing import TYPE_CHECKING

from decoding.testing.grammar_check import GRAMMAR_LAWS, MaskedText, check_grammar
from decoding.testing.processor_check import LAWS, check_processor
from decoding.testing.reports import CheckFailedError, Finding, Report
from decoding.testing.sampler_check import SAMPLER_LAWS, check_sampler
from decoding.testing.statistics import SampleSize, sample_size
from decoding.testing.stream_check import STREAM_LAWS, check_stream
from decoding.testing.verdicts import Judge, Outcome, Verdict
from decoding.typing import Anything

if TYPE_CHECKING:
    from decoding.testing.engine_check import EngineUnderTest, State, check_engine

_WITH_HYPOTHESIS = ("EngineUnderTest", "State", "check_engine")

__all__ = [
    "GRAMMAR_LAWS",
    "LAWS",
    "SAMPLER_LAWS",
    "STREAM_LAWS",
    "CheckFailedError",
    "EngineUnderTest",
    "Finding",
    "Judge",
    "MaskedText",
    "Outcome",
    "Report",
    "SampleSize",
    "State",
    "Verdict",
    "check_engine",
    "check_grammar",
    "check_processor",
    "check_sampler",
    "check_stream",
    "sample_size",
]


def __getattr__(name: str) -> Anything:
    """Import the modules that need Hypothesis at their first use."""
    if name in _WITH_HYPOTHESIS:
        from decoding.testing import engine_check

        return getattr(engine_check, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
