"""The Triton backend: CUDA tensors, a few launches a step for the most common pipelines.

    plans     which batches are accepted, and what the host works out once
    launch    what stays on the device, and the launches of a step
    edits     one program a row: penalties and biases of single tokens (where there are any)
    survey    one program a slice of a row: the only pass over all logits; marks the candidates
    finish    one program a row: truncations, the draw and its description, on the candidates
    rank      one program a slice: a second pass over the raw logits, only for a description

No row is sorted, no noise is stored, and nothing waits for the device but the copy of the results.

What it should cost; nothing of this is measured, it is counted on code compiled for an H100. A
batch of 64 × 128,256 float32 is 33 MB, 11 µs of that memory. The survey moves it once, 16 bytes a
load, with 64 registers a thread, so that some 100 KB a multiprocessor are under way, and with about
40 instructions a token, 60 where every token needs a Philox word, and 8 more a token for the words
and the logarithms of the blocks of the noise, which is a little more than fits into those 11 µs.
The finishing step takes 5 to 10 µs for a few hundred candidates, one multiprocessor a row, mostly
waiting for its own reductions, and two to three times that for thousands. So the survey alone
should come near the memory's bandwidth, and the whole to about half of it: short of the 70 % aimed
at, for which the finishing step would have to overlap with the surveys of other rows. A description
reads the rows once more, from the second-level cache where they fit.

Numbers. Candidates are float64, as in NumPy's kernels: the order of tokens, ties, cuts by count and
the perturbed scores have the same bits, and so the token is the same. Tokens that are no candidates
count as float32 sums, added up in float64: a cut by mass ahead of any other truncation has a
rounding band of 10⁻⁵ of the mass, and logprobs are within 10⁻⁵. A row is surveyed and finished the
same way whatever else is in its batch.

Imports triton and torch: import it only where a tensor asks for it.
"""
