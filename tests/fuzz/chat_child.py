"""Child process that renders damaged chat templates and writes one result a line.

Run as `python chat_child.py KIND FIRST COUNT`. A case that takes more than two seconds of processor
time ends the process, and the system refuses it memory beyond a gigabyte more than it began with.
"""

from __future__ import annotations

import json
import random
import re
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from chat_templates import ADDED, SPECIAL, TEMPLATES, tokenizer_with_control_tokens
from hostile_templates import HOSTILE

from decoding import LanguageModel
from decoding.errors import DecodingError
from decoding.models.chat import chat_prompt, render_chat
from decoding.models.tokenizer import HuggingFaceTokenizer

SECONDS = 2.0
BYTES = 1 << 30
TOKENIZER = HuggingFaceTokenizer(tokenizer_with_control_tokens())
CALL = {"type": "function", "function": {"name": "f", "arguments": {"a": [1, None, "é"]}}}
CONFIG: dict[str, Any] = {
    "chat_template": TEMPLATES["qwen-3"],
    "template_variables": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None},
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi <|im_end|>"},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "hm"},
        {"role": "tool", "content": [{"type": "text", "text": "4"}, {"type": "image"}]},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": {}}}}],
    "documents": [{"title": "t", "text": "x"}],
    "variables": {"enable_thinking": False, "date_string": "today"},
    "continue_final_message": False,
}
SIMPLE = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>"}]
NAMES = [
    "content", "role", "text", "messages", "tools", "tool_calls", "function", "arguments",
    "name", "_x", "", "thinking", "ns", "loop", "m",
]  # fmt: skip
FRAGMENTS = [
    "{{", "}}", "{%", "%}", "{#", "#}", "(", ")", "[", "]", "[::-1]", "[1:]", "|", ".", ",", "~",
    "+", "*", "**", "%", "//", "/", "-", "==", "<", "in", "not", "is", "if", "else", "and", "or",
    "10**9", "(10**9)", "-1", "0", "1.5", "1e308", "'%1000000d'", "'{:1000000}'", "'x'", "none",
    "true", "messages", "loop", "loop.index", "ns", "self", "range(99999)", "namespace(a=1)",
    "dict(a=1)", "cycler(1, 2)", "joiner()", "{% for m in messages %}", "{% endfor %}",
    "{% for a in range(999) %}", "{% if m %}", "{% elif m %}", "{% else %}", "{% endif %}",
    "{% set ns.a = ns.a + ns.a %}", "{% set x %}", "{% endset %}", "{% macro f(a, b=1) %}",
    "{% endmacro %}", "{{ f(1) }}", "{% call f() %}", "{% endcall %}", "{% block b %}",
    "{% endblock %}", "{% filter upper %}", "{% endfilter %}", "{% with a = 1 %}",
    "{% endwith %}", "{% generation %}", "{% endgeneration %}", "{% break %}", "{% raw %}",
    "{% endraw %}", "{% include 'a' %}", "{% extends 'a' %}", "{% autoescape true %}",
    "| tojson", "| tojson(indent=4)", "| list", "| sort", "| join", "| replace('a', 'b')",
    "| center(10**6)", "| indent(10**6)", "| batch(10**6, 0)", "| slice(10**6)", "| map('upper')",
    "| map(attribute='content')", "| selectattr('role')", "| groupby('role')", "| unique",
    "| sum", "| round(2)", "| format(1)", "| wordwrap(1)", "| urlize", "| xmlattr", "| pprint",
    "| striptags", "| attr('role')", "| default('x')", "| items", "| dictsort", "| random",
    ".split()", ".strip()", ".upper()", ".replace('a', 'b' * 999)", ".format(*messages)",
    ".items()",
    ".get('role')", ".join(messages)", ".ljust(10**6)", ".__class__", ".mro()", ".encode('idna')",
    " is odd", " is divisibleby(3)", " is mapping", " is filter", "raise_exception('no')",
    "strftime_now('%Y')", "lipsum(9)", "\\n", "\x00", "\ud800", "\U0001f336", "é",
    *SPECIAL[:4], *ADDED,
]  # fmt: skip
PIECE = re.compile(r"\{[{%#]-?|-?[}%#]\}|\w+|\s+|.", re.DOTALL)
VALUES: list[Any] = [
    None, True, False, 0, -1, 2**70, 10**4000, 1e308, float("nan"), "", "x" * 50_000, "\ud800",
    [], {}, [[]], {"": None}, "<|im_end|>", "{{ 1 }}", "\U000f0000", *TEMPLATES.values(),
]  # fmt: skip


def damaged_template(number: int) -> str:
    dice = random.Random(f"template-{number}")
    seeds = list((TEMPLATES if dice.random() < 0.8 else HOSTILE).values())
    pieces = PIECE.findall(dice.choice(seeds)[:20_000])
    for _ in range(dice.choice([1, 1, 2, 3, 8])):
        at = dice.randrange(len(pieces) + 1)
        end = min(len(pieces), at + dice.choice([1, 1, 2, 5, 40]))
        match dice.randrange(6):
            case 0:
                del pieces[at:end]
            case 1:
                pieces[at:at] = pieces[at:end] * dice.choice([1, 2, 50])
            case 2:
                pieces[at:end] = [dice.choice(FRAGMENTS)]
            case 3:
                pieces[at:at] = [dice.choice(FRAGMENTS) for _ in range(dice.choice([1, 3]))]
            case 4:
                other = PIECE.findall(dice.choice(seeds)[:20_000])
                start = dice.randrange(len(other) + 1)
                pieces[at:end] = other[start : start + dice.choice([1, 5, 40])]
            case 5 if at < end:
                pieces[at] = "".join(
                    chr(max(0, ord(character) + dice.choice([-1, 1]))) for character in pieces[at]
                )
    return "".join(pieces)


def damaged_config(number: int) -> dict[str, Any]:
    dice = random.Random(f"config-{number}")
    config = json.loads(json.dumps(CONFIG))
    config["chat_template"] = dice.choice(list(TEMPLATES.values()))
    for _ in range(dice.choice([1, 1, 2, 4])):
        at = config
        while True:  # walk down to some member
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = dice.choice(keys) if keys else None
            if key is None or not isinstance(at[key], dict | list) or dice.random() < 0.3:
                break
            at = at[key]
        value = dice.choice([*VALUES, config.get("messages"), dice.choice(NAMES)])
        value = json.loads(json.dumps(value))
        if key is None or (isinstance(at, dict) and dice.random() < 0.2):
            if isinstance(at, dict):
                at[dice.choice(NAMES)] = value
            else:
                at.append(value)
        elif dice.random() < 0.2:
            del at[key]
        else:
            at[key] = value
    return dict(config)


def use_template(number: int) -> None:
    messages = SIMPLE if number % 4 else CONFIG["messages"]
    render_chat(messages, damaged_template(number), CONFIG["template_variables"])


def use_config(number: int) -> None:
    config = damaged_config(number)
    variables = config.get("template_variables")
    model = LanguageModel(
        forward=lambda rows: None,
        tokenizer=TOKENIZER,
        chat_template=config.get("chat_template"),
        template_variables=variables if isinstance(variables, dict) else {},
    )
    chat_prompt(
        model,
        config.get("messages"),  # it may be anything
        tools=config.get("tools"),
        documents=config.get("documents"),
        variables=config.get("variables"),
        continue_final_message=bool(number % 2) and config.get("continue_final_message", True),
        sanitize_control_tokens=number % 3 != 0,
    )


USES = {"template": use_template, "config": use_config}


def outcome_of(kind: str, number: int) -> str:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        USES[kind](number)
    except DecodingError as error:
        return "refused" if len(str(error)) < 5000 else "a message of 5,000 characters"
    except BaseException:  # a panic of the Rust side is no Exception
        return traceback.format_exc()[-1500:].replace("\n", " | ")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "rendered"


def main(kind: str, first: int, count: int) -> None:
    render_chat(CONFIG["messages"], TEMPLATES["qwen-3"], {})  # imports what is imported late
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in range(first, first + count):
        sys.stdout.write(f"{outcome_of(kind, number)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
