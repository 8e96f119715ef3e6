"""llama-cpp-python with a random Llama and with SmolLM2: its loop with our callbacks, its models in ours."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import llama_cpp
import numpy as np
import pytest
from gguf_llama import write
from numpy.typing import NDArray
from tiny_llama import (
    CONFIG,
    EOS,
    GRAMMAR,
    HOT,
    PROMPTS,
    VOCAB,
    is_valid,
    own_model,
    text_of,
    tokenizer,
)

from decoding import (
    GenerationParameters,
    Grammar,
    LanguageModel,
    Sampler,
    chain,
    generate,
    pipeline_of,
    presets,
)
from decoding.adapters import llama_cpp as adapter
from decoding.errors import EmptySupportError
from decoding.grammar import Machine, compile_gbnf, compile_lark, compile_regex, token_table
from decoding.models.fetch import fetch
from decoding.models.grammars import ModelGrammars
from decoding.processors import Mirostat2, SuppressTokens, Temperature, TopP
from decoding.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write(path)
    return llama_cpp.Llama(str(path), n_ctx=CONFIG.context_length, n_threads=1, verbose=False)


def wrapped(llm: Any) -> LanguageModel:
    return LanguageModel(
        forward=adapter.forward(llm),
        tokenizer=tokenizer(),
        eos_token_ids=frozenset({EOS}),
        logits_width=VOCAB,
        context_length=CONFIG.context_length,
    )


def tokens_of(llm: Any, prompt: list[int], count: int, **arguments: Any) -> list[int]:
    found: list[int] = []
    for token in llm.generate(prompt, **arguments):
        if token in (EOS, llm.token_eos()) or len(found) == count:
            break
        found.append(token)
    return found


def test_logits_equal_those_of_the_same_weights_in_torch(llm: Any) -> None:
    ours, theirs = own_model().forward, adapter.forward(llm)
    prompts, new = [[1, 70, 71], [1, 90]], [[8, 9], [10]]
    states, logits = theirs.prefill(prompts, all_positions=True)
    own_states, own_logits = ours.prefill(prompts, all_positions=True)
    np.testing.assert_allclose(logits, own_logits.numpy(), atol=1e-2)
    fork = theirs.fork(states[0])
    theirs.extend([fork], [[200, 201, 202]])
    theirs.extend(states, [[5, 6, 7], [5, 6, 7]])
    for state in states:
        theirs.rollback(state, 3)
    np.testing.assert_allclose(
        theirs.extend(states, new, all_positions=True),
        ours.extend(own_states, new, all_positions=True).numpy(),
        atol=1e-2,
    )


def test_every_text_of_its_loop_at_temperature_1_2_is_valid(llm: Any) -> None:
    mask = own_model().grammars.mask_of(GRAMMAR)
    valid = 0
    for seed in range(20):
        arguments = adapter.sampler(Sampler(chain(mask, Temperature(1.2)), seed))
        prompt = tokenizer().encode(PROMPTS[seed % 4])
        valid += is_valid(text_of(tokens_of(llm, prompt, 400, **arguments)))
    assert valid == 20


def test_every_text_of_our_loop_at_temperature_1_2_is_valid(llm: Any) -> None:
    answers = [
        generate(wrapped(llm), PROMPTS[seed % 4], replace(HOT, seed=seed)) for seed in range(20)
    ]
    assert sum(is_valid(answer.generated_text) for answer in answers) == 20


def test_every_text_of_smollm2_at_temperature_1_2_is_valid() -> None:
    llm = llama_cpp.Llama(str(fetch("smollm2")), n_ctx=512, n_threads=1, verbose=False)
    ours = adapter.tokenizer(llm)
    for spelled in ("a – b", "Say it in JSON.\n", "12 日本"):
        assert ours.encode(spelled) == llm.tokenize(spelled.encode(), add_bos=False)
    mask = ModelGrammars(ours.vocabulary, [llm.token_eos()], llm.n_vocab()).mask_of(GRAMMAR)
    valid = 0
    for seed in range(20):
        arguments = adapter.sampler(Sampler(chain(mask, Temperature(1.2)), seed))
        tokens = tokens_of(llm, ours.encode(PROMPTS[seed % 4]), 400, **arguments)
        valid += is_valid(b"".join(map(ours.vocabulary.bytes_of, tokens)).decode())
    assert valid == 20


@pytest.mark.parametrize(
    "pipeline",
    [
        chain(Temperature(0.9), TopP(0.9)),
        presets.llama_cpp(temp=0.9, xtc_probability=0.5, repeat_penalty=1.2),
        pipeline_of(GenerationParameters(dry_multiplier=0.8, watermark=True), VOCAB),
        chain(Mirostat2(3.0, 0.1)),
    ],
)
def test_its_loop_draws_what_our_loop_draws(llm: Any, pipeline: Any) -> None:
    for seed in range(3):
        asked = GenerationParameters(seed=seed, max_new_tokens=30)
        ours = generate(wrapped(llm), [1, 70, 80], asked, pipeline=pipeline)
        drawn = tokens_of(llm, [1, 70, 80], 30, **adapter.sampler(Sampler(pipeline, seed)))
        assert drawn == [token.id for token in ours.tokens if token.id != EOS]


def test_a_processor_edits_and_its_chain_draws(llm: Any) -> None:
    banned = tuple(range(100, VOCAB))
    edits = adapter.processor(SuppressTokens(banned))
    tokens = tokens_of(llm, [1, 70], 30, temp=0.0, **edits)
    plain = GenerationParameters(suppress_tokens=banned, max_new_tokens=30)
    ours = generate(wrapped(llm), [1, 70], plain)
    assert tokens == [token.id for token in ours.tokens if token.id != EOS]
    hot = tokens_of(llm, [1, 70], 30, temp=1.5, top_k=0, **edits)
    assert max(hot) < 100
    assert hot != tokens


def test_its_own_entry_point_takes_the_arguments_also_with_a_bias(llm: Any) -> None:
    # `create_completion` extends the list of processors by one for `logit_bias`.
    arguments = adapter.sampler(Sampler(chain(Temperature(0.9)), 5))
    sizes = [len(item) for item in arguments.values()]

    def text(**further: Any) -> str:
        made = llm.create_completion([1, 70, 80], max_tokens=12, **arguments, **further)
        return str(made["choices"][0]["text"])

    plain = text()
    assert plain == text(temperature=0.1, top_k=1)  # its chain has no choice
    assert text(logit_bias={"67": 100.0}) == "A" * 12  # ours draws from what the bias leaves
    assert [len(item) for item in arguments.values()] == sizes
    assert text() == plain


def test_an_error_and_an_interrupt_are_raised_before_the_token_comes_out(llm: Any) -> None:
    def nothing(logits: Any, history: Any) -> Any:
        return np.full_like(logits, -np.inf) if history.lengths[0] == 5 else logits

    def interrupted(logits: Any, history: Any) -> Any:
        if history.lengths[0] == 5:
            raise KeyboardInterrupt
        return logits

    for broken, error in ((nothing, EmptySupportError), (interrupted, KeyboardInterrupt)):
        arguments = adapter.sampler(Sampler(chain(broken), 1))
        found: list[int] = []
        with pytest.raises(error):
            found.extend(llm.generate([1, 70], **arguments))  # keeps what came before the error
        assert len(found) == 3


# Grammars

GRAMMARS = [
    Grammar("regex", "[0-9]{4}-[ab]+c"),
    Grammar("regex", r'"([^"\\]|\\["\\/bn])*"|\n|\t'),
    Grammar("regex", r"[\^\-\]\[a]+[é-ü]?|Straße|日本{0,2}"),
    Grammar("regex", r"(ab|cd)?x{3,}|"),
    Grammar("regex", r"(?s:.)*[^a]"),
    Grammar("gbnf", 'root ::= "a" b_c* | [^\\x00-\\x1F]\nb_c ::= ("x" | "y"){2,3} root?'),
    Grammar("gbnf", 'root ::= "[" (root ("," root)*)? "]" | [0-9]+'),
    Grammar(
        "gbnf", 'a ::= "a"\nroot ::= a-b | a b\nb ::= "\\"\\\\\\n"\na-b ::= "-" a_b\na_b ::= "_"'
    ),
    Grammar("lark", 'start: "(" start ")" | NUM+\nNUM: /[0-9]+/\n%ignore " "'),
    Grammar(
        "lark",
        'start: key ("," key)*\nkey: /[a-z]/i "=" ESCAPED_STRING\n%import common.ESCAPED_STRING',
    ),
]
COMPILE = {"regex": compile_regex, "gbnf": compile_gbnf, "lark": compile_lark}
BYTES = Vocabulary([b"</s>", b"<s>", *(bytes([byte]) for byte in range(256))], frozenset({0, 1}))
MACHINE = Machine(token_table(BYTES, [EOS], VOCAB))


class NativeText:
    """A text that llama.cpp's own grammar sampler follows."""

    def __init__(self, llm: Any, grammar: str) -> None:
        vocabulary = llama_cpp.llama_model_get_vocab(llm.model)
        self._sampler = llama_cpp.llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
        assert self._sampler, grammar

    def allowed(self) -> NDArray[np.bool_]:
        data = (llama_cpp.llama_token_data * VOCAB)(
            *(llama_cpp.llama_token_data(token, 0.0, 0.0) for token in range(VOCAB))
        )
        row = llama_cpp.llama_token_data_array(data, VOCAB, -1, False)
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(row))
        found = np.zeros(VOCAB, np.bool_)
        for item in data[: row.size]:
            found[item.id] = item.logit == 0.0
        return found

    def advance(self, token: int) -> None:
        llama_cpp.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._sampler)


def named(grammar: Grammar) -> str:
    return str(grammar.value)[:20]


@pytest.mark.parametrize("grammar", GRAMMARS, ids=named)
def test_its_grammar_reader_allows_the_same_tokens(llm: Any, grammar: Grammar) -> None:
    ours = COMPILE[grammar.type](str(grammar.value), MACHINE)
    generator = np.random.default_rng(3)
    compared = 0
    for _ in range(6):
        one, two = ours.matcher(), NativeText(llm, grammar.to_gbnf())
        for _ in range(20):
            words = one.mask().view(np.uint8)
            mine = np.unpackbits(words, bitorder="little")[:VOCAB].astype(np.bool_)
            theirs = two.allowed()
            # ASCII and the end; it never takes a token that begins with NUL.
            same = [EOS, *range(3, 130)]
            assert mine[same].tolist() == theirs[same].tolist()
            # Of the other bytes it allows some that begin no character: surrogates, beyond U+10FFFF.
            assert not (mine[130:] & ~theirs[130:]).any()
            compared += 1
            choices = np.flatnonzero(mine & theirs)[1 if mine[EOS] else 0 :]
            if not len(choices):
                break
            token = int(generator.choice(choices))
            assert one.advance(token)
            two.advance(token)
        two.close()
    assert compared > 6


@pytest.mark.parametrize("grammar", GRAMMARS, ids=named)
def test_its_grammar_reader_takes_and_refuses_the_same_texts(llm: Any, grammar: Grammar) -> None:
    ours = COMPILE[grammar.type](str(grammar.value), MACHINE)
    generator = np.random.default_rng(4)
    verdicts = set()
    texts = ["", "aé", "0123-abc", '"\\n"', "日本本", "xxx", "((7 )5)", 'k="v",K="é"', "[[1],2]"]
    for _ in range(40):
        # A text of the grammar, as far as 12 random tokens go, and the same with one character of
        # another.
        matcher, tokens = ours.matcher(), bytearray()
        for _ in range(12):
            mine = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")[3:VOCAB]
            choices = np.flatnonzero(mine) + 1
            if not len(choices):
                break
            byte = int(generator.choice(choices[choices < 128] if len(choices) > 80 else choices))
            tokens.append(byte)
            assert matcher.advance(2 + byte)
        made = tokens.decode("utf-8", "ignore")
        place = int(generator.integers(0, len(made) + 1))
        texts += [
            made,
            made[:place] + str(generator.choice(list("ab01 é日\n"))) + made[place + 1 :],
        ]
    for text in texts:
        matcher, native = ours.matcher(), NativeText(llm, grammar.to_gbnf())
        taken = [True, True]
        for byte in text.encode():
            if not native.allowed()[2 + byte]:
                taken[1] = False
                break
            native.advance(2 + byte)
        taken[1] = taken[1] and bool(native.allowed()[EOS])
        taken[0] = all(matcher.advance(2 + byte) for byte in text.encode()) and matcher.is_accepting
        assert taken[0] == taken[1], text
        verdicts.add(taken[0])
        native.close()
    assert verdicts == {True, False}


def test_its_loop_writes_texts_of_an_exported_grammar(llm: Any) -> None:
    import re

    grammar = adapter.export(Grammar("regex", "[0-9]{4}-[ab]{1,9}c"))
    for seed in range(5):
        llm.set_seed(seed)
        tokens = tokens_of(llm, [1, 70], 200, grammar=grammar, temp=1.2)
        assert re.fullmatch("[0-9]{4}-[ab]{1,9}c", text_of(tokens))
