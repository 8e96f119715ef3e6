"""A hostile chat template uses at most 2 s of processor time and 64 MB.

The templates are rendered in a child process, each in a fork of it that may not take more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_templates import HOSTILE

pytest.importorskip("jinja2")

CHILD = r"""
import json, os, resource, sys
sys.path.insert(0, sys.argv[1])
from hostile_templates import HOSTILE
from decoding.errors import ChatTemplateError
from decoding.models.chat import render_chat

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

def verdict(template):
    try:
        text = render_chat([{"role": "user", "content": "Hi"}], template, {})
    except ChatTemplateError as error:
        return f"refused: {error.reason}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return f"rendered {len(text)} characters"

for name in sys.argv[2:]:
    template = HOSTILE[name]
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (memory() + 64 * 2**20,) * 2)
        # Whole seconds, of which a fork has used none: the kernel ends it after the second one.
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
        os.write(writer, verdict(template).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    print(json.dumps([name, said or "was ended by the kernel"]), flush=True)
"""


QUICK = {
    "nested ranges", "large literal in a loop", "macro that calls itself", "doubling string", "slices are copies",
    "repeated string", "percent width", "format width", "ljust", "center by map", "tojson separators", "lipsum",
    "strftime", "power", "squares", "colliding hashes", "shown tree", "sorted trees", "namespaces in a tree",
    "comments in tags", "search", "sum of lists", "titles", "selection", "dotted attribute",
}  # fmt: skip
"""One of each kind; all take as long as everything else of models."""


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> dict[str, str]:
    """What came of each template that this run has a test for."""
    chosen = [
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and item.originalname == "test_a_hostile_template_is_refused_within_its_limits"
    ]
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), *chosen]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(line) for line in child.stdout.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's here")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in HOSTILE],
)
def test_a_hostile_template_is_refused_within_its_limits(
    name: str, verdicts: dict[str, str]
) -> None:
    refused = verdicts[name].startswith("refused: ")
    assert refused or name in HARMLESS, verdicts[name]
    assert "MemoryError" not in verdicts[name]


HARMLESS = {"namespaces in a tree"}
"""What renders, in no time."""
