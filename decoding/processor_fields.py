"""Generated base of `GenerationParameters`: the request fields for processors.

Written by `python -m benchmarks.tables` from the `facts` of the classes in `decoding.processors`,
which hold the ranges as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from decoding.request_fields import TokenBias
from decoding.request_grammar import Grammar


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorFields:
    """The request fields of processors, in the order in which the processors run.

    watermark: watermark the text. A bool.
    repetition_penalty: on tokens of prompt and text; 1 is neutral. A number > 0 within float32.
    repeat_last_n: the three penalties see the last N tokens; -1 is all. An integer >= -1 (at most
        2**53).
    frequency_penalty: on tokens of the text, each time; 0 is neutral. A finite number within
        float32.
    presence_penalty: on tokens of the text, once; 0 is neutral. A finite number within float32.
    logit_bias: add to a logit; -inf bans. A mapping of token ids >= 0 to biases that are finite
        within float32, or -inf.
    grammar: what the text must match: {"type": ..., "value": ...}. A Grammar.
    jump_forward: write tokens that the grammar forces without drawing them. A bool.
    dry_multiplier: against repetitions by their length; 0 is neutral. A finite number >= 0.
    dry_base: of DRY's powers (default: 1.75). A finite number >= 1.
    dry_allowed_length: repetitions that DRY lets be (default: 2). An integer >= 1 (at most 2**53).
    dry_penalty_last_n: DRY sees the last N tokens; -1 is all. An integer >= -1 (at most 2**53).
    dry_sequence_breakers: no repetition reaches across this text. A sequence of non-empty strings
        (one string goes into a list).
    no_repeat_ngram_size: no N tokens twice in a row of N; 0 is neutral. An integer >= 0 (at most
        2**53).
    bad_words_ids: never these tokens in a row. A sequence of non-empty sequences of token ids.
    bad_words: never this word. A sequence of non-empty strings (one string goes into a list).
    suppress_tokens: never these tokens. A sequence of token ids.
    allowed_token_ids: these tokens alone. A non-empty sequence of token ids.
    min_tokens: do not end before N tokens; 0 is neutral. An integer >= 0 (at most 2**53).
    temperature: divides the logits; 0 is greedy; 1 is neutral. A finite number >= 0.
    dynatemp_range: by how much the entropy moves the temperature; 0 is neutral. A finite number >=
        0.
    dynatemp_exponent: how it does (default: 1). A finite number >= 0.
    smoothing_factor: bends the logits; 0 is neutral. A finite number >= 0.
    smoothing_curve: from quadratic to cubic (default: 1). A finite number >= 1.
    top_k: keep the K likeliest tokens; 0 is neutral. An integer >= 0 (at most 2**53).
    top_p: keep the likeliest tokens of mass P; 1 is neutral. A number in (0, 1].
    typical_p: keep the most typical tokens of mass P; 1 is neutral. A number in (0, 1].
    min_p: keep tokens P times as likely as the likeliest; 0 is neutral. A number in [0, 1].
    epsilon_cutoff: keep tokens of probability P; 0 is neutral. A number in [0, 1).
    eta_cutoff: keep tokens of probability P, or less where the entropy is high; 0 is neutral. A
        number in [0, 1).
    top_n_sigma: keep logits within N deviations; 0 is neutral. A finite number >= 0.
    top_h: keep the likeliest tokens of a share of the entropy; 1 is neutral. A number in (0, 1].
    top_a: keep tokens of probability A times the square of the largest; 0 is neutral. A number in
        [0, 1].
    p_less: keep tokens of P ≥ Σ P². A bool.
    tfs_z: cut where sorted P stops bending; 1 is neutral. A number in [0, 1].
    min_k_tau: cut at the steepest drop of L. A finite number >= 0.
    xtc_probability: how often to remove the top choices; 0 is neutral. A number in [0, 1].
    xtc_threshold: from which probability they are (default: 0.1). A number in [0, 1].
    mirostat: hold the surprise at a target, by version 1 or 2; 0 is neutral. 0, 1 or 2.
    mirostat_tau: the target in bits (default: 5). A finite number >= 0.
    mirostat_eta: how quickly to correct (default: 0.1). A finite number >= 0.

    None leaves a processor out. `repeat_last_n` and `dry_penalty_last_n` of 0 turn the penalties
    off. `bad_words` and `dry_sequence_breakers` need a tokenizer; `decoding.engine.request_words`
    says which tokens they stand for.
    """

    watermark: bool = False
    repetition_penalty: float | None = None
    repeat_last_n: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Mapping[int, float] = field(default_factory=TokenBias)
    grammar: Grammar | None = None
    jump_forward: bool = False
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: Sequence[str] | None = None
    no_repeat_ngram_size: int | None = None
    bad_words_ids: Sequence[Sequence[int]] = ()
    bad_words: Sequence[str] = ()
    suppress_tokens: Sequence[int] = ()
    allowed_token_ids: Sequence[int] | None = None
    min_tokens: int | None = None
    temperature: float | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    smoothing_factor: float | None = None
    smoothing_curve: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    min_p: float | None = None
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None
    top_n_sigma: float | None = None
    top_h: float | None = None
    top_a: float | None = None
    p_less: bool = False
    tfs_z: float | None = None
    min_k_tau: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
