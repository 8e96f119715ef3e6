"""Reads a model's chat templates, by name, from its files, and chooses one for a request.

Most models have one template. Some have several with names: `default`, `tool_use` for requests that
offer tools, `rag` for requests with documents. Names and choice are those of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decoding.errors import ModelFormatError, ParameterError
from decoding.models.files import is_present, member, read_text
from decoding.models.protocol import LanguageModel

DEFAULT = "default"
TOOL_USE = "tool_use"

_FILE = "chat_template.jinja"
_FOLDER = "additional_chat_templates"
_MOST_BYTES = 1 << 20  # of a template
_MOST_FILES = 64


def chosen_template(
    model: LanguageModel, name: str | None = None, *, has_tools: bool
) -> tuple[str, str]:
    """The name and source of a request's chat template, chosen as transformers chooses it.

    name: of a template of the model. None takes `tool_use` for a request with tools if the model
        has a template of that name, else the default template.

    Raises:
        ParameterError: the model has no chat template, none of this name, or several without a
            default and no name is given.
    """
    templates = dict(model.chat_templates)
    if model.chat_template is not None:
        templates[DEFAULT] = model.chat_template
    if not templates:
        raise ParameterError("model", model.name, "one with a tokenizer and a chat template")
    wanted = name
    if wanted is None:
        wanted = TOOL_USE if has_tools and TOOL_USE in templates else DEFAULT
    if not isinstance(wanted, str) or wanted not in templates:
        names = ", ".join(sorted(templates))
        expected = f"the name of one of the model's chat templates ({names})"
        raise ParameterError("chat_template", name, expected)
    return wanted, templates[wanted]


def templates_of_folder(folder: Path, texts: Mapping[str, Any]) -> dict[str, str]:
    """Read the chat templates of a model folder, by name.

    texts: the content of `tokenizer_config.json`, whose `chat_template` is a text or a list of
        objects with `name` and `template`. Template files take its place where there are any:
        `chat_template.jinja` (the default) and `additional_chat_templates/NAME.jinja`.

    Raises:
        ModelFormatError: a file is too large, damaged or elsewhere, or there are too many.
    """
    templates = {}
    if is_present(folder / _FILE):
        templates[DEFAULT] = read_text(member(folder, _FILE), _MOST_BYTES)
    for name in _further_files(folder):
        templates[name] = read_text(member(folder, f"{_FOLDER}/{name}.jinja"), _MOST_BYTES)
    if templates:
        return templates
    given = texts.get("chat_template")
    entries = given if isinstance(given, list) else [{"name": DEFAULT, "template": given}]
    return {
        entry["name"]: entry["template"]
        for entry in entries
        if isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("template"), str)
    }


def templates_of_metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Read the chat templates in the metadata of a GGUF file, by name."""
    key = "tokenizer.chat_template"
    names = metadata.get(f"{key}s")
    keys = {DEFAULT: key}
    for name in names if isinstance(names, list) else ():
        if isinstance(name, str):
            keys[name] = f"{key}.{name}"
    found = {name: metadata.get(path) for name, path in keys.items()}
    return {name: template for name, template in found.items() if isinstance(template, str)}


def _further_files(folder: Path) -> list[str]:
    if not is_present(folder / _FOLDER):
        return []
    path = member(folder, _FOLDER)
    try:
        names = sorted(item.name for item in path.iterdir() if item.name.endswith(".jinja"))
    except OSError as error:
        raise ModelFormatError(path, f"cannot be read: {error}") from error
    if len(names) > _MOST_FILES:
        raise ModelFormatError(
            path, f"holds {len(names)} templates; at most {_MOST_FILES} are read"
        )
    return [name.removesuffix(".jinja") for name in names]
