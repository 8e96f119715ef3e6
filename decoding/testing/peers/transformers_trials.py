"""Builds the `Trial`s that check transformers' logits processors and warpers against laws."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import transformers
from transformers.generation import logits_process as process

from decoding.pipeline import chain
from decoding.processors import (
    EpsilonCutoff,
    EtaCutoff,
    MinP,
    RepetitionPenalty,
    Temperature,
    TopH,
    TopK,
    TopP,
    TypicalP,
)
from decoding.testing.peers.trial import Trial, Trouble, demand
from decoding.testing.processor_check import check_processor
from decoding.typing import Anything

_GONE = -torch.inf
_EXAMPLES = 400


def trials() -> tuple[Trial, ...]:
    """Build transformers' trials, each of one law on one function or chain of functions."""
    trial = partial(Trial, f"transformers {transformers.__version__}")

    def checked(
        subject: str,
        warper: Anything,
        claim: Anything,
        name: str = "float32",
        trouble: Trouble = Trouble.DEFECT,
        **options: Anything,
    ) -> Trial:
        law = f"{name} logits: is {claim!r}"
        return trial(
            subject,
            law,
            lambda: check_processor(
                warper,
                claim,
                examples=_EXAMPLES,
                format=name,
                arrays="torch",
                pad_id=None,
                **options,
            ),
            trouble,
        )

    warpers = {
        "TopPLogitsWarper": (process.TopPLogitsWarper(0.9), TopP(0.9)),
        "TypicalLogitsWarper": (process.TypicalLogitsWarper(0.7), TypicalP(0.7)),
        "MinPLogitsWarper": (process.MinPLogitsWarper(0.1), MinP(0.1)),
        "EpsilonLogitsWarper": (process.EpsilonLogitsWarper(0.05), EpsilonCutoff(0.05)),
        "EtaLogitsWarper": (process.EtaLogitsWarper(0.05), EtaCutoff(0.05)),
    }
    found = [checked(name, *pair) for name, pair in warpers.items()]
    found += [
        checked("TopKLogitsWarper", process.TopKLogitsWarper(3), TopK(3)),
        checked("TemperatureLogitsWarper", process.TemperatureLogitsWarper(0.7), Temperature(0.7)),
        checked(
            "RepetitionPenaltyLogitsProcessor",
            process.RepetitionPenaltyLogitsProcessor(1.3),
            RepetitionPenalty(1.3),
        ),
        checked("TopHLogitsWarper", process.TopHLogitsWarper(1.0), TopH(1.0), widths=(1, 100)),
    ]
    found += [
        checked(name, *pair, name="bfloat16", trouble=Trouble.LIMIT, widths=(1, 3000))
        for name, pair in warpers.items()
    ]
    found.append(
        checked(
            "TopPLogitsWarper",
            *warpers["TopPLogitsWarper"],
            name="float16",
            trouble=Trouble.LIMIT,
            widths=(1, 3000),
        )
    )
    found.append(
        checked(
            "TemperatureLogitsWarper, TopPLogitsWarper",
            lambda input_ids, scores: process.TopPLogitsWarper(0.9)(
                input_ids, process.TemperatureLogitsWarper(0.7)(input_ids, scores)
            ),
            chain(Temperature(0.7), TopP(0.9)),
        )
    )
    found += [
        trial("EtaLogitsWarper", _WITHOUT, lambda: _empty(process.EtaLogitsWarper(0.05))),
        trial("TopHLogitsWarper", _WITHOUT, lambda: _empty(process.TopHLogitsWarper(0.5))),
        trial("TopPLogitsWarper", _WITHOUT, lambda: _empty(process.TopPLogitsWarper(0.5))),
        *(
            trial(
                name,
                "one NaN does not switch a truncation off for the rest of the row",
                partial(_nan, warper),
                Trouble.LIMIT,
            )
            for name, warper in {
                "TopKLogitsWarper": process.TopKLogitsWarper(1),
                "TopPLogitsWarper": process.TopPLogitsWarper(0.5),
                "MinPLogitsWarper": process.MinPLogitsWarper(0.5),
                "EpsilonLogitsWarper": process.EpsilonLogitsWarper(0.3),
                "TypicalLogitsWarper": process.TypicalLogitsWarper(0.5),
            }.items()
        ),
        trial("RepetitionPenalty, 3 dimensions", "it does not write to its input", _mutates),
        trial(
            "InfNanRemoveLogitsProcessor",
            "a token of logit −inf stays impossible",
            _revives,
            Trouble.CONVENTION,
        ),
        trial(
            "UnbatchedClassifierFreeGuidance",
            "finite or −inf logits give finite or −inf logits",
            _guidance,
        ),
        trial(
            "ForcedEOSTokenLogitsProcessor",
            "a token of logit −inf stays impossible",
            _forced,
            Trouble.CONVENTION,
        ),
        trial(
            "ForcedBOSTokenLogitsProcessor",
            "the first generated token is forced after a prompt of any length",
            _first,
            Trouble.CONVENTION,
        ),
        trial(
            "RepetitionPenaltyLogitsProcessor",
            "a row gives the same result alone as left-padded in a batch",
            lambda: _padding(process.RepetitionPenaltyLogitsProcessor(1.3)),
        ),
        trial(
            "NoRepeatNGramLogitsProcessor",
            "a row gives the same result alone as left-padded in a batch",
            lambda: _padding(process.NoRepeatNGramLogitsProcessor(1)),
        ),
        trial(
            "TemperatureLogitsWarper",
            "float16: finite logits stay finite for a legal temperature",
            _small_temperature,
            Trouble.LIMIT,
        ),
        trial(
            "TopPLogitsWarper",
            "of tokens tied at the cut the lowest ids stay",
            _tie,
            Trouble.CONVENTION,
        ),
        trial(
            "TopHLogitsWarper",
            "all tokens count, however many there are",
            _beyond_a_hundred,
            Trouble.CONVENTION,
        ),
    ]
    return tuple(found)


_WITHOUT = "a row without a possible token passes through"
Warper = Callable[[Anything, Anything], Anything]


def _empty(warper: Warper) -> None:
    row = torch.full((1, 3), _GONE)
    result = warper(None, row.clone())
    demand(bool((result == _GONE).all()), f"[-inf, -inf, -inf] -> {result[0].tolist()}")


def _nan(warper: Warper) -> None:
    """The clean token of probability 0.02 must go, or an error must come, or all becomes NaN."""
    row = torch.tensor([[torch.nan, 0.0, 4.0]])
    result = warper(None, row.clone())
    demand(
        not bool(torch.isfinite(result[0, 1])),
        f"[nan, 0, 4] -> {result[0].tolist()}: token 1 stays, which goes without the NaN",
    )


def _mutates() -> None:
    scores = torch.ones((1, 1, 1))
    process.RepetitionPenaltyLogitsProcessor(2.0)(torch.zeros((1, 1), dtype=torch.long), scores)
    demand(scores.item() == 1.0, f"scores [[[1.0]]] were changed to {scores.tolist()}")


def _revives() -> None:
    row = torch.tensor([[torch.nan, _GONE, 1.0]])
    result = process.InfNanRemoveLogitsProcessor()(None, row)
    demand(bool(result[0, 1] == _GONE), f"[nan, -inf, 1] -> {result[0].tolist()}")


def _guidance() -> None:
    other = torch.tensor([[0.0, _GONE]])

    def model(*_: Anything, **__: Anything) -> Anything:
        output: Anything = vars(transformers.utils)["ModelOutput"]
        return output({"logits": other[:, None]})

    guided = process.UnbatchedClassifierFreeGuidanceLogitsProcessor(2.0, model)
    result = guided(torch.zeros((1, 1), dtype=torch.long), torch.tensor([[0.0, _GONE]]))
    demand(
        not bool(torch.isnan(result).any()),
        f"[0, -inf] guided by [0, -inf] -> {result[0].tolist()}",
    )


def _forced() -> None:
    row = torch.tensor([[_GONE, 1.0]])
    forced = process.ForcedEOSTokenLogitsProcessor(2, 0, device="cpu")
    result = forced(torch.tensor([[1]]), row)
    demand(bool(result[0, 0] == _GONE), f"[-inf, 1] -> {result[0].tolist()}")


def _first() -> None:
    forced = process.ForcedBOSTokenLogitsProcessor(0)
    result = forced(torch.tensor([[1, 2]]), torch.tensor([[0.0, 1.0, 2.0]]))
    demand(bool(result[0, 1] == _GONE), f"after the prompt [1, 2]: {result[0].tolist()}")


def _padding(processor: Warper) -> None:
    """Row 0 has seen token 1; beside a longer row it is padded on the left with token 0."""
    row = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    alone = processor(torch.tensor([[1]]), row.clone())[0]
    batch = processor(torch.tensor([[0, 1], [2, 3]]), row.repeat(2, 1))[0]
    demand(
        torch.equal(alone, batch), f"alone {alone.tolist()}, padded with token 0 {batch.tolist()}"
    )


def _small_temperature() -> None:
    row = torch.tensor([[700.0, 699.0]], dtype=torch.float16)
    result = process.TemperatureLogitsWarper(0.01)(None, row)
    demand(bool(torch.isfinite(result).all()), f"[700, 699] / 0.01 -> {result[0].tolist()}")


def _tie() -> None:
    row = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    kept = process.TopPLogitsWarper(0.75)(None, row)[0] > _GONE
    demand(kept.tolist() == [True, True, False], f"p = .5, .25, .25 keeps {kept.tolist()}")


def _beyond_a_hundred() -> None:
    row = torch.zeros((1, 200))
    warper: Warper = process.TopHLogitsWarper(0.9)
    kept = int((warper(None, row) > _GONE).sum())
    demand(kept == 180, f"200 equal tokens, top_h = 0.9: {kept} stay, not 180")
