"""The chunks of a stream of `/v1`: the events of all its choices, as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from decoding.engine.front import AsyncGeneration, wait_any
from decoding.server.problems import problem_of
from decoding.server.service import Account
from decoding.server.sse import DONE, event
from decoding.wire.details import StreamEvent
from decoding.wire.json_text import dumps
from decoding.wire.openai.answers import Chunks, usage

Write = Callable[[int, StreamEvent], str]
"""The chunks, as they are sent, of an event of the choice of this index."""


class ChoiceStream:
    """What `EventStream` sends for a request of `/v1`.

    handles: one a choice. first: what is sent before any token. write: makes chunks of events.
    used: the function from handles to the numbers of tokens of prompt and answer; None where no
    usage is asked for.
    """

    def __init__(  # noqa: PLR0913 -- the parts of a stream
        self,
        account: Account,
        handles: Sequence[AsyncGeneration],
        chunks: Chunks,
        *,
        first: str,
        write: Write,
        used: Callable[[Sequence[AsyncGeneration]], tuple[int, int]] | None,
    ) -> None:
        self._account, self._handles, self._chunks = account, handles, chunks
        self._first, self._write, self._used = first, write, used

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes to send; see `sse.Source`."""
        if self._first:
            yield self._first.encode()
        open_choices = dict(enumerate(self._handles))
        while open_choices:
            await wait_any(list(open_choices.values()))
            pieces: list[str] = []
            for index, handle in list(open_choices.items()):
                over = handle.done
                pieces += [self._write(index, item) for item in handle.take_events()]
                if over:
                    del open_choices[index]
                    error = handle.generation.error
                    if error is not None:
                        problem = problem_of(error, running=True)
                        self._account.fail(problem)
                        yield "".join(pieces).encode() + event(dumps(problem.openai_event()))
                        return
            yield "".join(pieces).encode()
        end = "" if self._used is None else self._chunks.usage(usage(*self._used(self._handles)))
        yield end.encode() + DONE

    def wake(self) -> None:
        """Let `chunks` go on."""
        for handle in self._handles:
            handle.wake()

    def cancel(self) -> None:
        """Nobody reads any more."""
        for handle in self._handles:
            handle.cancel()

    def end(self, complete: bool) -> None:  # noqa: FBT001 -- what `EventStream` calls
        """Close the account of the request."""
        if complete and all(item.generation.response is not None for item in self._handles):
            self._account.succeed()
        else:
            self._account.disconnect()
