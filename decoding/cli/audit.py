"""`decoding score`, `replay` and `verify`: check tokens that somebody has generated."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from decoding.cli.files import read_utf8
from decoding.cli.flags import FLAGS, add_flags, integers, read_flags
from decoding.cli.grammar import add_grammar_flags
from decoding.cli.model_flags import Load, add_model_flag
from decoding.errors import ParameterError
from decoding.models import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.typing import Anything

if TYPE_CHECKING:  # most commands audit nothing
    from decoding.audit import NoiseLaw, Transcript

LAWS = ("philox", "vllm", "vllm-float64", "sglang", "sglang-by-rank")
"""Noise laws, named as the constants of `decoding.audit`; the first is the default."""

_FILE = (
    "a JSON response of this library, of TGI (with details) or of OpenAI's API, or one a line, as"
    " `decoding batch` writes them; '-' reads stdin"
)
_KNOWN = "what FILE does not say, or to be claimed in its place: request parameters as in the API"


def add_audit(commands: Anything, load: Load) -> None:  # argparse names no public type
    """Add `score`, `replay` and `verify` to the subcommands. load: makes the model of the flags."""
    parser = _command(
        commands, "score", "logprobs, ranks, entropies and kept sets of generated tokens"
    )
    _add_request(parser, _KNOWN)
    parser.set_defaults(run=lambda asked: _run(asked, load, _score))
    parser = _command(commands, "replay", "the same noise under other settings: what changes first")
    parser.add_argument(
        "--claimed",
        metavar="JSON",
        help="the request parameters of the text (default: as FILE says)",
    )
    parser.add_argument("--other-seed", type=int, metavar="N", help="replay with this seed")
    _add_law(parser)
    _add_request(parser, "the other settings: request parameters as in the API")
    parser.set_defaults(run=lambda asked: _run(asked, load, _replay))
    parser = _command(commands, "verify", "test whether tokens were drawn as claimed")
    parser.add_argument(
        "--alpha",
        type=float,
        default=1e-6,
        metavar="A",
        help="probability of rejecting an honest text, at most (default: 1e-6)",
    )
    parser.add_argument(
        "--logit-noise",
        type=float,
        default=0.03,
        metavar="S",
        help="standard deviation of the server's logits around this model's (default: 0.03)",
    )
    parser.add_argument(
        "--by-distribution", action="store_true", help="test the distribution alone, not the seed"
    )
    _add_law(parser)
    _add_request(parser, _KNOWN)
    parser.set_defaults(run=lambda asked: _run(asked, load, _verify))


def _command(commands: Anything, name: str, text: str) -> argparse.ArgumentParser:
    described = text[0].upper() + text[1:]
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{described}."
    )
    parser.add_argument("file", metavar="FILE", help=_FILE)
    add_model_flag(parser, "the reference model; default: as for generate")
    parser.add_argument("--prompt", metavar="TEXT", help="the prompt (default: as FILE says)")
    parser.add_argument(
        "--prompt-ids",
        type=integers,
        metavar="N,N,...",
        help="the prompt's token ids (default: as FILE says)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a text")
    return parser


def _add_law(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--law", choices=LAWS, default=LAWS[0], help=f"the law of the noise (default: {LAWS[0]})"
    )


def _add_request(parser: argparse.ArgumentParser, title: str) -> None:
    add_flags(parser.add_argument_group(title))
    add_grammar_flags(parser)


Audit = Callable[[argparse.Namespace, LanguageModel, Any, "Transcript"], tuple[dict[str, Any], str]]
"""Of one text: facts for JSON, and a report for people."""


def _run(asked: argparse.Namespace, load: Load, audit: Audit) -> Iterator[str]:
    from decoding.audit import read_transcripts

    text = read_utf8("FILE", asked.file)
    prompt = _prompt(asked)
    model = load(asked)
    transcripts = read_transcripts(text, model)
    for number, transcript in enumerate(transcripts):
        facts, report = audit(asked, model, prompt, transcript)
        if asked.json:
            yield json.dumps(_finite(facts), ensure_ascii=False) + "\n"
        else:
            heading = f"text {number}\n" if len(transcripts) > 1 else ""
            yield f"{heading}{report}\n"


def _prompt(asked: argparse.Namespace) -> str | list[int] | None:
    prompt: str | None = asked.prompt
    if prompt is not None and asked.prompt_ids is not None:
        raise ParameterError("--prompt-ids", asked.prompt_ids, "left out where --prompt is given")
    return prompt if asked.prompt_ids is None else list(asked.prompt_ids)


def _settings(asked: argparse.Namespace, transcript: Transcript) -> GenerationParameters | None:
    """The parameters that the flags make of those of the file; None where neither says any."""
    given = read_flags(asked)
    if any(getattr(asked, name) is not None for name in FLAGS) or given.grammar is not None:
        known = transcript.parameters
        before = {} if known is None else known.to_dict()
        return GenerationParameters.from_dict({**before, **given.to_dict()})
    return None


def _law(asked: argparse.Namespace) -> NoiseLaw:
    from decoding import audit

    law: NoiseLaw = getattr(audit, asked.law.replace("-", "_").upper())
    return law


def _score(
    asked: argparse.Namespace, model: LanguageModel, prompt: Anything, transcript: Transcript
) -> tuple[dict[str, Any], str]:
    from decoding.audit import score

    found = score(model, prompt, transcript, _settings(asked, transcript))
    rows, facts = [], []
    for index, token in enumerate(found.tokens):
        claimed = None if found.claimed_logprobs is None else found.claimed_logprobs[index]
        removed = ", ".join(f"{item.processor}: {item.count}" for item in token.removals)
        facts.append(
            {
                "id": token.token_id,
                "text": _text(model, token.token_id),
                "raw_logprob": token.raw_logprob,
                "logprob": token.processed_logprob,
                "claimed_logprob": claimed,
                "rank": token.rank,
                "entropy": token.entropy,
                "support_size": token.support_size,
                "removed_by": token.removed_by,
                "removed": {item.processor: item.count for item in token.removals},
            }
        )
        rows.append(
            (
                str(index),
                str(token.token_id),
                _shown(model, token.token_id),
                f"{token.raw_logprob:.4f}",
                f"{token.processed_logprob:.4f}",
                str(token.rank),
                f"{token.entropy:.4f}",
                str(token.support_size),
                removed if token.removed_by is None else f"THIS ONE, by {token.removed_by}",
            )
        )
    head = ("#", "id", "token", "raw", "logprob", "rank", "entropy", "kept", "removed")
    return {"tokens": facts}, table(head, rows)


def _replay(
    asked: argparse.Namespace, model: LanguageModel, prompt: Anything, transcript: Transcript
) -> tuple[dict[str, Any], str]:
    from decoding.audit import replay

    other = _settings(asked, transcript) or transcript.parameters or GenerationParameters()
    claimed = None
    if asked.claimed is not None:
        try:
            claimed = GenerationParameters.from_dict(json.loads(asked.claimed))
        except (ValueError, RecursionError) as error:
            raise ParameterError("--claimed", asked.claimed, f"parameters ({error})") from error
    found = replay(
        model,
        prompt,
        transcript,
        other,
        pipeline=claimed,
        other_seed=asked.other_seed if asked.other_seed is not None else asked.seed,
        law=_law(asked),
    )
    facts: dict[str, Any] = {"tokens": found.tokens, "strays": list(found.strays), "change": None}
    report = str(found)
    if found.change is not None:
        facts["change"] = asdict(found.change)
        words = [
            "nothing" if item is None else _shown(model, item)
            for item in (found.change.before, found.change.after)
        ]
        report += f"\n{words[0]} -> {words[1]}"
    return facts, report


def _verify(
    asked: argparse.Namespace, model: LanguageModel, prompt: Anything, transcript: Transcript
) -> tuple[dict[str, Any], str]:
    from decoding.audit import Assumptions, verify

    found = verify(
        model,
        prompt,
        transcript,
        _settings(asked, transcript),
        seed=asked.seed,
        law=_law(asked),
        by_distribution=asked.by_distribution,
        assumptions=Assumptions(alpha=asked.alpha, logit_noise=asked.logit_noise),
    )
    made_with = transcript.provenance
    same_model = None
    if made_with is not None and made_with.fingerprint and model.fingerprint:
        same_model = made_with.fingerprint == model.fingerprint
    alternative = found.alternative
    facts = {
        "accepted": found.accepted,
        "log_e_value": found.log_e_value,
        "alpha": found.assumptions.alpha,
        "logit_noise": found.assumptions.logit_noise,
        "rejected_at": found.rejected_at,
        "alternative": None if alternative is None else alternative.name,
        "alternative_explains": None if alternative is None else alternative.explains,
        "same_model": same_model,
        "exact_ids": transcript.is_exact,
        "tokens": [
            {
                "id": check.token_id,
                "expected": check.expected,
                "margin": check.margin,
                "verdict": check.verdict,
            }
            for check in found.tokens
        ],
    }
    rows = [
        (
            str(index),
            str(check.token_id),
            _shown(model, check.token_id),
            "-" if check.expected is None else _shown(model, check.expected),
            "-" if math.isnan(check.margin) else f"{check.margin:.4f}",
            check.verdict,
        )
        for index, check in enumerate(found.tokens)
        if check.verdict not in ("as claimed", "possible")
    ]
    report = str(found)
    if same_model is False:
        report += "\nthe text was made with another model than the reference"
    if not transcript.is_exact:
        report += "\nthe token ids were found again from texts, and may be others"
    if rows:
        report += "\n" + table(("#", "id", "token", "expected", "margin", "verdict"), rows)
    return facts, report


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, each as wide as its widest cell; the last one is not filled up."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )


def _text(model: LanguageModel, token_id: int) -> str | None:
    if model.tokenizer is None or token_id >= len(model.tokenizer.vocabulary):
        return None
    return model.tokenizer.vocabulary.text_of(token_id)


def _shown(model: LanguageModel, token_id: int) -> str:
    text = _text(model, token_id)
    return str(token_id) if text is None else repr(text)


def _finite(value: Anything) -> Anything:
    """The value with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
