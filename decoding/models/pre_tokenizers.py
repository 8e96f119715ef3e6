"""How the byte-level tokenizers of GGUF files cut text before the merges, by the name in the file.

Patterns are those of the models' own `tokenizer.json`. llama.cpp's engine lacks case-insensitive
groups and classes as `\\p{Lu}`, and writes some of them differently; where the two disagree (`'ſ`,
accented capitals) the model was trained with these.

Source: llama.cpp, `llama-vocab.cpp`, for the names, the order of the patterns and the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Splitter:
    """What a pre-tokenizer's name stands for.

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
    """GPT-4's pattern, with as many digits together as `digits` says."""
    return f"{contractions}{_WORD}|{digits}|{_SYMBOLS}|{_SPACES}"


def _cased_words(digits: str, ending: str) -> str:
    """GPT-4o's pattern: a word has capitals only in front, or only capitals."""
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    front = r"[^\r\n\p{L}\p{N}]?"
    words = f"{front}{upper}*{lower}+{ending}|{front}{upper}+{lower}*{ending}"
    return rf"{words}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_PUNCTUATION_WORDS = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
)
_CJK = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"
_CJK_HANGUL = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"
_WIDE_PUNCTUATION = r"\s?[!-/:-~" "\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+"
_YOUTU = (
    "[\uAC00-\uD7A3\u3131-\u318E]+"
    "|[\uFF01\u2026\u201C\u201D\u2018\u2019\u2014\uFF1A\uFF1B\uFF0C\u3001-\u303F\uFE30-\uFE4F]+"
    f"|[\u3105-\u312F]+|{_CJK}"
)
_CASED = (
    "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF"
    "\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1"
    "\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5"
    "\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A"
    "\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D"
    "\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3"
    "\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115"
    "\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149"
    "\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D"
    "\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06"
    "\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3"
    "\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF"
    "\U0001E900-\U0001E943"
)
"""Letters that come in capitals and small, as of the Unicode that DeepSeek used."""
_BLOOM = r" ?[^(\s|.,!?" "\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+"

_LLAMA3 = Splitter((_words(r"\p{N}{1,3}"),), ignore_merges=True, add_bos=True)
_LLAMA3_PLAIN = Splitter(_LLAMA3.patterns)
_PLAIN = Splitter((_GPT2,))
_DIGITS = Splitter((r"\p{N}", _GPT2))
_QWEN2 = Splitter((_words(r"\p{N}"),), nfc=True)
_ONE_DIGIT = Splitter(_QWEN2.patterns)
_GPT4O = Splitter((_cased_words(r"\p{N}{1,3}", f"{_CONTRACTIONS}?"),))
_DEEPSEEK3 = Splitter((r"\p{N}{1,3}", _CJK, rf"{_PUNCTUATION_WORDS}[\r\n]*|{_SPACES}"))
_BAILING = Splitter(
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
        r"|\s*[\r\n]|\s+(?!\S)|\s+",
    )
)

_BY_SPLITTER: tuple[tuple[Splitter, str], ...] = (
    (_LLAMA3, "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano"),
    (_LLAMA3_PLAIN, "dbrx smaug-bpe chatglm-bpe"),
    (Splitter(_LLAMA3.patterns, ignore_merges=True), "glm4 glm5"),
    (
        _PLAIN,
        "gpt-2 phi-2 mpt olmo jais trillion granite-docling gigachat a.x-4.0 mellum modern-bert"
        " exaone4 jina-es jina-de jina-v2-es jina-v2-de",
    ),
    (_DIGITS, "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2"),
    (_QWEN2, "qwen2 deepseek-r1-qwen kormo f2llmv2"),
    (_ONE_DIGIT, "stablelm2 hunyuan megrez solar-open grok-2"),
    (
        Splitter(
            (
                rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
                rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}",
            ),
            nfc=True,
        ),
        "qwen35",
    ),
    (_GPT4O, "gpt-4o llama4 kanana2 talkie minimax-m2"),
    (
        Splitter((r"\d{1,3}(?=(?:\d{3})*\b)", *_GPT4O.patterns)),
        "tiny_aya cohere2moe",
    ),
    (Splitter((_cased_words(r"\p{N}", ""),), ignore_merges=True, add_bos=True), "tekken"),
    (
        Splitter(
            (
                r"[\r\n]", rf"\s?[{_CASED}]+", _WIDE_PUNCTUATION, r"\s+$",
                _CJK_HANGUL, r"\p{N}+",
            )
        ),
        "deepseek-llm",
    ),
    (
        Splitter(
            (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK_HANGUL, r"\p{N}")
        ),
        "deepseek-coder",
    ),
    (_DEEPSEEK3, "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
    (
        Splitter(
            (
                _YOUTU,
                _cased_words(r"\p{N}", f"{_CONTRACTIONS}?"),
            ),
            ignore_merges=True,
        ),
        "youtu",
    ),
    (
        Splitter((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")),
        "falcon",
    ),
    (Splitter((_BLOOM,)), "poro-chat bloom gpt3-finnish"),
    (Splitter((_BLOOM, r"\p{N}")), "viking"),
    (_BAILING, "bailingmoe bailingmoe2 llada-moe"),
    (
        Splitter(
            (rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}",)
        ),
        "seed-coder",
    ),
    (
        Splitter(
            (
                rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+"
                r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
            )
        ),
        "exaone-moe",
    ),
    (
        Splitter((r"\p{N}{1,3}", _words(r"\p{N}+")), ignore_merges=True),
        "minicpm5",
    ),
    (Splitter((_words(r"\p{N}", contractions=""),)), "ufakzeka"),
    (Splitter((r"[^\n]+|[\n]+", *_ONE_DIGIT.patterns)), "laguna"),
    (
        Splitter(
            (
                f"{_CONTRACTIONS}|{_WORD}"
                rf"|\p{{N}}{{1,3}}|{_SYMBOLS}|\s*[\r\n]+"
                r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)"
                r"|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}",
            )
        ),
        "jais-2",
    ),
    (
        # Of files from before April 2024, which do not say how their model cuts text.
        Splitter((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
        "default",
    ),
)  # fmt: skip

SPLITTERS = MappingProxyType(
    {name: splitter for splitter, names in _BY_SPLITTER for name in names.split()}
)
"""By the value of `tokenizer.ggml.pre`; "default" where a file has none."""
