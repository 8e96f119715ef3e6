"""Our forward pass, tokenizers and chat templates against transformers."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import tokenizers

from decoding import GenerationParameters, generate
from decoding.models import LanguageModel, load
from decoding.models.chat import chat_prompt, render_chat
from decoding.models.fetch import fetch
from decoding.models.tokenizer import HuggingFaceTokenizer

pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")

import torch
from smollm2_peer import peer_of
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.utils.chat_template_utils import render_jinja_template

TOLERANCE = 2e-4
SIZES = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama-multi-head": ("Llama", {"num_key_value_heads": 6}),
    "llama-one-kv-head": ("Llama", {"num_key_value_heads": 1}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}),
    "llama-biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-wide-heads": ("Llama", {"head_dim": 16, "rms_norm_eps": 1e-3}),
    "llama3-rope": ("Llama", {"rope_parameters": LLAMA3}),
    "llama-linear-rope": (
        "Llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    ),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral-wide-window": ("Mistral", {"sliding_window": 256, "head_dim": 10}),
    "qwen2": ("Qwen2", {}),
    "qwen2-tied": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
}


def random_ids(seed: int, length: int) -> list[int]:
    return random.Random(seed).choices(range(SIZES["vocab_size"]), k=length)


def theirs_on(model: Any, token_ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([token_ids])).logits[0].float()
    return logits


@pytest.fixture(scope="module", params=CASES)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any]:
    """(their model, ours from what theirs saved)."""
    family, changes = CASES[request.param]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**(SIZES | changes))
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start at 0 and 1
            parameter.add_(torch.randn_like(parameter) * 0.1)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return model, load(folder).forward


@pytest.mark.slow
def test_all_positions(pair: tuple[Any, Any]) -> None:
    theirs, ours = pair
    for seed, length in enumerate((1, 2, 31, 200)):
        token_ids = random_ids(seed, length)
        logits = ours.prefill([token_ids], all_positions=True)[1]
        torch.testing.assert_close(logits, theirs_on(theirs, token_ids), rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_ragged_batches_token_by_token(pair: tuple[Any, Any]) -> None:
    theirs, ours = pair
    sequences = [random_ids(1, 60), random_ids(2, 60), random_ids(3, 60)]
    cuts = (5, 1, 40)
    states, first = ours.prefill([ids[:cut] for ids, cut in zip(sequences, cuts, strict=True)])
    rows = [first]
    for step in range(20):
        new = [[ids[cut + step]] for ids, cut in zip(sequences, cuts, strict=True)]
        rows.append(ours.extend(states, new))
    for index, (ids, cut) in enumerate(zip(sequences, cuts, strict=True)):
        expected = theirs_on(theirs, ids[: cut + 20])[cut - 1 :]
        got = torch.stack([row[index] for row in rows])
        torch.testing.assert_close(got, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_forks_and_rollbacks(pair: tuple[Any, Any]) -> None:
    theirs, ours = pair
    token_ids, other = random_ids(4, 70), random_ids(5, 20)
    (state,), _ = ours.prefill([token_ids])
    fork = ours.fork(state)
    ours.rollback(state, 30)
    logits = ours.extend([state, fork], [other, other[:3]], all_positions=True)
    expected = [
        theirs_on(theirs, token_ids[:40] + other)[40:],
        theirs_on(theirs, token_ids + other[:3])[70:],
    ]
    torch.testing.assert_close(logits, torch.cat(expected), rtol=0, atol=TOLERANCE)


PROMPTS = [
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "List three prime numbers.",
    "def fibonacci(n):",
    "Why is the sky blue?",
    "Translate 'good morning' into Spanish.",
    "The quick brown fox",
    "What is 17 + 25?",
]


@pytest.fixture(scope="module")
def peer(smollm2: LanguageModel) -> Any:
    """transformers' Llama with the weights that we dequantised."""
    return peer_of(smollm2)


def cached(model: LanguageModel) -> Any:
    """The model's forward pass, which is known to have a cache."""
    return model.forward


def chat_ids(model: LanguageModel, text: str) -> list[int]:
    return chat_prompt(model, [{"role": "user", "content": text}])


@pytest.mark.model
@pytest.mark.slow
def test_smollm2_logits(smollm2: LanguageModel, peer: Any) -> None:
    ids = chat_ids(smollm2, PROMPTS[0])
    expected = theirs_on(peer, ids)
    states, logits = cached(smollm2).prefill([ids], all_positions=True)
    torch.testing.assert_close(logits, expected, rtol=0, atol=TOLERANCE)
    cached(smollm2).rollback(states[0], 12)
    rows = [cached(smollm2).extend(states, [[token_id]]) for token_id in ids[-12:]]
    torch.testing.assert_close(torch.cat(rows), expected[-12:], rtol=0, atol=TOLERANCE)


@pytest.mark.model
@pytest.mark.slow
def test_smollm2_greedy_tokens(smollm2: LanguageModel, peer: Any) -> None:
    prompts = [chat_ids(smollm2, prompt) for prompt in PROMPTS]
    parameters = GenerationParameters(max_new_tokens=30)
    together = generate(smollm2, prompts, parameters)
    for ids, response in zip(prompts, together, strict=True):
        with torch.inference_mode():
            answer = peer.generate(
                torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                max_new_tokens=30,
                do_sample=False,
            )
        alone = generate(smollm2, ids, parameters)
        assert [token.id for token in alone.tokens] == answer[0, len(ids) :].tolist()
        assert [token.id for token in response.tokens] == answer[0, len(ids) :].tolist()
    assert together[0].generated_text == "The capital of France is Paris."
    assert together[0].tokens[-1].text == "<|im_end|>"


STRINGS = [
    "",
    " ",
    "Hello, world!",
    "don't we'll I'M  it's",
    "x = [1, 22, 333]; y += 0x1F  # 2024-01-02",
    "\t\tif a:\n\n\n        return b\r\n   ",
    "naïve café — “quotes” … ﬁ",
    "東京は日本の首都です。 안녕하세요 🙂👍🏽 🇫🇷",
    "مرحبا بالعالم नमस्ते שלום",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|> <|im_start|>",
    "a\u0301 \u00e1 \u200b\u00a0\u2028 \ufeff\x00\x7f",
    "¹²³ ½ Ⅷ ٣ 1٣2",
]


def random_strings(count: int) -> list[str]:
    rng = random.Random(0)
    pools = [
        "abc ABC'.,\n\t0123456789",
        "".join(map(chr, range(0x20, 0x250))),
        "東京🙂é\u0301\u200d 1",
    ]
    return ["".join(rng.choices(rng.choice(pools), k=rng.randrange(40))) for _ in range(count)]


@pytest.mark.model
@pytest.mark.slow
def test_smollm2_token_ids(smollm2: LanguageModel) -> None:
    path = fetch("smollm2")
    theirs = transformers.AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    assert smollm2.tokenizer is not None
    vocabulary = smollm2.tokenizer.vocabulary
    texts = [*STRINGS, *random_strings(300)]
    ids = [smollm2.tokenizer.encode(text) for text in texts]
    for text, ours in zip(texts, ids, strict=True):
        assert b"".join(map(vocabulary.bytes_of, ours)).decode() == text
        if not any(map(str.isnumeric, text)):
            assert ours == theirs(text).input_ids, text
    # Reading GGUF, transformers forgets that SmolLM cuts digits apart first, which shows in "  1"
    # (two spaces and a digit) and in numerals that the vocabulary merges with a space, as " ½".
    backend = theirs._tokenizer
    digits = tokenizers.pre_tokenizers.Digits(individual_digits=True)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([digits, backend.pre_tokenizer])
    for text, ours in zip(texts, ids, strict=True):
        assert ours == backend.encode(text).ids, text


@pytest.fixture(scope="module")
def greedy_merges() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary that would merge across words, digits and lines wherever text is not cut."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=1500,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*STRINGS, *random_strings(50)] * 2, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def gpt2(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    return transformers.GPT2Tokenizer(vocab=vocabulary, merges=merges)._tokenizer


def qwen2(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    return transformers.Qwen2Tokenizer(vocab=vocabulary, merges=merges)._tokenizer


def llama3(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    """transformers converts Llama 3 from tiktoken; its parts are put together here."""

    class Local(TikTokenConverter):
        def tokenizer(self) -> tokenizers.Tokenizer:
            model = tokenizers.models.BPE(vocabulary, merges, ignore_merges=True)
            return tokenizers.Tokenizer(model)

    make: Any = Local
    return make(extra_special_tokens=[]).converted()


@pytest.mark.parametrize(
    ("pre", "theirs"),
    [("gpt-2", gpt2), ("qwen2", qwen2), ("deepseek-r1-qwen", qwen2), ("llama-bpe", llama3)],
)
def test_gguf_pre_tokenizers_cut_text_as_transformers(
    pre: str, theirs: Any, greedy_merges: tuple[dict[str, int], list[tuple[str, str]]]
) -> None:
    vocabulary, merges = greedy_merges
    metadata = {
        "model": "gpt2",
        "pre": pre,
        "tokens": sorted(vocabulary, key=vocabulary.__getitem__),
        "token_type": [1] * len(vocabulary),
        "merges": [" ".join(merge) for merge in merges],
        "add_bos_token": False,
    }
    ours = HuggingFaceTokenizer.from_gguf(
        {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}
    )
    peer = theirs(vocabulary, merges)
    for text in [*STRINGS, *random_strings(300)]:
        if "<|" not in text:  # their special tokens are not ours
            expected = peer.encode(text, add_special_tokens=False).ids
            assert ours.encode(text) == expected, text


TEMPLATES = {
    "chatml": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "llama2": (
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
        "{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}"
        "{% for message in rest %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
        "{% if loop.first and system is defined %}"
        "{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + message['content'] %}"
        "{% else %}{% set content = message['content'] %}{% endif %}"
        "{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    "tools": """{{- bos_token }}
{%- if tools is not none %}
    {%- for tool in tools %}
        {{- tool | tojson(indent=2) }}
    {%- endfor %}
{%- else %}
    {{- "no tools" }}
{%- endif %}
{%- set state = namespace(count=0) %}
{% for message in messages %}
    {%- if message.role == "system" %}{% continue %}{% endif %}
    {%- set state.count = state.count + 1 %}
    {{- message | tojson }}
    {%- if state.count >= 2 %}{% break %}{% endif %}
{% endfor %}
{{ state.count }} {{ dict(a=1) | tojson }} {{ strftime_now("%Y") }}
""",
    "generation": (
        "{% for message in messages %}{% if message.role == 'assistant' %}\n  {% generation %}\n"
        "{{ message.content }}\n{% endgeneration %}{% else %}{{ message.content | upper }}"
        "{% endif %}{% endfor %}"
    ),
}
CHATS = [
    [{"role": "user", "content": " <Hi> & 'grüß' \"Gott\" 🙂\n"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ],
]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("chat", CHATS, ids=["one", "several"])
@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("tools", [None, [{"name": "f", "parameters": {"ü": [1, None]}}]])
def test_chats_read_as_transformers_renders_them(
    template: str, chat: list[dict[str, str]], opened: Any, tools: Any
) -> None:
    variables: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>"}
    said: dict[str, Any] = {**variables, "add_generation_prompt": opened}
    rendered: Any = render_jinja_template([chat], tools, None, template, **said)
    ours = render_chat(chat, template, {**variables, "tools": tools}, add_generation_prompt=opened)
    assert [ours] == rendered[0]
