"""Preset `tgi`: makes the pipeline of Text Generation Inference from TGI's parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.facts import EDIT, Facts
from decoding.history import History
from decoding.kernels.vector import dense
from decoding.pipeline import Pipeline, chain
from decoding.presets.arguments import flag, number, whole
from decoding.processors import (
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    Watermark,
)
from decoding.processors.call import checked_call
from decoding.typing import Logits, Processor
from decoding.watermark import presets


@dataclass(frozen=True, slots=True)
class RelativeFrequencyPenalty:
    """Lower the logits of tokens by their share of the tokens of the row.

        logits[i] − frequency_penalty · (occurrences of i in the row) / (length of the row)

    frequency_penalty: finite; 0 is neutral. The row is prompt and generated text, never padding.
    logits: `(batch, vocab)` float; −inf stays; ids beyond the width are ignored, but count in the
    length. An empty row is left alone. The effect of one occurrence fades as the text grows.
    Raises `ParameterError` at construction. Source: TGI 3.3.6,
    server/text_generation_server/utils/logits_process.py, the formula for batches; it divides by
    the width of the padded batch.
    """

    frequency_penalty: float

    facts: ClassVar[Facts] = replace(EDIT, needs_history=True)

    def __post_init__(self) -> None:
        number("frequency_penalty", self.frequency_penalty)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.frequency_penalty == 0.0:
            return logits
        width = logits.shape[1]

        def less_frequent(index: int, row: dense.Row) -> dense.Row:
            seen = history.row(index)
            counts = np.bincount(dense.within(seen, width), minlength=width)
            shares = counts / max(len(seen), 1)
            return np.asarray(row - self.frequency_penalty * shares)

        return dense.edit(logits, less_frequent)


def tgi(
    *,
    watermark: bool = False,
    repetition_penalty: float | None = None,
    frequency_penalty: float | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    typical_p: float | None = None,
    vocab_size: int | None = None,
) -> Pipeline:
    """Make the pipeline of Text Generation Inference's logits processors, in TGI's order.

        watermark → repetition → frequency → temperature → top-k → top-p → typical-p

    | parameter | range | None means |
    |---|---|---|
    | `watermark` | bool | |
    | `repetition_penalty` | > 0 | 1, off |
    | `frequency_penalty` | [−2, 2] | 0, off; `RelativeFrequencyPenalty` |
    | `temperature` | > 0 | 1, off |
    | `top_k` | >= 1 | off; ties with the k-th stay |
    | `top_p` | (0, 1) | off |
    | `typical_p` | (0, 1) | off |

    vocab_size: the width of the model's logits, if known, so that the watermark is lowered.

    A request with a parameter from `temperature` on samples, see `decoding.parameters.is_sampling`.
    A temperature of 0 is an error there, and here. Penalties see prompt and generated
    text. A grammar's mask stands before the temperature.

    Deliberate deviations:
      - a temperature of 1.0 alone samples (there it is greedy unless `do_sample` is set, which
        `decoding.wire.rules` follows);
      - padding is never penalised and never counted (its batches leak it into shorter rows);
      - the frequency penalty of its CPU path, where less punishes more, does not exist here;
      - a `top_k` beyond the vocabulary is off (its batches crash), and a mass that typical-p's
        rounded sum never reaches keeps every token (it crashes);
      - of tokens that tie at the cut of top-p the lowest ids stay (on a CPU, its highest);
      - NaN is an error (there it draws token 0);
      - the watermark of a row is seeded by its own last token, never by padding.

    Source: TGI 3.3.6, router/src/validation.rs,
    server/text_generation_server/utils/{tokens,logits_process}.py.

    >>> tgi(temperature=0.7, top_k=10).processors
    (Temperature(temperature=0.7), TopK(top_k=10, keep_ties=True))

    Raises:
        ParameterError: a parameter is outside its range.
    """
    if temperature is not None:
        temperature = number("temperature", temperature, above=0)
    if repetition_penalty is not None:
        repetition_penalty = number("repetition_penalty", repetition_penalty, above=0)
    if frequency_penalty is not None:
        frequency_penalty = number("frequency_penalty", frequency_penalty, at_least=-2, at_most=2)
    if top_p is not None:
        top_p = number("top_p", top_p, above=0, below=1)
    if typical_p is not None:
        typical_p = number("typical_p", typical_p, above=0, below=1)
    if top_k is not None:
        top_k = whole("top_k", top_k, at_least=1, at_most=2**31 - 1)
    stages: tuple[Processor | None, ...] = (
        Watermark(presets.tgi(), vocab_size) if flag("watermark", watermark) else None,
        RepetitionPenalty(repetition_penalty) if repetition_penalty not in (None, 1.0) else None,
        RelativeFrequencyPenalty(frequency_penalty) if frequency_penalty else None,
        Temperature(temperature) if temperature is not None else None,
        TopK(top_k) if top_k else None,
        TopP(top_p) if top_p else None,
        TypicalP(typical_p) if typical_p else None,
    )
    return chain(*filter(None, stages))
