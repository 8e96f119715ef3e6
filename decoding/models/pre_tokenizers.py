r"""The pre-tokenizers of GGUF files (regular expressions that split text), by name.

Patterns are those of the models' own `tokenizer.json`. llama.cpp's engine lacks case-insensitive
groups and classes as `\p{Lu}`, and writes some of them differently; where the two disagree (`'ſ`,
accented capitals) the model was trained with these.

Source: llama.cpp, `llama-vocab.cpp`, for the names, the order of the patterns and the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Splitter:
    """A pre-tokenizer: its patterns and its normalisation.

    patterns: each cuts the pieces that the ones before it left: matches, and what is between them.
    nfc: text is normalised first.
    ignore_merges: a piece that is a token as a whole is taken without merging.
    add_bos: a file without `add_bos_token` puts a begin-of-text token in front of a prompt.
    """

    patterns: tuple[str, ...]
    nfc: bool = False
    ignore_merges: bool = False
    add_bos: bool = False


_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"


def _words(digits: str, *, contractions: str = f"{_CONTRACTIONS}|") -> str:
    """GPT-4's pattern, with at most `digits` digits in a piece."""
    return f"{contractions}{_WORD}|{digits}|{_SYMBOLS}|{_SPACES}"


def _cased_words(digits: str, ending: str) -> str:
    """GPT-4o's pattern: it also splits words before capitals."""
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    front = r"[^\r\n\p{L}\p{N}]?"
    words = f"{front}{upper}*{lower}+{ending}|{front}{upper}+{lower}*{ending}"
    return rf"{words}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_PUNCTUATION_WORDS = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
)
_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_CJK_HANGUL = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_WIDE_PUNCTUATION = r"\s?[!-/:-~" "\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
_YOUTU = (  # Hangul, punctuation, Bopomofo, Han and kana
    "[\uac00-\ud7a3\u3131-\u318e]+"
    "|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+"
    f"|[\u3105-\u312f]+|{_CJK}"
)
_CASED = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
    "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3"
    "\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
    "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149"
    "\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d"
    "\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
    "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
)
"""Letters that come in capitals and small, as of the Unicode that DeepSeek used."""
_BLOOM = r" ?[^(\s|.,!?" "\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"

_DEEPSEEK = (r"[\r\n]", rf"\s?[{_CASED}]+", _WIDE_PUNCTUATION, r"\s+$", _CJK_HANGUL, r"\p{N}+")
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK_HANGUL, r"\p{N}")
_DEEPSEEK3 = (r"\p{N}{1,3}", _CJK, rf"{_PUNCTUATION_WORDS}[\r\n]*|{_SPACES}")
_SPARK = (r"\p{N}{1,3}", _CJK, rf"{_PUNCTUATION_WORDS}|[\r\n]|\s+(?!\S)|\s+", r"\p{N}")
_CHAMELEON = (
    r"<sentinel:[0-9]+>", r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}",
    r"[\p{P}!-/:-@\[-`{-~]", _GPT2,
)  # fmt: skip
_LLAMA3 = (_words(r"\p{N}{1,3}"),)
_QWEN2 = (_words(r"\p{N}"),)
_QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_GPT4O = _cased_words(r"\p{N}{1,3}", f"{_CONTRACTIONS}?")
_BAILING = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
_SEED = rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}"
_EXAONE = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
_JAIS2 = (
    rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_SYMBOLS}|\s*[\r\n]+"
    r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)"
    r"|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
)

_NAMES: tuple[tuple[Splitter, str], ...] = (
    (
        Splitter(_LLAMA3, ignore_merges=True, add_bos=True),
        "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
    ),
    (Splitter(_LLAMA3), "dbrx smaug-bpe chatglm-bpe"),
    (Splitter(_LLAMA3, ignore_merges=True), "glm4 glm5"),
    (
        Splitter((_GPT2,)),
        (
            "gpt-2 phi-2 mpt olmo jais trillion granite-docling gigachat a.x-4.0 mellum modern-bert"
            " exaone4 jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe"
        ),
    ),
    (
        Splitter((r"\p{N}", _GPT2)),
        "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
    ),
    (Splitter(_QWEN2, nfc=True), "qwen2 deepseek-r1-qwen kormo f2llmv2"),
    (Splitter(_QWEN2), "stablelm2 hunyuan megrez solar-open grok-2"),
    (Splitter((_QWEN35,), nfc=True), "qwen35"),
    (Splitter((_GPT4O,)), "gpt-4o llama4 kanana2 talkie minimax-m2"),
    (Splitter((r"\d{1,3}(?=(?:\d{3})*\b)", _GPT4O)), "tiny_aya cohere2moe"),
    (Splitter((_cased_words(r"\p{N}", ""),), ignore_merges=True, add_bos=True), "tekken"),
    (Splitter(_DEEPSEEK), "deepseek-llm"),
    (Splitter(_DEEPSEEK_CODER), "deepseek-coder"),
    (Splitter(_DEEPSEEK3), "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
    (Splitter(_SPARK), "spark2_5"),
    (Splitter(_CHAMELEON, add_bos=True), "chameleon"),
    (Splitter((r"\p{N}+", r"(?=(\d{3})+(?!\d))")), "superbpe"),
    (
        Splitter((_YOUTU, _cased_words(r"\p{N}", f"{_CONTRACTIONS}?")), ignore_merges=True),
        "youtu",
    ),
    (Splitter((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")), "falcon"),
    (Splitter((_BLOOM,)), "poro-chat bloom gpt3-finnish"),
    (Splitter((_BLOOM, r"\p{N}")), "viking"),
    (Splitter((_BAILING,)), "bailingmoe bailingmoe2 llada-moe"),
    (Splitter((_SEED,)), "seed-coder"),
    (Splitter((_EXAONE,)), "exaone-moe"),
    (Splitter((r"\p{N}{1,3}", _words(r"\p{N}+")), ignore_merges=True), "minicpm5"),
    (Splitter((_words(r"\p{N}", contractions=""),)), "ufakzeka"),
    (Splitter((r"[^\n]+|[\n]+", *_QWEN2)), "laguna"),
    (Splitter((_JAIS2,)), "jais-2"),
    # Of files from before April 2024, which do not say how their model cuts text.
    (Splitter((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")), "default"),
)

SPLITTERS = MappingProxyType(
    {name: splitter for splitter, names in _NAMES for name in names.split()}
)
"""By the value of `tokenizer.ggml.pre`; "default" where a file has none."""
