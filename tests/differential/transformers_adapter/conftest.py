"""The model and the tokenizer that the tests of the adapter of transformers share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def model() -> Any:
    from small_models import random_model

    return random_model()


@pytest.fixture(scope="session")
def words() -> Any:
    """A byte-level tokenizer of transformers with 300 ids."""
    import tokenizers
    import transformers
    from tokenizers import AddedToken, decoders, pre_tokenizers, trainers
    from tokenizers import models as token_models

    made = tokenizers.Tokenizer(token_models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=298, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    corpus = ["the cat sat on the mat with 12 hats and the dog, naïve, ate 東京 cakes"] * 4
    made.train_from_iterator(corpus, trainer)
    size = made.get_vocab_size()
    made.add_tokens([AddedToken(f"<{index}>") for index in range(298 - size)])
    made.add_special_tokens(["<s>", "</s>"])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<s>"
    )
