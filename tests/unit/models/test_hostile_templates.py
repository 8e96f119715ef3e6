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

for name, template in HOSTILE.items():
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


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str]:
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent)]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(line) for line in child.stdout.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's here")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused_within_its_limits(
    name: str, verdicts: dict[str, str]
) -> None:
    refused = verdicts[name].startswith("refused: ")
    assert refused or name in HARMLESS, verdicts[name]
    assert "MemoryError" not in verdicts[name]


HARMLESS = {"namespaces in a tree"}
"""What renders, in no time."""
