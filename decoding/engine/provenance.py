"""Records the provenance of a response: the facts of its request and plan that made it."""

from __future__ import annotations

import numpy as np

from decoding._version import __version__
from decoding.engine.plans import Plan
from decoding.engine.request import Request
from decoding.errors import shown
from decoding.sampling.rng import NOISE_LAW
from decoding.wire.provenance import Provenance


def provenance_of(request: Request, plan: Plan, backend: str | None) -> Provenance:
    """The provenance of the response to a request.

    backend: that drew its last token; None where every token was forced.
    """
    replaced = request.pipeline if request.grammar is None else (request.grammar, request.pipeline)
    return Provenance(
        version=__version__,
        numpy=np.__version__,
        backend="none" if backend is None else str(backend),
        noise_law=NOISE_LAW,
        model=plan.model,
        fingerprint=plan.fingerprint,
        prompt=plan.prompt,
        parameters=request.parameters,
        pipeline=None if replaced is None else shown(replaced),
    )
