"""Models with several chat templates: the files and the choice that transformers has."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")
transformers: Any = pytest.importorskip("transformers")

from chat_templates import tokenizer_with_control_tokens

from decoding import LanguageModel
from decoding.errors import DecodingError
from decoding.models.chat import chat_prompt
from decoding.models.chat_templates import templates_of_folder
from decoding.models.tokenizer import HuggingFaceTokenizer

TOOLS: Any = ({"type": "function", "function": {"name": "f"}},)
MESSAGES = [{"role": "user", "content": "hi"}]
LISTED = [
    {"name": "default", "template": "plain {{ messages[0].content }}"},
    {"name": "tool_use", "template": "tools {{ tools }} {{ messages[0].content }}"},
    {"name": "rag", "template": "rag {{ documents }} {{ messages[0].content }}"},
]
CONFIGURATIONS: dict[str, Any] = {
    "one": "alone {{ messages[0].content }}",
    "all": LISTED,
    "without tools": [LISTED[0], LISTED[2]],
    "without a default": LISTED[1:],
    "none": None,
}
FILES: dict[str, dict[str, str]] = {
    "no files": {},
    "a default file": {"chat_template.jinja": "file"},
    "a file more": {"additional_chat_templates/tool_use.jinja": "file of tools {{ tools }}"},
    "both": {
        "chat_template.jinja": "file",
        "additional_chat_templates/rag.jinja": "file of documents {{ documents }}",
        "additional_chat_templates/notes.txt": "no template",
    },
}


def attempt_peer(peer: Any, tools: Any, name: str | None) -> str | None:
    """Their text; None where they refuse, or would take an unknown name for a template."""
    named = peer.chat_template if isinstance(peer.chat_template, dict) else {}
    if name is not None and name not in named:
        if named or name != "default":
            return None
        name = None
    try:
        return peer.apply_chat_template(MESSAGES, tools=tools, chat_template=name, tokenize=False)
    except ValueError:  # no template, or no default
        return None


@pytest.mark.parametrize(("configured", "files"), list(itertools.product(CONFIGURATIONS, FILES)))
def test_the_prompt_of_a_folder(tmp_path: Path, configured: str, files: str) -> None:
    backend = tokenizer_with_control_tokens()
    backend.save(str(tmp_path / "tokenizer.json"))
    texts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": CONFIGURATIONS[configured],
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(texts), encoding="utf-8")
    for name, template in FILES[files].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(template, encoding="utf-8")
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    templates = templates_of_folder(tmp_path, texts)
    model = LanguageModel(
        forward=lambda rows: None,
        tokenizer=HuggingFaceTokenizer(backend),
        chat_template=templates.pop("default", None),
        chat_templates=templates,
    )
    for tools, name in itertools.product((None, TOOLS, ()), (None, "default", "tool_use", "rag")):
        theirs = attempt_peer(peer, tools, name)
        try:
            ours = chat_prompt(model, MESSAGES, tools=tools, chat_template=name)
        except DecodingError:
            assert theirs is None, (tools, name)
        else:
            assert backend.decode(ours, skip_special_tokens=False) == theirs, (tools, name)
