"""Decoding over several processes, each of which holds a part of the vocabulary.

    sampler = VocabularyParallel(group, samplers)    # on every rank of a torch.distributed group
    drawn = sampler(logits, history)                 # logits (batch, the rank's slice); all ranks

`VocabularyParallel` is `decoding.BatchSampler` for logits that no process holds as a whole, as a
model's output layer leaves them that is split over its vocabulary. Importing this package does not
import torch.
"""

from decoding.distributed.vocabulary_parallel import Traffic, VocabularyParallel

__all__ = ["Traffic", "VocabularyParallel"]
