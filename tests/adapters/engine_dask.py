"""Dask itself: the rows of a data frame, however it is split and whatever computes its parts."""

from __future__ import annotations

import dask.dataframe
import pandas as pd
import pytest
from ray_rows import model

from decoding import GenerationParameters
from decoding.adapters.ray import Generator

WARM = GenerationParameters(temperature=0.9, top_p=0.9, max_new_tokens=5)
TABLE = pd.DataFrame({"id": range(200), "prompt": [f"row {index}" for index in range(200)]})


@pytest.mark.parametrize(
    ("parts", "scheduler"), [(1, "synchronous"), (3, "threads"), (7, "processes")]
)
def test_parts_of_a_frame_give_the_rows_of_one_process(parts: int, scheduler: str) -> None:
    generator = Generator(model, WARM, 9, key_column="id")
    alone = generator(TABLE)
    split = dask.dataframe.from_pandas(TABLE, npartitions=parts)
    found = split.map_partitions(generator, meta=alone.iloc[:0]).compute(scheduler=scheduler)
    for name in ("id", "generated_text", "finish_reason", "token_ids", "logprobs"):
        assert [*map(str, found[name])] == [*map(str, alone[name])]
