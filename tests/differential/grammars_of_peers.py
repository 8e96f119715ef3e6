"""Grammars whose languages this library and its peers should agree on."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
NULL: Schema = {"type": "null"}
BOOLEAN: Schema = {"type": "boolean"}
NODE: Schema = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/node"}},
    "additionalProperties": False,
}

# No free strings, and no numbers that could be written in several ways.
STRUCTURES: dict[str, Schema] = {
    "booleans": BOOLEAN,
    "words": {"enum": ["red", "green", "greenish", None, False]},
    "array, 1 to 3": {"type": "array", "items": BOOLEAN, "minItems": 1, "maxItems": 3},
    "tuple": {"type": "array", "prefixItems": [NULL, BOOLEAN], "items": False},
    "any of": {"anyOf": [NULL, {"type": "array", "items": NULL}]},
    "one of": {"oneOf": [NULL, {"type": "array", "items": NULL, "minItems": 2}]},
    "all of": {"allOf": [{"enum": ["a", "b", "ab"]}, {"enum": ["ab", "b", None]}]},
    "recursion": {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
    "declared properties": {
        "type": "object",
        "properties": {"name": {"enum": ["a", "b"]}},
        "required": ["name"],
        "additionalProperties": False,
    },
    "pattern": {"type": "string", "pattern": "^[a-c]{2,4}$"},
    "pattern with choices": {"type": "string", "pattern": "^(ab|abc)+-?$"},
    "uuid": {"type": "string", "format": "uuid"},
}
STRINGS: dict[str, Schema] = {
    "strings": STRING,
    "strings, 2 to 5": {"type": "string", "minLength": 2, "maxLength": 5},
    "strings with b": {"type": "string", "pattern": "b+"},
    "a property": {
        "type": "object",
        "properties": {"name": STRING},
        "required": ["name"],
        "additionalProperties": False,
    },
    "properties of one kind": {"type": "object", "additionalProperties": BOOLEAN},
    "names": {
        "type": "object",
        "patternProperties": {"^x": NULL, "^y": BOOLEAN},
        "additionalProperties": False,
    },
}
REGEXES = [
    "abc",
    "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "(?:ab|abc)+",
    r"[a-z]{3,10}@[a-z]+\.(com|org)",
    r'"[^"]*"',
    r"-?(0|[1-9][0-9]*)(\.[0-9]+)?",
    "(a|b)*a(a|b){5}",
    "café|中文?",
    r"[\w.]+\d",
    r"[\s\S]{2}",
    "[^a]{1,3}",
    "[à-ÿ]+|😀+",
    "a+?b",
]
CHOICES = ["a", "ab", 'café\n"\\', "😀", "", "</s>"]
GBNF = [
    'root ::= "a" root "b" | "c"',
    'root ::= [a-z]+ ("," [a-z]+)*',
    'root ::= expr\nexpr ::= term ("+" term)*\nterm ::= [0-9]+ | "(" expr ")"',
    'root ::= item{2,4}\nitem ::= "é" | "\\x41" | [^a-z]',
    'root ::= (root "a")? "b"',
]
LARK = [
    'start: "a" start "b" | "c"',
    'start: pair ("," pair)*\npair: NAME "=" NUMBER\nNAME: /[a-z]+/\nNUMBER: /[0-9]+/',
    'start: "(" start ")" start | ""',
    "start: A B\nA: /a+/\nB: /a?b/",
]
