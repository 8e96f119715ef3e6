"""`CachedModel`, the protocol of models with a KV cache, and `LanguageModel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from decoding.checks import check_integer, checked_token_ids
from decoding.errors import require
from decoding.models.grammars import ModelGrammars
from decoding.models.padding import HeadPadding
from decoding.typing import Anything, ForwardFunction
from decoding.vocabulary import Tokenizer

State: TypeAlias = Any
"""A model's memory of one sequence (its KV cache): opaque to everyone but the model."""


class CachedModel(Protocol):
    """Protocol of a model that keeps a cache for each sequence: each token is computed once.

    Logits are one array `(rows, vocab)`, NumPy or torch: a row a sequence, of its last token, or
    with `all_positions` a row a token, sequence after sequence. States are independent: what is
    done to one never shows in another. A method that raises leaves the states it was given
    unusable, but for `release`. The lists of prompts, states and token ids that a method is given
    are its own, to keep or to change.
    """

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[State], Any]:
        """Start a sequence for each prompt of at least one token; return states and logits."""

    def extend(
        self,
        states: Sequence[State],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Anything:
        """Append one or several tokens to each sequence, in place; lists may differ in length."""

    def fork(self, state: State) -> State:
        """Copy a state."""

    def rollback(self, state: State, count: int) -> None:
        """Remove the last `count` tokens of a sequence."""

    def release(self, state: State) -> None:
        """Free the memory of a state, which must not be used again.

        An engine calls this once for every state, also where the call raises.
        """


class StartingModel(Protocol):
    """Protocol of a `CachedModel` or `AdaptedModel` that can start an empty sequence.

    An engine appends a prompt to such a state by `extend`, in one call with the tokens of the
    sequences that run; of other models it asks by a call of `prefill`, which delays these by one
    more forward pass. A model has it where a call takes little more time than its slower half.
    """

    def start(self) -> State:
        """Make the state of an empty sequence, to which `extend` appends a prompt."""


class CacheBudget(Protocol):
    """Protocol of a `CachedModel` with a memory budget; other models count as unbounded.

    A sequence takes whole pages of `page_tokens` tokens. An engine starts a request only if all
    its sequences, at their longest, fit `capacity_tokens` beside those that run.
    """

    @property
    def capacity_tokens(self) -> int:
        """Most tokens that all states can hold together."""

    @property
    def free_tokens(self) -> int:
        """Tokens that there are whole free pages for, now."""

    @property
    def page_tokens(self) -> int:
        """Tokens of a page; 1 where memory is taken token by token."""


class AdaptedModel(Protocol):
    """Protocol of a model with one LoRA adapter: it starts the sequences that use the adapter.

    Their states go to the methods of the model itself, in one call with states of other adapters
    and of none.
    """

    @property
    def key(self) -> object:
        """The identity of the adapter: one object as long as the adapter is in memory."""

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[State], Any]:
        """See `CachedModel.prefill`."""


class AdapterModel(Protocol):
    """Protocol of a `CachedModel` whose requests can name LoRA adapters."""

    def adapted(self, adapter_id: str) -> AdaptedModel:
        """The model with an adapter; raises a `DecodingError` where there is none of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """A model: its forward pass, tokenizer, end tokens, chat template and context length.

    forward: any callable from token-id lists to logits, or a `CachedModel`.
    tokenizer: needed for text in, text out and stop strings; without it, ids in and ids out.
    eos_token_ids: tokens that end a sequence.
    logits_width: of a row, where it is known: a watermark's lists are as long; None = unknown.
    context_length: most tokens a sequence may have, prompt included; None = unknown.
    chat_template: Jinja source that turns messages into a prompt; None = no chat, unless one of
        `chat_templates` is named.
    chat_templates: further chat templates by name. `tool_use` is taken for requests with tools.
    template_variables: what the template may read besides the messages, as `bos_token`.
    name: shown to people.
    fingerprint: a digest of the files it was read from; None for a model of no files.
    draws_padding: whether ids of the head that no token of the tokenizer has may be drawn, as
        models with a head wider than their vocabulary allow; they spell nothing.
    grammars: what requests may ask generated text to match; None without a tokenizer.
    padding: which ids no token has; None without a tokenizer.
    """

    forward: ForwardFunction | CachedModel
    tokenizer: Tokenizer | None = None
    eos_token_ids: frozenset[int] = field(default=frozenset())
    logits_width: int | None = None
    context_length: int | None = None
    chat_template: str | None = None
    chat_templates: Mapping[str, str] = field(default_factory=dict)
    template_variables: Mapping[str, str] = field(default_factory=dict)
    name: str = "model"
    fingerprint: str | None = None
    draws_padding: bool = False
    grammars: ModelGrammars | None = field(init=False, repr=False, compare=False)
    padding: HeadPadding | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        is_model = callable(self.forward) and not isinstance(self.forward, type)
        expected = "a function from token-id lists to logits, or a CachedModel"
        if _is_of_transformers(self.forward):
            is_model = False
            expected += "; decoding.adapters.transformers.language_model makes one of a CausalLM"
        require("model", self.forward, is_model or hasattr(self.forward, "prefill"), expected)
        eos_token_ids = frozenset(checked_token_ids("eos_token_ids", self.eos_token_ids))
        object.__setattr__(self, "eos_token_ids", eos_token_ids)
        for name in ("logits_width", "context_length"):
            if getattr(self, name) is not None:
                check_integer(self, name, 1)
        grammars = padding = None
        if self.tokenizer is not None:
            grammars = ModelGrammars(
                self.tokenizer.vocabulary, self.eos_token_ids, self.logits_width
            )
            padding = HeadPadding(self.tokenizer.vocabulary, self.eos_token_ids)
        object.__setattr__(self, "grammars", grammars)
        object.__setattr__(self, "padding", padding)


def _is_of_transformers(model: object) -> bool:
    """Whether an object is a model of transformers, which is called with tensors."""
    return any(kind.__module__ == "transformers.modeling_utils" for kind in type(model).__mro__)
