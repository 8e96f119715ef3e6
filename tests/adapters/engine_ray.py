"""Ray itself: rows over two workers, one of which is killed halfway; the server in Ray Serve."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pandas as pd
import pyarrow as pa
import pytest
import ray
from ray import serve
from ray_rows import model

from decoding import GenerationParameters
from decoding.adapters.ray import Generator, deployment

WARM = GenerationParameters(temperature=0.9, top_p=0.9, max_new_tokens=5)
ROWS = 2_000


class Once:
    """Kills its worker, as an out-of-memory killer would, with the first batch beyond a row."""

    def __init__(self, mark: str, row: int) -> None:
        self.generator = Generator(model, WARM, seed=9, key_column="id")
        self.mark, self.row = Path(mark), row

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        if batch["id"].max() >= self.row and not self.mark.exists():
            self.mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        result = self.generator(batch)
        return result | {"worker": np.full(len(batch["id"]), os.getpid())}


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    # Workers import this file and the models by name. Two processors more than workers: Ray splits the rows too.
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
    )
    yield
    serve.shutdown()
    ray.shutdown()


def table() -> pd.DataFrame:
    return pd.DataFrame({"id": range(ROWS), "prompt": [f"row {index}" for index in range(ROWS)]})


def by_id(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    names = ["id", "generated_text", "finish_reason", "generated_tokens", "error"]
    plain = [frame[name].tolist() for name in names]
    lists = [
        [tuple(np.asarray(item).tolist()) for item in frame[name]]
        for name in ("token_ids", "logprobs", "raw_logprobs")
    ]
    return sorted(zip(*plain, *lists, strict=True))


def test_two_workers_of_which_one_is_killed_give_the_rows_of_one_process(tmp_path: Path) -> None:
    mark = tmp_path / "killed"
    data = ray.data.from_pandas(table()).repartition(16)
    found = data.map_batches(
        Once,
        fn_constructor_args=(str(mark), ROWS // 2),
        batch_size=50,
        compute=ray.data.ActorPoolStrategy(size=2),
        max_restarts=-1,
        max_task_retries=-1,
    ).to_pandas()
    killed = int(mark.read_text())
    workers = set(found["worker"].tolist())
    assert len(workers) >= 2
    assert killed not in workers or len(found) == ROWS
    alone = Generator(model, WARM, seed=9, key_column="id")(table())
    assert len(found) == ROWS
    assert by_id(found) == by_id(alone)
    assert len(set(found["generated_text"])) > ROWS * 0.9
    assert not any(found["error"])


@pytest.mark.parametrize("kind", ["pandas", "pyarrow", "numpy"])
def test_every_format_of_batches(kind: str) -> None:
    rows = table()[:20]
    found = (
        ray.data.from_pandas(rows)
        .map_batches(
            Generator,
            fn_constructor_args=(model, WARM, 9),
            fn_constructor_kwargs={"key_column": "id"},
            batch_format=kind,
            compute=ray.data.ActorPoolStrategy(size=1),
        )
        .to_pandas()
    )
    made = Generator(model, WARM, 9, key_column="id")
    assert by_id(found) == by_id(made(rows))
    assert by_id(found) == by_id(made(pa.Table.from_pandas(rows)).to_pandas())
    assert by_id(found) == by_id(pd.concat(list(made.each([rows[:7], rows[7:]]))))


def test_the_server_in_ray_serve_answers_the_openai_client() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(deployment(model, num_replicas=1), name="decoding", route_prefix="/")
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="-")
    asked: dict[str, Any] = {"model": "decoding", "prompt": "Once", "max_tokens": 8}
    asked |= {"temperature": 0.9, "seed": 4, "logprobs": 2}
    answer = client.completions.create(**asked)
    [expected] = Generator(model, GenerationParameters(temperature=0.9, seed=4, max_new_tokens=8))(
        {"prompt": np.array(["Once"], object)}
    )["generated_text"]
    assert answer.choices[0].text == expected
    assert answer.choices[0].logprobs is not None
    assert len(answer.choices[0].logprobs.token_logprobs or ()) == 8
    chunks = client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == expected
