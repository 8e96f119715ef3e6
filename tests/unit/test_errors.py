"""Errors survive pickle and copies, and their messages are bounded."""

import copy
import dataclasses
import importlib
import math
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

from decoding import GenerationParameters, Sampler, TopP, chain, errors, generate
from decoding.bounded_repr import LONGEST_MESSAGE, bounded, shown, shown_error
from decoding.errors import DecodingError
from decoding.grammar.regular.lazy_dfa import RoomError
from decoding.history import History
from decoding.sampling.batch import sample

EXAMPLES: dict[str, Callable[[Any], DecodingError]] = {
    "RoomError": lambda value: RoomError("", shown(value), 5),
    "DecodingError": errors.DecodingError,
    "ParameterError": lambda value: errors.ParameterError("top_p", value, "in (0, 1]"),
    "WireValidationError": errors.WireValidationError,
    "WireTypeError": errors.WireTypeError,
    "UnsupportedFeatureError": lambda value: errors.UnsupportedFeatureError(
        shown(value), str(shown(value))
    ),
    "ShapeError": lambda value: errors.ShapeError("logits", value, "of two axes"),
    "InvalidLogitsError": lambda value: errors.InvalidLogitsError(0, 1, 2, 3),
    "EmptySupportError": lambda value: errors.EmptySupportError(0, shown(value), 1),
    "ProcessorError": lambda value: errors.ProcessorError(shown(value), shown(value), 0, 1),
    "ForwardError": lambda value: errors.ForwardError(shown(value), 3),
    "RequestError": lambda value: errors.RequestError(shown(value), 3),
    "CancelledError": errors.CancelledError,
    "SlowReaderError": lambda value: errors.SlowReaderError(5),
    "OverloadedError": lambda value: errors.OverloadedError(5),
    "DeadlineError": lambda value: errors.DeadlineError("queue", 1.5),
    "CapacityError": lambda value: errors.CapacityError(7, 5, "in all"),
    "BatchError": lambda value: errors.BatchError([value, errors.ForwardError("raised", 1)]),
    "ModelFormatError": lambda value: errors.ModelFormatError("a/file", shown(value)),
    "ChatTemplateError": lambda value: errors.ChatTemplateError(shown(value), 2),
    "FetchError": errors.FetchError,
    "RankError": lambda value: errors.RankError(1, shown(value)),
    "RankMismatchError": lambda value: errors.RankMismatchError("seed", 1, shown(value), "5"),
    "ServerError": errors.ServerError,
    "MissingDependencyError": lambda value: errors.MissingDependencyError("torch", "torch"),
    "GrammarError": lambda value: errors.GrammarError("/a", shown(value)),
    "GrammarSyntaxError": lambda value: errors.GrammarSyntaxError("", shown(value)),
    "GrammarUnsupportedError": lambda value: errors.GrammarUnsupportedError(
        "/a", shown(value), shown(value)
    ),
    "GrammarUnsatisfiableError": lambda value: errors.GrammarUnsatisfiableError("", shown(value)),
    "GrammarVocabularyError": lambda value: errors.GrammarVocabularyError("", b"abc" * 10_000),
    "GrammarLimitError": lambda value: errors.GrammarLimitError("", "states", 10),
}


def subclasses(kind: type[DecodingError]) -> Iterator[type[DecodingError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def ours() -> set[str]:
    return {
        kind.__name__
        for kind in subclasses(DecodingError)
        if kind.__module__.startswith("decoding.")
    }


def test_every_class_of_the_library_has_an_example() -> None:
    importlib.import_module("decoding.cli.main")  # brings every module that could define an error

    assert ours() == set(EXAMPLES)


def pickled(error: DecodingError) -> DecodingError:
    twin = pickle.loads(pickle.dumps(error))  # our own bytes
    assert isinstance(twin, DecodingError)
    return twin


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("via", [pickled, copy.copy, copy.deepcopy])
def test_an_error_survives(name: str, via: Callable[[DecodingError], DecodingError]) -> None:
    error = EXAMPLES[name]("a value")
    error.add_note("a note")
    error.__cause__ = ValueError("why")
    twin = via(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.args == error.args
    assert vars(twin).keys() == vars(error).keys()
    if name != "BatchError":
        assert vars(twin) == vars(error)
    assert twin.__notes__ == ["a note"]
    assert repr(twin.__cause__) == "ValueError('why')"
    assert str(via(twin)) == str(error)


def test_the_errors_of_a_batch_survive_within_it() -> None:
    twin = pickled(errors.BatchError(["a response", errors.ForwardError("raised", 4)]))
    assert isinstance(twin, errors.BatchError)
    assert twin.results[0] == "a response"
    assert isinstance(twin.results[1], errors.ForwardError)
    assert twin.results[1].step == 4


def test_the_constructor_of_importerror_is_not_forgotten() -> None:
    twin = pickled(errors.MissingDependencyError("torch", "gpu"))
    assert isinstance(twin, ImportError)
    assert twin.msg == str(twin)


class OddError(DecodingError):
    """An error of a user, whose constructor takes something else than its message."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.total = first + second


def test_a_subclass_of_a_user_survives() -> None:
    twin = pickled(OddError(1, 2))
    assert isinstance(twin, OddError)
    assert (str(twin), twin.total) == ("1 and 2", 3)


class UnloadableError(Exception):
    """Pickles, and then raises when it is loaded, as many exceptions of other libraries do."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


@pytest.mark.parametrize("value", [lambda: 0, threading.Lock(), (item for item in ())])
def test_what_pickle_cannot_carry_becomes_its_text(value: Any) -> None:
    error = errors.ParameterError("stop", value, "strings")
    error.__cause__ = UnloadableError("no", "pe")
    twin = pickled(error)
    assert isinstance(twin, errors.ParameterError)
    assert str(twin) == str(error)
    assert (twin.name, twin.value) == ("stop", shown(value))
    assert repr(twin.__cause__) == "Exception('UnloadableError: nope')"
    assert copy.copy(error).value is value


def test_what_cannot_be_copied_is_shared() -> None:
    lock = threading.Lock()
    assert copy.deepcopy(errors.ParameterError("stop", lock, "strings")).value is lock


def test_a_deep_copy_shares_nothing_that_can_be_copied() -> None:
    error = errors.ParameterError("stop", ["a"], "strings")
    twin = copy.deepcopy([error, error])
    assert twin[0] is twin[1]
    assert twin[0].value == ["a"]
    assert twin[0].value is not error.value


def test_a_long_chain_of_causes_is_pickled_in_a_moment() -> None:
    error = DecodingError("0")
    for depth in range(1, 30):
        outer = DecodingError(str(depth))
        outer.__cause__ = error
        error = outer
    deepest: BaseException | None = pickled(error)
    for depth in reversed(range(30)):
        assert str(deepest) == str(depth)
        assert deepest is not None
        deepest = deepest.__cause__


def test_errors_come_back_from_a_process_pool() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with pytest.raises(errors.ParameterError, match=r"^top_p must be .*, got 7$") as caught:
            pool.submit(GenerationParameters.from_dict, {"top_p": 7}).result(timeout=300)
        assert caught.value.value == 7
        asked = GenerationParameters(max_new_tokens=2)
        with pytest.raises(errors.ForwardError, match="raised TypeError: must be real") as failed:
            pool.submit(generate, math.sqrt, [1], asked).result(timeout=300)
        assert failed.value.step == 0


class Hostile:
    """Whose texts raise."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__


class Surrogate:
    def __repr__(self) -> str:
        return "\ud800" * 10_000


class ShoutingError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


HOSTILE: dict[str, Any] = {
    "a million strings": ["a string of twenty"] * 10**6,
    "a long string": "a" * 10**7,
    "surrogates": "\ud800" * 10**5,
    "bytes": b"a" * 10**7,
    "a huge integer": 10**5000,
    "huge integers": {10**5000: [-(10**5000)]},
    "a large mapping": dict.fromkeys(range(10**6), "a"),
    "a set": set(range(10**6)),
    "a raising repr": Hostile(),
    "a member whose repr raises": [Hostile()] * 1000,
    "a repr of surrogates": Surrogate(),
    "nested lists": nested(),
    "an array": np.zeros((1000, 1000)),
    "parameters": GenerationParameters(suppress_tokens=range(10**5)),
    "an error": ShoutingError("a" * 10**6),
    "a pipeline": chain(*[TopP(0.5)] * 10**4),
}


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("what", HOSTILE)
def test_a_message_is_bounded(name: str, what: str) -> None:
    value = HOSTILE[what]
    takes_text = (
        name in {"DecodingError", "CancelledError", "FetchError", "ServerError"} or "Wire" in name
    )
    error = EXAMPLES[name](value if isinstance(value, str) or not takes_text else shown(value))
    assert len(str(error)) <= LONGEST_MESSAGE == 2000
    assert str(error).encode()
    if name == "ParameterError":
        assert getattr(error, "value") is value  # of one of the classes only


@pytest.mark.parametrize("what", HOSTILE)
def test_a_refused_parameter_is_shown_in_bounds(what: str) -> None:
    value = HOSTILE[what]
    with pytest.raises(errors.ParameterError) as caught:
        GenerationParameters(top_p=value)
    assert len(str(caught.value)) <= 1000
    assert caught.value.value is value


def test_a_processor_whose_repr_raises_is_blamed_all_the_same() -> None:
    class Broken(Hostile):
        def __call__(self, logits: Any, history: History) -> Any:
            raise ShoutingError

    [outcome] = sample(np.zeros((1, 3)), History.empty(1), [Sampler(chain(Broken()))])
    assert isinstance(outcome, errors.ProcessorError)
    assert str(outcome) == (
        "processor <a Broken whose repr raises ZeroDivisionError> raised ShoutingError:"
        " <its str raises ZeroDivisionError> (row 0, step 0)"
    )


def test_a_model_that_raises_what_cannot_be_shown_ends_in_a_typed_error() -> None:
    def forward(rows: list[list[int]]) -> Any:
        raise ShoutingError("a" * 10**6)

    with pytest.raises(errors.ForwardError, match="raised ShoutingError"):
        generate(forward, [1], GenerationParameters(max_new_tokens=2))


def test_a_model_that_says_much_is_quoted_in_bounds() -> None:
    def forward(rows: list[list[int]]) -> Any:
        raise ValueError("a" * 10**6)

    with pytest.raises(errors.ForwardError, match="raised ValueError: aaa") as caught:
        generate(forward, [1], GenerationParameters(max_new_tokens=2))
    assert len(str(caught.value)) <= LONGEST_MESSAGE


@pytest.mark.parametrize(
    "value",
    [None, True, 1.5, -7, "a'b", b"x", [1, (2,)], {"b": 1, "a": 2}, {3}, (), frozenset({1})],
)
def test_short_values_have_their_repr(value: Any) -> None:
    assert shown(value) == repr(value)


@dataclasses.dataclass
class Point:
    x: int
    y: list[int] = dataclasses.field(default_factory=list)
    hidden: int = dataclasses.field(default=0, repr=False)


@dataclasses.dataclass
class Named(Point):
    def __repr__(self) -> str:
        return "a name"


@dataclasses.dataclass(repr=False)
class Bare:
    x: int = 0


def test_dataclasses_have_their_repr() -> None:
    assert shown(Point(1, [2])) == repr(Point(1, [2]))
    assert shown(Named(1)) == "a name"
    assert shown(Bare()).startswith("<tests.unit.test_errors.Bare object at ")
    assert shown(Point) == repr(Point)
    assert shown(Point(1, [0] * 10**6)).endswith(", 0, 0, ...])")


def test_texts_are_cut_in_the_middle() -> None:
    assert bounded("abcdefghijklmnop", 11) == "abc ... nop"
    assert bounded("abc", 3) == "abc"
    assert shown_error(5) == "5"
    assert shown_error(ValueError()) == "ValueError"
