"""PyTorch: the candidates of every row, the token ids and logits that truncations keep."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NOTHING = -torch.inf


class Candidates(NamedTuple):
    """A part of every row: float64 logits `(rows, n)`, −inf where a token is removed.

    token_ids: `(rows, n)` int64, ascending; None where a token's id is its column.
    """

    logits: Tensor
    token_ids: Tensor | None = None

    def ids_of(self, places: Tensor) -> Tensor:
        """The token ids at the given columns of each row."""
        return places if self.token_ids is None else self.token_ids.gather(1, places)

    def only(self, keep: Tensor) -> Candidates:
        """Keep some candidates; the logits of the others become −inf."""
        return self.of(torch.where(keep, self.logits, NOTHING))

    def of(self, logits: Tensor) -> Candidates:
        """The same tokens with other logits."""
        return Candidates(logits, self.token_ids)

    def likeliest(self, count: int) -> tuple[Candidates, Tensor]:
        """`count` of the likeliest candidates, and the smallest logit among them, `(rows, 1)`.

        Every candidate above the smallest is there; of those equal to it, which is not defined.
        """
        values, places = torch.topk(self.logits, count, dim=1, sorted=False)
        places = places.sort(dim=1).values
        chosen = Candidates(self.logits.gather(1, places), self.ids_of(places))
        return chosen, values.amin(1, keepdim=True)

    def entries_of(self, token_ids: Tensor, present: Tensor) -> Entries:
        """Find the `present` ones of token ids `(rows, n)` among the candidates."""
        width = self.logits.shape[1]
        if token_ids.shape[1] == 0:
            return Entries(token_ids, token_ids, present)
        if self.token_ids is None:
            here = present & (token_ids >= 0) & (token_ids < width)
            places = token_ids.clamp(0, width - 1)
        else:
            places = torch.searchsorted(self.token_ids, token_ids).clamp(max=width - 1)
            here = present & (self.token_ids.gather(1, places) == token_ids)
        columns = torch.arange(places.shape[1], device=places.device)
        sources = torch.where(here, columns, here.to(torch.uint8).argmax(1, keepdim=True))
        return Entries(places.gather(1, sources), sources, here)

    def in_bitmask(self, words: Tensor) -> Tensor:
        """Which candidates have their bit set in `(rows, words)`; those beyond have none."""
        rows, width = self.logits.shape
        count = words.shape[1]
        if count == 0:
            return torch.zeros((rows, width), dtype=torch.bool, device=words.device)
        if self.token_ids is None:
            bits = words.unsqueeze(2) >> torch.arange(32, dtype=torch.int32, device=words.device)
            bits = bits.flatten(1)[:, :width] & 1 == 1
            return torch.nn.functional.pad(bits, (0, width - bits.shape[1]))
        word = self.token_ids >> 5
        bits = words.gather(1, word.clamp(max=count - 1)) >> (self.token_ids & 31)
        return (bits & 1 == 1) & (word < count)


class Entries(NamedTuple):
    """The columns of some token ids in their rows, prepared for scattered writes.

    places: `(rows, n)`; an id that is not there has the place of one that is.
    sources: `(rows, n)`: whose place that is: its own column, or that other's.
    here: `(rows, n)`: which ids are there.
    """

    places: Tensor
    sources: Tensor
    here: Tensor

    def replaced(self, logits: Tensor, values: Tensor) -> Tensor:
        """Write values at the columns; a row that has none of the ids stays as it is."""
        kept = logits.gather(1, self.places)
        written = torch.where(self.here.any(1, keepdim=True), values, kept)
        return logits.scatter(1, self.places, written)

    def counts(self, width: int) -> Tensor:
        """Count how often each token occurs among the ids of its row, `(rows, n)`."""
        zeros = torch.zeros((len(self.places), width), dtype=torch.int32, device=self.places.device)
        return zeros.scatter_add(1, self.places, self.here.to(torch.int32)).gather(1, self.places)
