"""Profiles: named alternatives to a claim, each of which may have made the tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from decoding.audit.claims import Claim
from decoding.audit.murmur3 import SGLANG, SGLANG_BY_RANK, VLLM, VLLM_FLOAT64
from decoding.audit.noise import PHILOX
from decoding.errors import shown
from decoding.facts import Kind, facts_of
from decoding.pipeline import Pipeline, chain
from decoding.processors import MinP, Temperature, TopK, TopP, Xtc
from decoding.sampling.rng import SEED_RANGE, sequence_seed
from decoding.typing import Processor

TEMPERATURES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0)
TOP_KS = (10, 20, 40, 50, 64, 100)
TOP_PS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
MIN_PS = (0.02, 0.05, 0.1)
NOISES = (0.1, 0.3, 1.0)
"""Values that people ask for; beside them temperatures up to 10 % from the claimed one."""

ANOTHER_SEED = "another seed, or none"


@dataclass(frozen=True, slots=True)
class Profile:
    """A hypothesis about how tokens were drawn, which `verify` compares with the claim.

    name: for people. logit_noise: σ of the server's logits around the reference's.
    """

    name: str
    claim: Claim
    logit_noise: float


def nearby(claim: Claim, logit_noise: float) -> list[Profile]:
    """The profiles that differ from a claim in one respect; the claim itself is not among them."""
    found = [
        *(
            Profile(name, replace(claim, pipeline=own), logit_noise)
            for name, own in _pipelines(claim)
        ),
        *(Profile(name, own, logit_noise) for name, own in _draws(claim)),
    ]
    if claim.predicts:
        found += [
            Profile(f"logits with noise {noise} (other weights or precision)", claim, noise)
            for noise in NOISES
            if noise > 2 * logit_noise
        ]
    return found


def _draws(claim: Claim) -> Iterator[tuple[str, Claim]]:
    """Other seeds and laws, and greedy decoding."""
    if not claim.greedy:
        yield "greedy decoding", Claim(pipeline=claim.pipeline, greedy=True)
    if not claim.predicts:
        return
    yield ANOTHER_SEED, Claim(pipeline=claim.pipeline)
    if claim.seed is None:
        return
    seed = claim.seed
    seeds = {seed & 0xFFFFFFFF, (seed + 1) % SEED_RANGE, (seed - 1) % SEED_RANGE, 0, 1, 42}
    seeds |= {sequence_seed(seed, index) for index in (1, 2, 3)}
    for other in sorted(seeds - {seed}):
        pipeline = _with_coin(claim.pipeline, seed, other)
        yield f"seed {other}", Claim(pipeline=pipeline, seed=other, law=claim.law)
    for law in (PHILOX, VLLM, VLLM_FLOAT64, SGLANG, SGLANG_BY_RANK):
        if law != claim.law:
            yield f"noise {law.name}", Claim(pipeline=claim.pipeline, seed=seed, law=law)


def _with_coin(pipeline: Pipeline, seed: int, other: int) -> Pipeline:
    """The pipeline with the coins of another seed."""
    items = pipeline.processors
    return chain(
        *(
            replace(item, seed=other) if isinstance(item, Xtc) and item.seed == seed else item
            for item in items
        )
    )


def _pipelines(claim: Claim) -> Iterator[tuple[str, Pipeline]]:
    """Pipelines that differ in one processor."""
    items = claim.pipeline.processors
    if not claim.greedy:
        now = 1.0 / claim.scale
        near = {round(now * factor, 4) for factor in (0.9, 0.95, 1.05, 1.1)}
        for value in sorted({*TEMPERATURES, *near}):
            if 0.4 * now <= value <= 2.5 * now and value != now:
                yield f"temperature {value:g}", _with_temperature(items, value)
        options: tuple[tuple[type, str, Callable[[float], Processor], tuple[float, ...]], ...] = (
            (TopK, "top-k", lambda value: TopK(int(value)), TOP_KS),
            (TopP, "top-p", TopP, TOP_PS),
            (MinP, "min-p", MinP, MIN_PS),
        )
        for kind, name, make, values in options:
            old = next((item for item in items if isinstance(item, kind)), None)
            for value in values:
                new = make(value)
                if new != old:
                    yield f"{name} {value:g}", _replaced(items, old, new)
            if old is not None:
                yield f"no {name}", _replaced(items, old, None)
    for item in items:
        facts = facts_of(item)
        named = isinstance(item, Temperature | TopK | TopP | MinP)
        if not named and (facts is None or facts.kind is not Kind.MASK):
            yield f"without {shown(item)}", _replaced(items, item, None)


def _replaced(
    items: tuple[Processor, ...], old: Processor | None, new: Processor | None
) -> Pipeline:
    """The chain with a processor in the place of another one, or at the end."""
    if old is None:
        return chain(*items) if new is None else chain(*items, new)
    place = next(index for index, item in enumerate(items) if item is old)
    middle = () if new is None else (new,)
    return chain(*items[:place], *middle, *items[place + 1 :])


def _with_temperature(items: tuple[Processor, ...], value: float) -> Pipeline:
    """The chain with another temperature; where it has none, in front of its truncations."""
    new = Temperature(value)
    if any(isinstance(item, Temperature) for item in items):
        place = next(index for index, item in enumerate(items) if isinstance(item, Temperature))
        rest = [item for item in items[place + 1 :] if not isinstance(item, Temperature)]
        return chain(*items[:place], new, *rest)
    kinds = [facts.kind if (facts := facts_of(item)) else None for item in items]
    place = kinds.index(Kind.TRUNCATION) if Kind.TRUNCATION in kinds else len(items)
    return chain(*items[:place], new, *items[place:])
