"""Scores masks of JSON Schemas on the JSON-Schema-Test-Suite.

    python -m benchmarks.schema_suite FOLDER

FOLDER holds files of the suite for one draft, such as `tests/draft2020-12`; folders below it, with
tests that are optional, are left out. Schemas that name no draft are read in the one that the
folder is named after; what they refer to is in the folder `remotes` beside or above FOLDER, if it
is there. A test passes if its value, written as JSON, is allowed byte by byte up to an end exactly
where it is valid. A schema that is refused says so with an error of the library; any other error
ends the run.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from decoding.errors import GrammarError, GrammarUnsatisfiableError
from decoding.grammar import Machine, Matcher, TokenGrammar, compile_json_schema, token_table
from decoding.grammar.schema import Schema
from decoding.vocabulary import Vocabulary

BYTES = Vocabulary([bytes([byte]) for byte in range(256)])


def accepts(matcher: Matcher, text: bytes) -> bool:
    """Whether a whole text is allowed."""
    return all(map(matcher.advance, text)) and matcher.is_accepting


DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


def declared(schema: Schema, folder: str) -> Schema:
    """The schema with the name of its draft."""
    if isinstance(schema, bool) or folder not in DRAFTS:
        return schema
    return {"$schema": DRAFTS[folder], **schema}


def remotes(folder: Path) -> dict[str, Schema]:
    """The documents that the suite serves, by their URIs."""
    found = {}
    for parent in (folder.parent, folder.parent.parent):
        root = parent / "remotes"
        for path in sorted(root.rglob("*.json")) if root.is_dir() else ():
            name = path.relative_to(root)
            draft = name.parts[0]
            if draft == folder.name or draft not in DRAFTS:
                uri = f"http://localhost:1234/{name.as_posix()}"
                found[uri] = declared(json.loads(path.read_text()), folder.name)
    return found


def compiled(
    schema: Schema, machine: Machine, resources: Mapping[str, Schema]
) -> TokenGrammar | None:
    """The grammar; `None` where no value at all is valid."""
    try:
        return compile_json_schema(schema, machine, formats="annotation", resources=resources)
    except GrammarUnsatisfiableError:
        return None


def score(files: list[Path], machine: Machine) -> tuple[Counter[str], list[str]]:
    """How many tests had which result, and which were refused or judged wrongly."""
    counts: Counter[str] = Counter()
    remarks = []
    served = remotes(files[0].parent) if files else {}
    for path in files:
        for group in json.loads(path.read_text()):
            where = f"{path.stem}: {group['description']}"
            try:
                schema = declared(group["schema"], path.parent.name)
                grammar = compiled(schema, machine, served)
            except GrammarError as error:
                counts["refused"] += len(group["tests"])
                remarks.append(f"refused: {where}: {type(error).__name__}: {error}")
                continue
            for test in group["tests"]:
                text = json.dumps(test["data"], ensure_ascii=False).encode("utf-8", "surrogatepass")
                accepted = grammar is not None and accepts(grammar.matcher(), text)
                if accepted == test["valid"]:
                    counts["passed"] += 1
                    continue
                result = "accepted though invalid" if accepted else "refused though valid"
                counts[result] += 1
                remarks.append(f"{result}: {where}: {test['description']}")
    return counts, remarks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    files = sorted(parser.parse_args().folder.glob("*.json"))
    counts, remarks = score(files, Machine(token_table(BYTES, [])))
    print("\n".join(remarks))
    print(json.dumps(dict(counts)), "of", counts.total())


if __name__ == "__main__":
    main()
