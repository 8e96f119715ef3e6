"""All-gather of short byte messages between the processes of a torch.distributed group."""

from __future__ import annotations

from typing import Any, Protocol

from decoding.errors import MissingDependencyError, ParameterError
from decoding.typing import Anything


class Exchange(Protocol):
    """Protocol of an all-gather: send all processes a message, return theirs in rank order.

    All processes call it at the same time, with messages of the same length.
    """

    @property
    def rank(self) -> int:
        """The number of this process."""

    def __call__(self, message: bytes) -> list[bytes]:
        """The messages of all processes."""


class GroupExchange:
    """An exchange by `all_gather`, on the host, or on the CUDA device where the group is NCCL's.

    group: None takes the default group.

    Raises:
        MissingDependencyError: torch is not installed.
        ParameterError: the group is none of which this process is a member.
    """

    def __init__(self, group: Anything) -> None:
        try:
            import torch.distributed as dist
        except ImportError as error:
            raise MissingDependencyError("torch", "torch") from error
        if not (dist.is_available() and dist.is_initialized()):
            expected = "a group of torch.distributed, after `init_process_group`"
            raise ParameterError("group", group, expected)
        if dist.get_rank(group) < 0:
            raise ParameterError("group", group, "a group that this process is a member of")
        self._group = group
        self.rank, self._size = dist.get_rank(group), dist.get_world_size(group)
        self._device = "cuda" if dist.get_backend(group) == "nccl" else "cpu"

    def __call__(self, message: bytes) -> list[bytes]:
        """The messages of all processes."""
        import torch
        import torch.distributed as dist

        if self._size == 1 or not message:
            return [message] * self._size
        own = torch.frombuffer(bytearray(message), dtype=torch.uint8).to(self._device)
        gathered: list[Any] = [torch.empty_like(own) for _ in range(self._size)]
        dist.all_gather(gathered, own, group=self._group)
        return [item.cpu().numpy().tobytes() for item in gathered]
