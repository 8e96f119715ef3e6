"""The table of processors in README.md, one row each.

A row restates the class's docstring in a line; that is where ties, edges and references are.
"""

from __future__ import annotations

from typing import NamedTuple

BEGIN, END = "<!-- processors:begin -->", "<!-- processors:end -->"

SERVERS = ("vLLM", "SGLang")
PENALTIES = (*SERVERS, "llama.cpp", "mlx-lm")
ALL = ("TGI", "transformers", *PENALTIES)


class Facts(NamedTuple):
    """One processor.

    formula: of what is left; L are logits, p probabilities. neutral: where it is the identity.
    peers: who has it, under whatever name. request: the fields that ask for it.
    """

    name: str
    formula: str
    neutral: str
    range: str
    source: str
    peers: tuple[str, ...]
    request: str = ""


REQUESTED = (
    Facts(
        "Watermark",
        "L + δ on the green list that the last tokens seed",
        "δ = 0",
        "γ in (0, 1), δ ≥ 0",
        "Kirchenbauer et al. 2023, arXiv:2301.10226",
        ("TGI", "transformers"),
        "`watermark`",
    ),
    Facts(
        "RepetitionPenalty",
        "L · r if L < 0, else L / r, on tokens seen",
        "1",
        "r > 0",
        "Keskar et al. 2019, arXiv:1909.05858",
        ALL,
        "`repetition_penalty`, `repeat_last_n`",
    ),
    Facts(
        "FrequencyPenalty",
        "L − α · (times generated)",
        "0",
        "finite",
        "OpenAI API",
        PENALTIES,
        "`frequency_penalty`, `repeat_last_n`",
    ),
    Facts(
        "PresencePenalty",
        "L − α on generated tokens",
        "0",
        "finite",
        "OpenAI API",
        PENALTIES,
        "`presence_penalty`, `repeat_last_n`",
    ),
    Facts(
        "LogitBias",
        "L + b",
        "{}",
        "finite or −inf",
        "OpenAI API",
        PENALTIES,
        "`logit_bias`",
    ),
    Facts(
        "GrammarMask",
        "the tokens with which the text still fits a grammar",
        "–",
        "a compiled grammar",
        "Willard & Louf 2023, arXiv:2307.09702",
        ("TGI", *SERVERS, "llama.cpp"),
        "`grammar`, `jump_forward`",
    ),
    Facts(
        "Dry",
        "L − m · b^(length of the repeat − allowed)",
        "m = 0",
        "m ≥ 0, b ≥ 1",
        "text-generation-webui #5677",
        ("llama.cpp",),
        "`dry_multiplier`, `dry_base`, `dry_allowed_length`, `dry_penalty_last_n`,"
        " `dry_sequence_breakers`",
    ),
    Facts(
        "NoRepeatNgram",
        "no n-gram twice",
        "0",
        "n ≥ 0",
        "Paulus, Xiong, Socher 2017, arXiv:1705.04304",
        ("transformers",),
        "`no_repeat_ngram_size`",
    ),
    Facts(
        "BadWords",
        "no token that completes a sequence",
        "[]",
        "token ids",
        "transformers",
        ("transformers", "vLLM"),
        "`bad_words`, `bad_words_ids`",
    ),
    Facts(
        "SuppressTokens",
        "never these tokens",
        "()",
        "token ids",
        "transformers",
        ("transformers",),
        "`suppress_tokens`",
    ),
    Facts(
        "AllowedTokens",
        "these tokens alone",
        "–",
        "token ids",
        "vLLM",
        ("vLLM",),
        "`allowed_token_ids`",
    ),
    Facts(
        "MinTokens",
        "no end of sequence before n tokens",
        "0",
        "n ≥ 0",
        "vLLM, SGLang, transformers",
        ("transformers", *SERVERS),
        "`min_tokens`",
    ),
    Facts(
        "Temperature",
        "L / T",
        "1",
        "T > 0",
        "Ackley, Hinton, Sejnowski 1985, doi:10.1207/s15516709cog0901_7",
        ALL,
        "`temperature`",
    ),
    Facts(
        "DynamicTemperature",
        "L / T, T = low + (high − low) · (H / ln n)^e",
        "temperature 1, range 0",
        "temperature > 0, range ≥ 0, e ≥ 0",
        "llama.cpp, after arXiv:2309.02772",
        ("llama.cpp",),
        "`dynatemp_range`, `dynatemp_exponent`",
    ),
    Facts(
        "TopK",
        "the k likeliest",
        "0",
        "k ≥ 0",
        "Fan, Lewis, Dauphin 2018, arXiv:1805.04833",
        ALL,
        "`top_k`",
    ),
    Facts(
        "TopP",
        "the likeliest until Σ p ≥ top_p",
        "1",
        "(0, 1]",
        "Holtzman et al. 2019, arXiv:1904.09751",
        ALL,
        "`top_p`",
    ),
    Facts(
        "TypicalP",
        "the nearest of −ln p to the entropy until Σ p ≥ typical_p",
        "1",
        "(0, 1]",
        "Meister et al. 2022, arXiv:2202.00666",
        ("TGI", "transformers", "llama.cpp"),
        "`typical_p`",
    ),
    Facts(
        "MinP",
        "p ≥ min_p · max p",
        "0",
        "[0, 1]",
        "Nguyen et al. 2024, arXiv:2407.01082",
        ("transformers", *PENALTIES),
        "`min_p`",
    ),
    Facts(
        "EpsilonCutoff",
        "p ≥ ε, or the likeliest",
        "0",
        "[0, 1)",
        "Hewitt, Manning, Liang 2022, arXiv:2210.15191",
        ("transformers",),
        "`epsilon_cutoff`",
    ),
    Facts(
        "EtaCutoff",
        "p ≥ min(ε, √ε · e^−H), or the likeliest",
        "0",
        "[0, 1)",
        "Hewitt, Manning, Liang 2022, arXiv:2210.15191",
        ("transformers",),
        "`eta_cutoff`",
    ),
    Facts(
        "TopNSigma",
        "L ≥ max L − n · σ",
        "0",
        "n ≥ 0",
        "Tang et al. 2024, arXiv:2411.07641",
        ("llama.cpp",),
        "`top_n_sigma`",
    ),
    Facts(
        "TopH",
        "the likeliest while −Σ p ln p ≤ top_h · H",
        "1",
        "(0, 1]",
        "Baghaei Potraghloo et al. 2025, arXiv:2509.02510",
        ("transformers",),
        "`top_h`",
    ),
    Facts(
        "Xtc",
        "of the tokens with p ≥ threshold the least likely, now and then",
        "probability 0",
        "[0, 1], threshold in [0, 1]",
        "text-generation-webui #6335",
        ("llama.cpp", "mlx-lm"),
        "`xtc_probability`, `xtc_threshold`",
    ),
    Facts(
        "Mirostat1",
        "the k likeliest, k steered towards a surprise τ",
        "–",
        "τ ≥ 0, η ≥ 0",
        "Basu et al. 2020, arXiv:2007.14966",
        ("llama.cpp",),
        "`mirostat` 1, `mirostat_tau`, `mirostat_eta`",
    ),
    Facts(
        "Mirostat2",
        "−log₂ p ≤ μ, μ steered towards a surprise τ",
        "–",
        "τ ≥ 0, η ≥ 0",
        "Basu et al. 2020, arXiv:2007.14966",
        ("llama.cpp",),
        "`mirostat` 2, `mirostat_tau`, `mirostat_eta`",
    ),
)
"""In the order in which a request runs them."""

FURTHER = (
    Facts(
        "AtLeast",
        "what a truncation keeps, and the k likeliest (`min_tokens_to_keep`)",
        "0, and the truncation neutral",
        "k ≥ 0",
        "transformers, llama.cpp, mlx-lm",
        ("transformers", "llama.cpp", "mlx-lm"),
    ),
    Facts(
        "Scoped",
        "a penalty over the prompt, the generated text or the last n, but for exempt ids",
        "the penalty neutral",
        "n ≥ 0 or None",
        "llama.cpp, mlx-lm, transformers",
        ("transformers", *PENALTIES),
    ),
    Facts(
        "EncoderNoRepeatNgram",
        "no n-gram of the prompt",
        "0",
        "n ≥ 0",
        "Roller et al. 2020, arXiv:2004.13637",
        ("transformers",),
    ),
    Facts(
        "EncoderRepetitionPenalty",
        "L / r if L < 0, else L · r, on the prompt's tokens",
        "1",
        "r > 0",
        "transformers",
        ("transformers",),
    ),
    Facts(
        "SequenceBias",
        "L + b where the token completes a sequence",
        "{}",
        "finite or −inf",
        "transformers",
        ("transformers",),
    ),
    Facts(
        "BeginSuppressTokens",
        "not these tokens at the beginning",
        "()",
        "token ids",
        "transformers",
        ("transformers",),
    ),
    Facts(
        "Bitmask",
        "the tokens of a packed set alone",
        "–",
        "int32 words",
        "xgrammar, llguidance",
        SERVERS,
    ),
    Facts(
        "BitmaskBias",
        "L + b on a packed set",
        "b = 0",
        "finite",
        "arXiv:2301.10226",
        (),
    ),
    Facts(
        "ForcedFirstToken",
        "one token at the beginning",
        "–",
        "a token id",
        "transformers",
        ("transformers",),
    ),
    Facts(
        "ForcedLastToken",
        "an end of sequence where the budget ends",
        "–",
        "token ids",
        "transformers",
        ("transformers",),
    ),
    Facts(
        "ExponentialLengthDecay",
        "L + abs(L) · (f^(tokens past a start) − 1) on ends of sequence",
        "f = 1",
        "f > 0",
        "transformers",
        ("transformers",),
    ),
    Facts(
        "PrefixFunction",
        "the tokens that a function of the history allows",
        "–",
        "a callable",
        "De Cao et al. 2020, arXiv:2010.00904",
        ("transformers",),
    ),
    Facts(
        "ClassifierFreeGuidance",
        "u + s · (c − u), logprobs without and with the prompt",
        "s = 1",
        "finite",
        "Sanchez et al. 2023, arXiv:2306.17806",
        ("transformers",),
    ),
    Facts(
        "Renormalise",
        "ln p",
        "–",
        "",
        "transformers",
        ("transformers",),
    ),
    Facts(
        "NaNPolicy",
        "numbers for NaN and +inf",
        "–",
        "finite or −inf",
        "transformers",
        ("transformers",),
    ),
    Facts(
        "SynthIdWatermark",
        "p by tournaments of the tokens' g-values",
        "–",
        "keys",
        "Dathathri et al. 2024, doi:10.1038/s41586-024-08025-4",
        ("transformers",),
    ),
    Facts(
        "GumbelWatermark",
        "the argmax of u^(1/p), u keyed by the last tokens",
        "–",
        "a key",
        "Aaronson 2022; Kuditipudi et al. 2023, arXiv:2307.15593",
        (),
    ),
    Facts(
        "AdaptiveP",
        "5 − 10 d² / (1 + d), d = abs(p − target) / 0.3",
        "target < 0",
        "target ≤ 1, decay in [0, 0.99]",
        "llama.cpp #17927",
        ("llama.cpp",),
    ),
)
"""For `chain`, which takes the others too."""


def render() -> str:
    """The table that stands in README.md."""
    header = (
        "name",
        "keeps, or makes of the logits",
        "neutral",
        "range",
        "request",
        "peers",
        "source",
    )
    lines: list[tuple[str, ...]] = [header, ("---",) * len(header)]
    for facts in (*REQUESTED, *FURTHER):
        peers = "all" if facts.peers == ALL else ", ".join(facts.peers)
        cells = (facts.formula, facts.neutral, facts.range, facts.request, peers, facts.source)
        lines.append((f"`{facts.name}`", *cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
