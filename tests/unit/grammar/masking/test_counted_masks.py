"""Items and keys that are counted or must differ, through masks; and a text can always end."""

import json
import random
from typing import Any

import jsonschema
import pytest
from profiles import spread
from random_texts import accepts, byte_machine, walk

from decoding.errors import GrammarUnsupportedError
from decoding.grammar import Machine, compile_json_schema


@pytest.fixture(scope="module")
def machine() -> Machine:
    return byte_machine()


INT, S, B = {"type": "integer"}, {"type": "string"}, {"type": "boolean"}
FIVE = {"type": "integer", "minimum": 5}

# fmt: off
CASES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({"items": INT, "uniqueItems": True},
     ["[]", "[1]", "[1, 2]", "[1,11,111,-1,0]"],
     ["[1,1]", "[1,1.0]", "[12,1,12]", "[0,0]", "[0,-0]"]),
    ({"items": {"type": ["string", "integer", "boolean", "null"]}, "uniqueItems": True},
     ['["a","ab","a\\n","1",1,true,false,null,""]', '["\\"","\\\\"]'],
     ['["a","a"]', '["a","\\u0061"]', "[true,true]", "[null,1,null]", '["\\n","\\u000a"]']),
    ({"items": {"enum": ["a", "b", 1, 2.5]}, "uniqueItems": True, "minItems": 3},
     ['["b",1,"a"]', '["b",1.0,"a",2.50]'],
     ['["b","a"]', '["b","a","a"]', '[1,"a",1.0]', '["b","a","b",1]']),
    ({"items": B, "uniqueItems": True}, ["[true,false]"], ["[true,true]", "[true,false,true]"]),
    ({"items": {"type": "string", "pattern": "^(a|b[01])$"}, "uniqueItems": True},
     ['["a","b1","b0"]'], ['["a","b1","b1"]', '["a","a"]']),
    ({"prefixItems": [{"enum": [1, 2]}, {"enum": [1]}], "minItems": 2, "uniqueItems": True,
      "items": {"enum": [1, 2, 3]}},
     ["[2,1]", "[2,1,3]"], ["[1,1]", "[1,2]", "[1]", "[2,1,2]"]),
    ({"items": S, "uniqueItems": True, "contains": {"const": "x"}},
     ['["a","x"]'], ['["a"]', '["x","x"]']),
    ({"contains": {"const": 1}, "maxContains": 1, "items": {"type": ["integer", "string"]}},
     ["[1,2]", '["a",1]', "[1.0,3]"], ["[1,1]", "[2]", "[]", "[1,1.0]"]),
    ({"contains": FIVE, "minContains": 0, "maxContains": 2, "items": INT, "minItems": 3},
     ["[1,2,3]", "[5,1,6]"], ["[5,6,7]", "[5,6]"]),
    ({"contains": INT, "maxContains": 1, "prefixItems": [INT], "minItems": 2,
      "items": {"type": "null"}},
     ["[1,null]"], ["[1]", "[1,1]", "[null,1]"]),
    ({"contains": {"const": 1}, "minContains": 2, "maxItems": 3, "items": INT},
     ["[1,1]", "[2,1,1]", "[1,2,1]"], ["[1,2]", "[2,2]", "[1,2,3]"]),
    ({"allOf": [{"contains": {"const": 1}}, {"contains": FIVE}], "maxItems": 2, "items": INT},
     ["[1,5]", "[6,1]"], ["[1,1]", "[1]", "[1,2]", "[5,5]"]),
    ({"allOf": [{"contains": {"multipleOf": 2}}, {"contains": FIVE}], "maxItems": 1, "items": INT},
     ["[6]"], ["[2]", "[5]"]),
    ({"prefixItems": [INT, S], "contains": {"const": "x"}, "maxItems": 2},
     ['[1,"x"]'], ['[1,"y"]', "[1]"]),
    ({"prefixItems": [INT, INT], "contains": {"const": 1}, "maxItems": 2},
     ["[1]", "[2,1]"], ["[2]", "[2,2]"]),
    ({"anyOf": [{"items": INT, "uniqueItems": True}, {"items": {"const": 1}, "maxItems": 3}]},
     ["[1,1]", "[1,2]", "[1,1,1]"], ["[1,1,1,1]", "[2,2]", "[1,1,2]"]),
]
KEYS: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({"minProperties": 2, "propertyNames": {"pattern": "^[ab]$"}, "additionalProperties": INT},
     ['{"a":1,"b":2}'], ['{"a":1,"a":2}', '{"a":1}']),
    ({"minProperties": 3, "additionalProperties": INT},
     ['{"a":1,"ab":2,"":3}', '{"\\"":1,"\\n":2,"/":3}'], ['{"a":1,"b":2,"a":3}']),
    ({"properties": {"a": INT, "b": INT, "c": INT}, "additionalProperties": False,
      "maxProperties": 2, "dependentRequired": {"a": ["b"], "b": ["c"]}},
     ['{"b":1,"c":1}', '{"c":1}'], ['{"a":1}', '{"b":1,"a":1}']),
    ({"not": {"patternProperties": {"a": {"type": "integer"}}}, "maxProperties": 1},
     ['{"xa":"y"}', '{"a":[]}'], ["{}", '{"a":1}', '{"x":"y"}']),
    ({"allOf": [{"not": {"propertyNames": {"not": {"pattern": p}}}} for p in ("a", "b")],
      "required": ["da"], "maxProperties": 2, "additionalProperties": INT},
     ['{"da":1,"xb":2}', '{"b":1,"da":2}'], ['{"da":1}', '{"da":1,"c":2}', '{"b":1}']),
]
# fmt: on


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    spread(
        [({"type": "array", **case[0]}, *case[1:]) for case in CASES]
        + [({"type": "object", **case[0]}, *case[1:]) for case in KEYS],
        7,
    ),
    ids=lambda part: str(part)[:60],
)
def test_texts_and_random_walks(
    machine: Machine, schema: Any, valid: list[str], invalid: list[str]
) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    grammar = compile_json_schema(schema, machine)
    for text in valid:
        assert accepts(grammar.matcher(), text), text
        validator.validate(json.loads(text))
    for text in invalid:
        assert not accepts(grammar.matcher(), text), text
    rng = random.Random(0)
    for _ in range(6):
        text = walk(grammar.matcher(), rng, 120)
        if text is not None:
            validator.validate(json.loads(text))


@pytest.mark.parametrize(
    ("schema", "where", "keyword"),
    [
        ({"properties": {"a": {"type": "array", "uniqueItems": True, "items": {"type": "object"},
          "minItems": 2}}, "required": ["a"]}, "/properties/a/uniqueItems", "uniqueItems"),
        ({"items": {"items": {"type": "string"}, "contains": {"const": "a"}, "minContains": 2,
          "uniqueItems": True}}, "/items/uniqueItems", "uniqueItems"),
        ({"allOf": [{"contains": INT}, {"contains": S, "maxContains": 2}]},
         "/allOf/1/maxContains", "maxContains"),
        ({"properties": {"a": INT, "b": INT}, "additionalProperties": False, "minProperties": 1,
          "maxProperties": 1, "dependentRequired": {"a": ["b"], "b": ["a"]}}, "/minProperties",
         "minProperties"),
        ({"allOf": [{"contains": {"const": n}} for n in range(4)]},
         "/allOf/3/contains", "contains"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_its_keyword_and_pointer(
    machine: Machine, schema: Any, where: str, keyword: str
) -> None:
    with pytest.raises(GrammarUnsupportedError) as caught:
        compile_json_schema(schema, machine)
    assert (caught.value.where, caught.value.keyword) == (where, keyword)
    dropped = compile_json_schema(schema, machine, on_unsupported="ignore").dropped
    assert keyword in {remark.keyword for remark in dropped}


def test_what_is_spelled_in_one_way_is_listed(machine: Machine) -> None:
    schema = {"type": "array", "items": S, "uniqueItems": True}
    found = [one.keyword for one in compile_json_schema(schema, machine).restrictions]
    assert found[:3] == ["uniqueItems", "string", "number"]
