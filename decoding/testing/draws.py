"""Calls third-party samplers by their parameters' names, with the randomness that they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError
from decoding.testing.candidates import Arrays, CandidateError, quietly, roles_by_name
from decoding.typing import Anything

Tokens = NDArray[np.int64]
Feed = Mapping[str, Anything]
"""What a sampler is fed, by row: `seeds`, `positions`, `u`, `uniforms`, `words`."""
Logprobs = NDArray[np.float64] | None
"""The log-probabilities that a sampler reports for its tokens, one a row; None if it does not."""

DRAW_ROLES = {
    "seed": ("seed",),
    "seeds": ("seeds",),
    "position": ("position", "step", "pos"),
    "positions": ("positions", "steps"),
    "u": ("u", "uniform", "random"),
    "uniforms": ("uniforms", "us"),
    "words": ("words", "bits"),
    "generator": ("generator", "rng"),
    "logits": ("logits", "scores", "row", "rows", "x", "z"),
}
"""What a sampler is given, and the names of parameters that ask for it.

seed, position: one integer a call. seeds, positions: `(batch,)` integers. u: `(batch,)` float64 in
(0, 1), one a token, for an inverse distribution function. uniforms: `(batch, vocab)` float64 in
(0, 1), one for each logit. words: `(batch, vocab)` uint64, one for each logit. generator: one of
NumPy or torch.
"""


class Draw:
    """A third-party sampler, called with arrays."""

    def __init__(
        self, function: Callable[..., Anything], *, arrays: Arrays, batched: bool, seed: int
    ) -> None:
        if not callable(function):
            raise ParameterError("draw", function, "a function that returns tokens")
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.roles = _roles(function)
        self.batched = batched
        self.arrays = arrays
        self._function = function
        self._seed = seed
        self._generator: Anything = None

    @property
    def is_fed(self) -> bool:
        """Whether all randomness is handed over, so that a call can be repeated."""
        return bool({"seed", "seeds", "u", "uniforms", "words"} & set(self.roles))

    @property
    def rows_are_fed(self) -> bool:
        """Whether each row has randomness of its own."""
        if not self.batched:
            return self.is_fed
        return bool({"seeds", "u", "uniforms", "words"} & set(self.roles))

    def renew(self) -> None:
        """Begin with the randomness of the generator again."""
        self._generator = None

    def settle(self, logits: NDArray[np.float32]) -> None:
        """Find out by a call whether NumPy's or torch's arrays are taken."""
        if self.arrays != "auto":
            return
        zeros, feed = np.arange(len(logits)), np.full(logits.shape, 0.5)
        fed = {"seeds": zeros, "positions": zeros, "u": feed[:, 0], "uniforms": feed}
        try:
            self.arrays = "numpy"
            self(logits, fed)
        except CandidateError as numpy_error:
            try:
                self.arrays = "torch"
                self._generator = None
                self(logits, fed)
            except (CandidateError, ImportError):
                raise numpy_error from None
        self._generator = None

    def __call__(self, logits: NDArray[np.float32], fed: Feed = MappingProxyType({})) -> Tokens:
        """Draw a token for each row.

        Where the sampler takes one seed or one position a call, it is that of the first row.
        """
        return self.drawn(logits, fed)[0]

    def drawn(self, logits: NDArray[np.float32], fed: Feed) -> tuple[Tokens, Logprobs]:
        """Draw as a call does; also the logprobs that the sampler says the tokens have."""
        if "words" not in fed and "uniforms" in fed:
            words = np.minimum(fed["uniforms"], 1.0 - 2.0**-53) * 2.0**64
            fed = {**fed, "words": words.astype(np.uint64)}
        if self.batched:
            return self._call(logits, fed)
        parts = [
            self._call(logits[row : row + 1], {key: fed[key][row : row + 1] for key in fed})
            for row in range(len(logits))
        ]
        logprobs = [part[1] for part in parts if part[1] is not None]
        return (
            np.concatenate([part[0] for part in parts]),
            np.concatenate(logprobs) if len(logprobs) == len(parts) else None,
        )

    def _call(self, logits: NDArray[np.float32], fed: Feed) -> tuple[Tokens, Logprobs]:
        arguments = [self._argument(role, logits, fed) for role in self.roles]
        with quietly():
            try:
                returned = self._function(*arguments)
            except Exception as error:
                raise CandidateError(f"it raised {type(error).__name__}: {error}") from error
        returned, logprobs = _without_logprobs(returned, len(logits))
        return _tokens(returned, *logits.shape), logprobs

    def _argument(self, role: str, logits: NDArray[np.float32], fed: Feed) -> Anything:
        if role == "generator":
            if self._generator is None:
                self._generator = _generator(self.arrays, self._seed)
            return self._generator
        if role in ("seed", "position"):
            return int(fed[f"{role}s"][0]) if f"{role}s" in fed else 0
        array = logits if role == "logits" else fed.get(role, np.zeros(len(logits), np.int64))
        if not self.batched:
            array = array[0]
            if array.ndim == 0:
                return array.item()
        if self.arrays != "torch":
            return array.copy()
        import torch

        if array.dtype == np.uint64:
            array = array.view(np.int64)
        return torch.from_numpy(np.ascontiguousarray(array).copy())


def _generator(arrays: Arrays, seed: int) -> Anything:
    if arrays != "torch":
        return np.random.default_rng(seed)
    import torch

    return torch.Generator().manual_seed(seed)


def _without_logprobs(returned: Anything, rows: int) -> tuple[Anything, Logprobs]:
    """The tokens of an answer, and its logprobs if it is a pair of tokens and float numbers."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        return returned, None
    tokens, found = returned
    if hasattr(found, "detach"):
        found = found.detach().cpu().double().numpy()
    try:
        logprobs = np.asarray(found)
    except (TypeError, ValueError):
        return returned, None
    if logprobs.dtype.kind != "f" or logprobs.size != rows:
        return returned, None
    return tokens, logprobs.reshape(rows).astype(np.float64)


def _tokens(returned: Anything, rows: int, vocab: int) -> Tokens:
    if hasattr(returned, "detach"):
        returned = returned.detach().cpu().numpy()
    try:
        tokens = np.asarray(returned)
    except (TypeError, ValueError):
        tokens = np.zeros(0)
    if tokens.dtype.kind not in "iu" or tokens.size != rows:
        raise CandidateError(f"it returned {returned!r:.200}, not {rows} token ids")
    tokens = tokens.reshape(rows).astype(np.int64)
    if (tokens < 0).any() or (tokens >= vocab).any():
        outside = tokens[(tokens < 0) | (tokens >= vocab)][0]
        raise CandidateError(f"it returned token {outside} of a vocabulary of {vocab}")
    return tokens


def _roles(function: Callable[..., Anything]) -> tuple[str, ...]:
    roles = roles_by_name(function, DRAW_ROLES) or ["logits"]
    if roles.count(None) == 1 and "logits" not in roles:
        roles[roles.index(None)] = "logits"
    known = tuple(role for role in roles if role is not None)
    if len(known) < len(roles) or "logits" not in known or len(set(known)) < len(known):
        raise ParameterError("draw", function, f"a function of {', '.join(DRAW_ROLES)}")
    return known
