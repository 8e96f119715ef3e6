"""`decoding serve`: runs the HTTP server; its flags have the names of TGI's launcher."""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from decoding._version import __version__
from decoding.checks import imported
from decoding.cli.model_flags import ADAPTERS_HELP, ADAPTERS_METAVAR
from decoding.errors import ParameterError
from decoding.models import LanguageModel, load
from decoding.typing import Anything
from decoding.watermark.presets import tgi
from decoding.wire.rules import WireLimits

if TYPE_CHECKING:  # other commands should not wait for it
    import asyncio

_SWITCH_INTERVAL_S = 0.0005
"""How long a thread that compiles a grammar, or the event loop, may keep the engine's waiting."""

_KEEP_ALIVE_S = 75
"""How long a connection without a request stays open. A client that sends one while the server
closes loses it: clients keep connections for 5 seconds (httpx) or 15 (aiohttp), uvicorn for 5."""

_YOUNG_OBJECTS, _YOUNG_COLLECTIONS = 10_000, 100
"""After so many new objects Python's collector looks for circles among them, and after so many of
these collections among all that they have left: it stops all threads, for half a millisecond where
2,000 objects are new, for 4 where 10,000 are. Requests make no circles and are freed at once; what
compiles grammars makes some."""


class _Flag:
    """One setting: its flag and its variable have the same name.

    low, high: the ends of the range of a number.
    """

    def __init__(
        self,
        kind: Callable[[str], Any],
        default: object,
        text: str,
        metavar: str | None = None,
        *,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> None:
        self.kind, self.default, self.text, self.metavar = kind, default, text, metavar
        self.low, self.high = low, high

    def check(self, name: str, value: object) -> None:
        """Raise `ParameterError` for a number outside the range; NaN is in none."""
        if isinstance(value, int | float) and not self.low <= value <= self.high:
            least = "a number" if math.isinf(self.low) else f"at least {self.low}"
            expected = least if math.isinf(self.high) else f"from {self.low} to {self.high}"
            raise ParameterError(name, value, expected)


def _bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("true", "1", "yes", "on"):
        return True
    if lowered in ("false", "0", "no", "off", ""):
        return False
    raise ValueError(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


_FLAGS: Mapping[str, _Flag] = {
    "model_id": _Flag(str, None, "a known model, a .gguf file, or a folder", "NAME|FILE|DIR"),
    "served_model_name": _Flag(str, None, "the name that clients see", "NAME"),
    "dtype": _Flag(str, "float32", "of the weights: float32, bfloat16 or float16", "NAME"),
    "device": _Flag(str, "cpu", "as torch spells it", "NAME"),
    "adapters": _Flag(str, None, ADAPTERS_HELP, ADAPTERS_METAVAR),
    "hostname": _Flag(str, "0.0.0.0", "address to listen on", "HOST"),  # noqa: S104 -- as TGI
    "port": _Flag(int, 3000, "port to listen on; 0 takes a free one", "N", low=0, high=65_535),
    "max_concurrent_requests": _Flag(int, 128, "more are answered with 429", "N", low=1),
    "max_best_of": _Flag(int, 2, "largest best_of", "N", low=1),
    "max_stop_sequences": _Flag(int, 4, "most stop sequences", "N", low=0),
    "max_top_n_tokens": _Flag(int, 5, "largest top_n_tokens", "N", low=0),
    "max_input_tokens": _Flag(
        int, None, "longest prompt; default: the context less one", "N", low=1
    ),
    "max_total_tokens": _Flag(
        int, None, "longest prompt and text; default: the context", "N", low=2
    ),
    "max_client_batch_size": _Flag(
        int, 4, "most prompts of one request to /v1/completions", "N", low=1
    ),
    "max_batch_size": _Flag(int, None, "most sequences that run at once; others wait", "N", low=1),
    "prefill_chunk": _Flag(
        int, 512, "most prompt tokens of a step beside running ones", "N", low=1
    ),
    "prefix_tokens": _Flag(int, 0, "tokens kept for prompts that begin alike", "N", low=0),
    "payload_limit": _Flag(
        int, 2_000_000, "bytes of a body; more are answered with 413", "N", low=1
    ),
    "api_key": _Flag(str, None, "the bearer token that requests must bring", "TEXT"),
    "cors_allow_origin": _Flag(
        _list, (), "origins that may ask, with commas; default: all", "URLS"
    ),
    "disable_grammar_support": _Flag(_bool, default=False, text="refuse every grammar"),
    "json_output": _Flag(_bool, default=False, text="log JSON lines"),
    "log_level": _Flag(str, "info", "debug, info, warning or error", "NAME"),
    "log_prompts": _Flag(_bool, default=False, text="show in the log what requests ask"),
    "tgi_full_text": _Flag(_bool, default=False, text="/ shows the prompt, as TGI's does"),
    "otlp_endpoint": _Flag(str, None, "a collector of OpenTelemetry for a span a request", "URL"),
    "otlp_service_name": _Flag(str, "decoding", "the service's name in spans", "NAME"),
    "watermark_gamma": _Flag(float, None, "of TGI's watermark; default: 0.5", "G"),
    "watermark_delta": _Flag(float, None, "of TGI's watermark; default: 2.0", "D"),
    "shutdown_timeout": _Flag(
        float, 30.0, "seconds that requests go on after SIGTERM", "S", low=0, high=86_400
    ),
}


def add_serve(commands: Anything) -> None:  # argparse names no public type
    """Add `serve` to the subcommands, with a flag for every setting."""
    parser = commands.add_parser(
        "serve",
        help="serve a model over HTTP",
        description="Serve a model over TGI's routes and OpenAI's. Each flag can be set by the"
        " variable of its name as well, such as MAX_BEST_OF.",
    )
    for name, flag in _FLAGS.items():
        options: dict[str, Any] = {"dest": name, "default": None, "help": _help(flag)}
        if flag.kind is _bool:
            options |= {"nargs": "?", "const": True, "type": _bool, "metavar": "BOOL"}
        else:
            options |= {"type": flag.kind, "metavar": flag.metavar}
        parser.add_argument(f"--{name.replace('_', '-')}", **options)
    parser.set_defaults(run=_serve)


def _help(flag: _Flag) -> str:
    known = flag.default not in (None, (), False) and "default" not in flag.text
    return f"{flag.text} (default: {flag.default})" if known else flag.text


def _variable(name: str) -> str | None:
    """The environment variable of a setting; None where it is empty or was not set for the server.

    Shells and container runtimes put the machine's own name into HOSTNAME. A server that took it
    for its address would not be found at 127.0.0.1.
    """
    value = os.environ.get(name.upper()) or None
    return None if name == "hostname" and value == socket.gethostname() else value


def read_settings(asked: argparse.Namespace) -> dict[str, Any]:
    """The value of each setting: of the flag, else the environment variable, else the default.

    Raises:
        ParameterError: a value is none of its setting, or outside its range.
    """
    found: dict[str, Any] = {}
    for name, flag in _FLAGS.items():
        value = getattr(asked, name)
        option, variable = f"--{name.replace('_', '-')}", _variable(name)
        if value is None and variable is not None:
            try:
                value = flag.kind(variable)
            except ValueError as error:
                expected = f"a value that the flag takes: {option}"
                raise ParameterError(name.upper(), variable, expected) from error
        flag.check(option if getattr(asked, name) is not None else name.upper(), value)
        found[name] = flag.default if value is None else value
    return found


def _serve(asked: argparse.Namespace) -> Iterator[str]:
    given = read_settings(asked)
    for module in ("starlette", "uvicorn"):
        imported(module, "starlette and uvicorn", "server")
    levels = ("debug", "info", "warning", "error")
    if given["log_level"].lower() not in levels:
        raise ParameterError("--log-level", given["log_level"], f"one of {', '.join(levels)}")
    for name in ("watermark_gamma", "watermark_delta"):
        if given[name] is not None:
            os.environ[name.upper()] = str(given[name])  # where `decoding.watermark` looks
    tgi()  # raises; else the first request with a watermark would
    model = load(
        given["model_id"],
        dtype=given["dtype"],
        device=given["device"],
        adapters=given["adapters"],
    )
    let_threads_go_on()
    import asyncio

    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(_run(model, given))
    yield ""


def let_threads_go_on() -> None:
    """Switch threads often and collect garbage less, so that no thread waits for long.

    Python's collector of circular garbage looks at what is loaded now no more: with a model's
    packages that takes tenths of a second each time. It runs less often, too.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, _YOUNG_COLLECTIONS, gc.get_threshold()[2])


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's factory of event loops, if uvloop is installed; else None, for asyncio's."""
    try:
        import uvloop
    except ImportError:
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made


def limits_of_flags(given: Mapping[str, Any], context_length: int | None) -> WireLimits:
    """The limits of requests that flags make, for a context of this length."""
    total = given["max_total_tokens"]
    longest = given["max_input_tokens"]
    room = 2048 if context_length is None else context_length
    if total is None:
        total = room if longest is None else max(room, longest + 1)
    if context_length is not None and total > context_length:
        raise ParameterError("--max-total-tokens", total, f"at most {context_length}, the context")
    return WireLimits(
        max_best_of=given["max_best_of"],
        max_stop_sequences=given["max_stop_sequences"],
        max_top_n_tokens=given["max_top_n_tokens"],
        max_input_tokens=total - 1 if longest is None else longest,
        max_total_tokens=total,
        disable_grammar_support=given["disable_grammar_support"],
    )


async def _run(model: LanguageModel, given: Mapping[str, Any]) -> None:
    # Imported here because they come with an extra, or are not needed by other commands.
    import asyncio

    import uvicorn

    from decoding.engine.front import AsyncEngine
    from decoding.engine.loop import Engine
    from decoding.server import ServerSettings, create_app
    from decoding.server.logs import log, log_to_stderr
    from decoding.server.service import drain

    traces, provider = None, None
    if given["otlp_endpoint"] is not None:
        from decoding.server.spans import spans_to

        traces, provider = spans_to(given["otlp_endpoint"], given["otlp_service_name"])
    log_to_stderr(given["log_level"].upper(), as_json=given["json_output"])
    limits = limits_of_flags(given, model.context_length)
    name = given["served_model_name"] or given["model_id"] or model.name
    settings = ServerSettings(
        model_id=name,
        limits=limits,
        max_concurrent_requests=given["max_concurrent_requests"],
        max_client_batch_size=given["max_client_batch_size"],
        payload_limit=given["payload_limit"],
        api_key=given["api_key"],
        cors_allow_origin=given["cors_allow_origin"],
        return_full_text=given["tgi_full_text"],
        log_prompts=given["log_prompts"],
        compute_type=given["device"],
        traces=traces,
    )
    engine = Engine(
        model,
        max_batch_size=given["max_batch_size"],
        prefill_chunk=given["prefill_chunk"],
        prefix_tokens=given["prefix_tokens"],
    )
    front = AsyncEngine(engine)
    app = create_app(front, settings)
    config = uvicorn.Config(
        app,
        host=given["hostname"],
        port=given["port"],
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(given["shutdown_timeout"]) + 5,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    loop = asyncio.get_running_loop()
    draining: list[asyncio.Task[None]] = []

    class Server(uvicorn.Server):
        """Says where it listens, and leaves signals to this program."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Nothing: uvicorn's own would raise the signal again, and nothing could be closed."""
            yield

        async def startup(self, sockets: Anything = None) -> None:  # uvicorn's
            """Listen, then say so."""
            await super().startup(sockets)
            if self.started and self.servers:
                address = self.servers[0].sockets[0].getsockname()
                sys.stderr.write(_greeting(address, name, given, limits))
                sys.stderr.flush()

    server = Server(config)

    def end(number: int) -> None:
        """Take no more requests; a second signal ends those that run."""
        if draining:
            server.force_exit = True
            return
        draining.append(loop.create_task(drain(app.state.service, given["shutdown_timeout"])))
        server.handle_exit(number, None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    try:
        await server.serve()
    finally:
        for task in draining:
            task.cancel()
        await front.aclose()
        if provider is not None:
            provider.shutdown()  # sends what waits
        log(logging.INFO, "stopped")


def _greeting(
    address: tuple[Any, ...], name: str, given: Mapping[str, Any], limits: WireLimits
) -> str:
    """One line: where, what, how, and what is allowed."""
    host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
    return (
        f"decoding {__version__} listens on http://{host}:{address[1]}: model {name},"
        f" {given['device']} {given['dtype']}, at most {given['max_concurrent_requests']} requests"
        f" at once of {limits.max_input_tokens} input and {limits.max_total_tokens} total tokens\n"
    )
