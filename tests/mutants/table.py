"""Published mutants: small errors in the code, and the tests that must fail because of each.

`make mutants` applies each to a copy of the package and runs its group's tests there. A mutant that
no test kills is a gap in the tests; where it changes nothing that anyone can observe, `equivalent`
says why. `lane` is "interpreted" (no compiler: seconds), "triton" (its interpreter) or "compiled"
(Numba compiles for minutes).
"""

from __future__ import annotations

from further_mutants import AUDIT, KIT, MASKS
from mutant_shapes import Group
from mutant_shapes import mutants_in as _in

REFERENCE = Group(
    "reference",
    (
        "tests/unit/kernels/test_reference.py",
        "tests/unit/kernels/test_reference_further.py",
        "tests/unit/kernels/test_reference_by_hand.py",
    ),
    (
        *_in(
            "kernels/reference/processors.py",
            (
                "scaled = [z / value for z in logits]",
                "scaled = [z * value for z in logits]",
                "temperature multiplies",
            ),
            (
                "kept = set(by_likelihood[:k])",
                "kept = set(by_likelihood[: k + 1])",
                "top-k keeps one too many",
            ),
            (
                "kept |= {i for i, z in enumerate(logits) if z == kth}",
                "kept |= {i for i, z in enumerate(logits) if z > kth}",
                "top-k's ties go",
            ),
            (
                "if math.fsum(mass) >= p:",
                "if math.fsum(mass) > p:",
                "top-p keeps one more at an exact sum",
            ),
            (
                "threshold = max(logits) + math.log(fraction)",
                "threshold = max(logits) - math.log(fraction)",
                "min-p's threshold is above the maximum",
            ),
            ("if z >= threshold})", "if z > threshold})", "min-p drops what is at its threshold"),
            (
                "cut = distance[i]\n        before += probs[i]",
                "before += probs[i]\n        cut = distance[i] if before < mass else cut",
                "typical-p drops the token that reaches the mass",
            ),
            (
                "(z * penalty if z < 0 else z / penalty) if i in set(seen)",
                "(z / penalty if z < 0 else z * penalty) if i in set(seen)",
                "repetition penalty rewards",
            ),
            (
                "z - penalty * counts[i]",
                "z - penalty * min(counts[i], 1)",
                "frequency penalty counts once",
            ),
            ("z + bias.get(i, 0.0)", "z - bias.get(i, 0.0)", "logit bias has the wrong sign"),
            ("divmod(token_id, 32)", "divmod(token_id, 31)", "bits of a mask are off"),
            (
                "return [z - largest - math.log(total) for z in logits]",
                "return [z - math.log(total) for z in logits]",
                "log-softmax forgets the maximum",
            ),
        ),
        *_in(
            "kernels/reference/cutoffs.py",
            (
                "eta = min(epsilon, math.sqrt(epsilon) * math.exp(-entropy_of(logits)))",
                "eta = min(epsilon, math.sqrt(epsilon) * math.exp(entropy_of(logits)))",
                "eta grows with the entropy",
            ),
            (
                "math.fsum(terms[:count]) > budget",
                "math.fsum(terms[:count]) >= budget",
                "top-h drops a token that meets its budget exactly",
            ),
            (
                "{i for i, fall in enumerate(falls) if fall <= n * sigma}",
                "{i for i, fall in enumerate(falls) if fall < n * sigma}",
                "top-nσ drops what is at its cut",
            ),
            (
                "if logits[i] > least and i not in exempt}",
                "if logits[i] > least}",
                "XTC removes exempt tokens",
            ),
            (
                "kept if len(kept) >= minimum else alive",
                "kept if len(kept) > minimum else alive",
                "XTC keeps one too many",
            ),
        ),
        *_in(
            "kernels/reference/sequences.py",
            (
                "range(len(source) - size + 1)}",
                "range(len(source) - size)}",
                "the last n-gram is missed",
            ),
            (
                "repeats.get(i, 0) >= allowed and",
                "repeats.get(i, 0) > allowed and",
                "DRY allows one token more",
            ),
            (
                "(z / penalty if z < 0 else z * penalty) if i in prompt",
                "(z * penalty if z < 0 else z / penalty) if i in prompt",
                "encoder penalty punishes",
            ),
        ),
        *_in(
            "kernels/reference/rescaling.py",
            ("u + scale * (c - u)", "c + scale * (c - u)", "guidance starts from the wrong row"),
            (
                "z + abs(z) * (factor**steps - 1.0)",
                "z + abs(z) * (factor**steps)",
                "length decay begins too strong",
            ),
        ),
    ),
)

VECTOR = Group(
    "vector",
    (
        "tests/unit/kernels/test_vector.py",
        "tests/property/kernels/test_vector_equals_reference.py",
    ),
    (
        *_in(
            "kernels/vector/filters.py",
            (
                "len(logits) - k)[len(logits) - k]",
                "len(logits) - k)[len(logits) - k - 1]",
                "top-k takes an arbitrary k-th",
            ),
            (
                "return (logits >= kth) & (logits > -np.inf)",
                "return (logits > kth) & (logits > -np.inf)",
                "top-k loses its ties",
            ),
            (
                "[: k - int(keep.sum())]",
                "[: k - int(keep.sum()) + 1]",
                "exact top-k keeps one too many",
            ),
            (
                "_covering_prefix(-logits, weights, p * weights.sum())",
                "_covering_prefix(-logits, weights, p)",
                "top-p forgets to normalise",
            ),
            (
                "surprise - entropy)",
                "surprise + entropy)",
                "typical-p's distance has the wrong sign",
            ),
            (
                "(distance <= distance[kept[-1]])",
                "(distance < distance[kept[-1]])",
                "typical-p drops the last token",
            ),
            (
                "(before < target) & (ordered > 0.0)",
                "(before <= target) & (ordered > 0.0)",
                "top-p keeps one more at an exact sum",
            ),
            (
                "return np.exp(logits - largest)",
                "return np.exp(logits)",
                "softmax without the maximum",
            ),
            (
                'np.argsort(keys[candidates], kind="stable")',
                "np.argsort(keys[candidates])[::1]",
                "ties go in any order",
            ),
        ),
        *_in(
            "kernels/vector/edits.py",
            (
                "        return logits / value\n",
                "        return logits / (value * 1.05)\n",
                "temperature is 5 % off",
            ),
            (
                "np.where(seen < 0, seen * penalty, seen / penalty)",
                "np.where(seen < 0, seen / penalty, seen / penalty)",
                "repetition penalty rewards negative logits",
            ),
            (
                "logits[distinct] - penalty * counts)",
                "logits[distinct] - penalty)",
                "frequency penalty counts once",
            ),
            (
                "logits[token_ids] - penalty)",
                "logits[token_ids] + penalty)",
                "presence penalty rewards",
            ),
            ("logits[token_ids] + values)", "values)", "logit bias replaces the logit"),
            (
                "(bitmask[word] >> (token_ids & 31) & 1 == 1)",
                "(bitmask[word] >> (token_ids & 31) & 1 == 0)",
                "a mask is inverted",
            ),
            (
                " & (token_ids >> 5 < len(bitmask))",
                "",
                "tokens beyond a mask's words take the last word's bits",
            ),
        ),
        *_in(
            "kernels/vector/cutoffs.py",
            (
                "statistics[1] = -logprobs.max()",
                "statistics[1] = logprobs.max()",
                "the total has the wrong sign",
            ),
            (
                "statistics[4] = np.log(np.exp(2.0 *",
                "statistics[4] = np.log(np.exp(1.0 *",
                "Σ p² is Σ p",
            ),
            (
                "return alive & (logits >= largest + min(0.0,",
                "return alive & (logits > largest + min(0.0,",
                "a cut drops what is at it",
            ),
            (
                "return alive & (logits / 2.0 >= largest / 2.0 +",
                "return alive & (logits / 2.0 >= largest +",
                "the cut by a deviation is misplaced",
            ),
            (
                "np.count_nonzero(choices) < 2",
                "np.count_nonzero(choices) < 1",
                "XTC acts on one choice",
                "removing what is likelier than the one choice removes nothing",
            ),
            (
                "choices & (logits > logits[choices].min())",
                "choices & (logits >= logits[choices].min())",
                "XTC removes the least likely choice too",
            ),
            ("    removed[exempt] = False\n", "", "XTC removes exempt tokens"),
            ("    stays[0] = True\n", "", "top-h may drop the likeliest"),
        ),
        *_in(
            "kernels/vector/distribution.py",
            (
                "shifted - np.log1p(weights.sum())",
                "shifted - np.log1p(weights.sum() * 1.01)",
                "logprobs are 1 % off",
            ),
            (
                "-np.exp(logprobs[alive]) * logprobs[alive]",
                "np.exp(logprobs[alive]) * logprobs[alive]",
                "the entropy is negative",
            ),
        ),
        *_in(
            "kernels/vector/rescaling.py",
            (
                "lowest + (highest - lowest) *",
                "highest - (highest - lowest) *",
                "dynamic temperature falls with the entropy",
            ),
            (
                "base[both] + scale * (conditional[both] - base[both])",
                "conditional[both] + scale * (conditional[both] - base[both])",
                "guidance starts from the wrong row",
            ),
        ),
        *_in(
            "kernels/vector/scopes.py",
            (
                "history = history[prompt_length:]",
                "history = history[prompt_length + 1 :]",
                "the first generated token is not counted",
            ),
            (
                "history = history[:prompt_length]\n",
                "history = history[: prompt_length + 1]\n",
                "the first generated token is of the prompt",
            ),
            (
                "max(0, len(history) - last_n) :",
                "max(0, len(history) - last_n - 1) :",
                "a window is one token too long",
            ),
            (
                "seen[~np.isin(seen, exempt)]",
                "seen[np.isin(seen, exempt)]",
                "only exempt tokens are penalised",
            ),
        ),
        *_in(
            "kernels/vector/step.py",
            (
                'outcome["rank"] = 1 + np.count_nonzero(raw > raw',
                'outcome["rank"] = 1 + np.count_nonzero(raw >= raw',
                "the rank counts the token itself",
            ),
            (
                'outcome["raw_logprob"] = raw_logprobs[place]',
                'outcome["raw_logprob"] = processed[place]',
                "the raw logprob is the processed one",
            ),
            (
                "-float(np.dot(np.exp(processed), processed))",
                "float(np.dot(np.exp(processed), processed))",
                "the entropy is 0",
            ),
            (
                'outcome["support_size"] = len(token_ids)',
                'outcome["support_size"] = len(raw)',
                "the support is the vocabulary",
            ),
            (
                "return int(candidates.logits.argmax())",
                "return int(candidates.logits.argmin())",
                "greedy takes the least likely",
            ),
            (
                "np.flatnonzero(~(logits < np.inf))",
                "np.flatnonzero(logits == np.inf)",
                "NaN is not seen",
            ),
            (
                'kept[np.argsort(-logits[kept], kind="stable")]',
                'kept[np.argsort(logits[kept], kind="stable")]',
                "top tokens come in reverse",
            ),
            (
                "np.partition(logits, place)[place])\n    kept",
                "np.partition(logits, place)[place] + 1e-9)\n    kept",
                "the last of the top tokens goes",
            ),
        ),
    ),
)

SEQUENCES = Group(
    "sequences",
    (
        "tests/unit/kernels/test_vector.py",
        "tests/unit/processors/test_further.py",
        "tests/property/kernels/test_vector_equals_reference.py",
    ),
    _in(
        "kernels/vector/sequences.py",
        (
            "result[row, token_ids] = -np.inf\n    return result",
            "result[row, token_ids] = -1e4\n    return result",
            "a banned token is unlikely, not impossible",
        ),
        (
            "(windows[:, :-1] == prefix).all(axis=1), -1]",
            "(windows[:, :-1] == prefix).any(axis=1), -1]",
            "an n-gram matches by one token",
        ),
        ("found.get(sequence[-1], 0.0) + value", "value", "biases of sequences are not added up"),
        (
            "reaching = lengths >= allowed",
            "reaching = lengths > allowed",
            "DRY allows one token more",
        ),
        (
            "penalties = multiplier * power(base, longest - allowed)",
            "penalties = multiplier * power(base, longest)",
            "DRY's penalty grows too early",
        ),
        (
            "result[token_ids[legal]] -= amounts[legal]",
            "result[token_ids[legal]] += amounts[legal]",
            "DRY rewards",
        ),
        (
            "len(context) - 1 - int(places[-1])",
            "len(context) - int(places[-1])",
            "DRY reads across a breaker",
        ),
        (
            "odd = (left > 0) & (left & 1 == 1)",
            "odd = (left > 0)",
            "powers are wrong for even exponents",
        ),
    ),
)

NOISE = Group(
    "noise",
    ("tests/unit/kernels/test_philox.py", "tests/golden/test_tokens.py"),
    (
        *_in(
            "kernels/vector/noise.py",
            ("c1 = product1 & _WORD", "c1 = product0 & _WORD", "Philox mixes the wrong word"),
            ("lane = token_ids & 3", "lane = token_ids & 1", "two tokens share their noise"),
            (
                "return (high << _HALF) | low",
                "return (low << _HALF) | high",
                "the halves of a word are swapped",
            ),
            ("for _ in range(ROUNDS):", "for _ in range(ROUNDS - 1):", "Philox has a round less"),
        ),
        *_in(
            "decoding/sampling/rng.py",
            (
                "    if index == 0:\n        return seed\n",
                "",
                "the first sequence has another seed",
            ),
            (
                "np.array([index], np.uint64)",
                "np.array([0], np.uint64)",
                "all sequences have one seed",
            ),
        ),
    ),
)

TENSOR = Group(
    "tensor",
    ("tests/unit/kernels/test_tensor.py", "tests/property/kernels/test_tensor_equals_reference.py"),
    (
        *_in(
            "kernels/tensor/filters.py",
            ("keep = logits >= kth\n", "keep = logits > kth\n", "top-k loses its ties"),
            (
                "(tied.cumsum(1) <= room)",
                "(tied.cumsum(1) < room)",
                "exact top-k keeps one too few",
            ),
            (
                "return _covering_prefix(weights(ordered), order, p * total)",
                "return _covering_prefix(weights(ordered), order, p)",
                "top-p forgets to normalise",
            ),
            (
                "return alive & (distance <= cut)",
                "return alive & (distance < cut)",
                "typical-p drops the last token",
            ),
            (
                "kept = (before < target) & (ordered > 0.0)",
                "kept = (before <= target) & (ordered > 0.0)",
                "top-p keeps one more at an exact sum",
            ),
        ),
        *_in(
            "kernels/tensor/edits.py",
            (
                "        return logits / value\n",
                "        return logits / (value * 1.05)\n",
                "temperature is 5 % off",
            ),
            (
                "torch.where(old < 0, old * penalty, old / penalty)",
                "torch.where(old < 0, old / penalty, old * penalty)",
                "repetition penalty rewards",
            ),
            ("- penalty * counts)", "- penalty)", "frequency penalty counts once"),
            (
                "return logits + torch.where(members, bias, 0.0)",
                "return logits + torch.where(members, 0.0, bias)",
                "the bias goes to the other tokens",
            ),
        ),
        *_in(
            "kernels/tensor/cutoffs.py",
            (
                "return (logits >= bound) & (logits > NOTHING)\n    # In",
                "return (logits > bound) & (logits > NOTHING)\n    # In",
                "a cut drops what is at it",
            ),
            (
                "(terms.cumsum(1) <= share * entropy(whole))",
                "(terms.cumsum(1) <= entropy(whole))",
                "top-h has no share",
            ),
            (
                "removed = removed & ~spared",
                "removed = removed & spared",
                "XTC removes only exempt tokens",
            ),
            (
                "return (square / count).sqrt() * widest",
                "return (square / count) * widest",
                "a deviation is a variance",
            ),
        ),
    ),
)

TEXT = Group(
    "text",
    (
        "tests/unit/engine/test_detokenizer.py",
        "tests/unit/engine/test_stopping.py",
        "tests/property/text/test_text_and_stops.py",
    ),
    (
        *_in(
            "decoding/engine/detokenizer.py",
            (
                'self._decoder = _new_decoder("replace")',
                'self._decoder = _new_decoder("ignore")',
                "damaged bytes vanish",
            ),
            (
                'self._decoder.decode(b"", final=True)',
                'self._decoder.decode(b"", final=False)',
                "an incomplete character is lost at the end",
            ),
            (
                "        twin._decoder.setstate(self._decoder.getstate())\n",
                "",
                "a fork forgets what was held back",
            ),
        ),
        *_in(
            "decoding/engine/stopping.py",
            (
                "if self.found[state] is None:\n                self.found[state]",
                "if self.found[state] is not None:\n                self.found[state]",
                "a stop inside another is missed",
            ),
            (
                "state = self.fallback[state]\n        return self.children",
                "state = 0\n        return self.children",
                "overlapping stops are missed",
            ),
            (
                "                if stopping:\n                    break\n",
                "                break\n",
                "stops are found before they may be",
            ),
            ("        text = text[:read]\n", "", "text after a stop is shown"),
            (
                'return text if visible else ""\n        retained',
                "return text\n        retained",
                "special tokens are shown",
            ),
            (
                "self._stop is None and automaton.has_empty",
                "automaton.has_empty",
                "the empty stop hides another",
            ),
            (
                "retained = automaton.depth[self._state] if",
                "retained = 0 if",
                "the beginning of a stop leaks",
            ),
            (
                "held, self._window, self._state = self.held, (), 0",
                'held, self._window, self._state = "", (), 0',
                "held text is lost at the end",
            ),
        ),
    ),
)

DETAILS = Group(
    "details",
    (
        "tests/property/text/test_transcript.py",
        "tests/unit/engine/test_records.py",
        "tests/unit/engine/test_written_text.py",
        "tests/unit/engine/test_loop.py",
        "tests/unit/engine/test_requests.py",
    ),
    (
        *_in(
            "decoding/engine/transcript.py",
            (
                "if count >= ending.max_new_tokens:",
                "if count > ending.max_new_tokens:",
                "one token too many",
            ),
            (
                "            self.finish_reason = FinishReason.EOS_TOKEN\n",
                "            self.finish_reason = FinishReason.STOP_SEQUENCE\n",
                "an end token is reported as a stop string",
            ),
            (
                "for sample in self.samples) / len(self.samples)",
                "for sample in self.samples)",
                "best-of compares sums, not means",
            ),
            (
                "stopping=index >= first_stopping",
                "stopping=True",
                "stops end texts that are too short",
            ),
            (
                "shown + own_text if special else shown,",
                "shown,",
                "a special token has no text",
            ),
            (
                "best = max(range(len(transcripts))",
                "best = min(range(len(transcripts))",
                "the worst sequence wins",
            ),
            ("        if index != best\n", "", "the winner is among the losers"),
            (
                "input_length=input_length,\n        tokens",
                "input_length=input_length + 1,\n        tokens",
                "the prompt is one token longer",
            ),
        ),
        *_in(
            "decoding/engine/detokenizer.py",
            (
                "self._matcher.push(rest, stopping=stopping) + self._matcher.flush()",
                "self._matcher.push(rest, stopping=stopping)",
                "held text is lost at the end",
            ),
        ),
        *_in(
            "decoding/engine/generation.py",
            (
                "        self._taken = last\n",
                "        self._taken = last - 1\n",
                "an event may be given twice",
            ),
        ),
    ),
)

ENGINE = Group(
    "engine",
    (
        "tests/unit/engine/test_loop.py",
        "tests/unit/engine/test_failures.py",
        "tests/unit/engine/test_submit.py",
        "tests/unit/testing/test_engine_check.py",
    ),
    (
        *_in(
            "decoding/engine/loop.py",
            (
                'generation.fail(CancelledError("the request was cancelled"))\n        self._queue.remove(generation)',
                'generation.fail(CancelledError("the request was cancelled"))',
                "a cancelled request stays in the queue",
            ),
            (
                "        stop(moved, error)\n        self._regroup(())\n",
                "        self._regroup(())\n",
                "requests of a failed step never end",
            ),
            (
                "if arriving or back or failed or self._batch.over or waits.over:",
                "if back or failed or self._batch.over or waits.over:",
                "new requests never run",
            ),
        ),
        *_in(
            "decoding/engine/generation.py",
            (
                "        if not self.done:\n            self.timing.finish()\n            self.failure",
                "        if True:\n            self.timing.finish()\n            self.failure",
                "a finished request can be cancelled",
            ),
            (
                "self.token_ids.append(token_id)",
                "self.token_ids.insert(0, token_id)",
                "the context is in the wrong order",
            ),
        ),
    ),
)

WAITS = Group(
    "waits",
    ("tests/unit/engine/test_mask_waits.py", "tests/unit/engine/test_atomic.py"),
    (
        *_in(
            "decoding/engine/mask_waits.py",
            (
                "        batch.remove(set(late))\n",
                "",
                "a sequence without its mask is drawn all the same",
            ),
            (
                "            draw_apart([item], waiting.logits, [0], arrivals)\n",
                "            draw_apart([item], -waiting.logits, [0], arrivals)\n",
                "a sequence that has waited draws from other logits",
            ),
            (
                "        for item, waiting in self._waiting.items():\n            if waiting is not None:\n                item.excess",
                "        for item, waiting in ():\n            if waiting is not None:\n                item.excess",
                "what a waiting sequence's state holds is not known after an interrupt",
            ),
        ),
        *_in(
            "decoding/engine/loop.py",
            (
                "newcomers += [item for item in back if not item.ended]",
                "newcomers += []",
                "a sequence that has waited for its mask never joins again",
            ),
        ),
    ),
)

WIRE = Group(
    "wire",
    (
        "tests/unit/wire/test_details.py",
        "tests/unit/wire/test_details_json.py",
        "tests/golden/test_wire.py",
        "tests/conformance/test_wire_validation.py",
    ),
    (
        *_in(
            "decoding/wire/details.py",
            (
                '"logprob": token.logprob,\n',
                '"logprob": token.raw_logprob,\n',
                "the wire shows the raw logprob",
            ),
            ("    if not top_tokens:\n        return {}\n", "", "empty top tokens are on the wire"),
            (
                "        if self.best_of_sequences:\n            wire",
                "        if True:\n            wire",
                "empty losers are on the wire",
            ),
            (
                '        if self.wire_details:\n            wire["details"]',
                '        if True:\n            wire["details"]',
                "details are shown to who did not ask",
            ),
            ('"seed": sequence.seed,', '"seed": sequence.seed or 0,', "greedy has a seed"),
            (
                "shown = self.details if self.wire_details else None",
                "shown = self.details",
                "a stream shows details to who did not ask",
            ),
        ),
        *_in(
            "decoding/wire/rules.py",
            (
                "yield inputs + new > most,",
                "yield inputs + new >= most,",
                "the longest request is refused",
            ),
            (
                "yield inputs > longest,",
                "yield inputs >= longest,",
                "the longest prompt is refused",
            ),
            (
                "abs(presence_penalty) > 2.0",
                "abs(presence_penalty) >= 2.0",
                "the largest penalty is refused",
            ),
            (
                "not 0 < truncate <= longest,",
                "not 0 < truncate < longest,",
                "the longest truncation is refused",
            ),
            (
                'best_of = max(1, given.get("best_of", 1))',
                'best_of = given.get("best_of", 1)',
                "best_of of 0 asks for nothing",
            ),
        ),
    ),
)

WATERMARK = Group(
    "watermark",
    (
        "tests/unit/watermark/test_watermarks.py",
        "tests/golden/test_watermarks.py",
        "tests/property/test_watermarks.py",
    ),
    (
        *_in(
            "decoding/watermark/seeding.py",
            (
                "return key * int(window[-1]) % _MODULUS",
                "return key * int(window[0]) % _MODULUS",
                "the seed is of the first token",
            ),
            (
                "return key * sum(map(int, window)) % _MODULUS",
                "return key * max(map(int, window)) % _MODULUS",
                "the sum is a maximum",
            ),
            (
                "return _entry(key * int(window[0]), self.table_seed)",
                "return _entry(key * int(window[-1]), self.table_seed)",
                "skip-gram reads the last token",
            ),
            ("% _TABLE_SIZE]) + 1", "% _TABLE_SIZE])", "the table's entries are one less"),
        ),
        *_in(
            "decoding/watermark/prf.py",
            (
                "return high << 32 | low\n",
                "return low << 32 | high\n",
                "the halves of a hash are swapped",
            ),
            ("[token_id % 4]", "[0]", "four tokens share a word"),
        ),
        *_in(
            "decoding/watermark/scheme.py",
            (
                "packed_prefix(seed, vocab_size, int(vocab_size * gamma))",
                "packed_prefix(seed, vocab_size, int(vocab_size * gamma) + 1)",
                "a green list is one token longer",
            ),
            (
                "context[len(context) - width :]]",
                "context[:width]]",
                "the context is that of the beginning",
            ),
            ('bitorder="little")', 'bitorder="big")', "green lists are mirrored"),
        ),
        *_in(
            "decoding/watermark/detect.py",
            (
                "(green - gamma * scored) / math.sqrt",
                "(green - scored) / math.sqrt",
                "z is never positive",
            ),
            (
                "return self.green / self.scored if",
                "return self.scored / max(1, self.green) if",
                "the fraction is inverted",
            ),
            (
                "p_value = min(1.0, len(stretches) * chances",
                "p_value = min(1.0, chances",
                "many windows are not paid for",
            ),
        ),
        *_in(
            "decoding/watermark/tails.py",
            (
                "    if successes > trials:\n        return 0.0\n",
                "    if successes > trials:\n        return 1.0\n",
                "the impossible is certain",
            ),
            ("return 0.5 * math.erfc(", "return math.erfc(", "a tail is two-sided"),
        ),
    ),
)

PROCESSORS = Group(
    "processors",
    (
        "tests/unit/processors/test_processors.py",
        "tests/unit/processors/test_neutral.py",
        "tests/unit/processors/test_lowering.py",
        "tests/unit/test_pipeline.py",
        "tests/unit/sampling/test_batch.py",
        "tests/conformance/test_processors.py",
    ),
    (
        *_in(
            "decoding/processors/top_p.py",
            (
                "filters.top_p(row, self.top_p))",
                "filters.top_p(row, self.top_p * self.top_p))",
                "p is squared",
            ),
            (
                "Instruction(Opcode.TOP_P, self.top_p),",
                "Instruction(Opcode.TOP_P, 1.0 - self.top_p),",
                "lowered top-p is 1 − p",
            ),
        ),
        *_in(
            "decoding/processors/top_k.py",
            (
                "self.top_k >= logits.shape[1]:",
                "self.top_k > logits.shape[1] + 1:",
                "k = V is not neutral",
            ),
            ("float(self.keep_ties))", "1.0)", "lowered top-k keeps ties always"),
        ),
        *_in(
            "decoding/processors/min_p.py",
            (
                "cut(Term(math.log(self.min_p)))",
                "cut(Term(math.log(self.min_p) / 2.0))",
                "min-p is its square root",
            ),
        ),
        *_in(
            "decoding/processors/temperature.py",
            (
                "if self.temperature == 1.0:\n            return ()",
                "if self.temperature <= 1.0:\n            return ()",
                "low temperatures are dropped when lowered",
            ),
        ),
        *_in(
            "decoding/history.py",
            (
                "return self.token_ids[row, self.prompt_lengths[row] : self.lengths[row]]",
                "return self.token_ids[row, self.prompt_lengths[row] :]",
                "padding is generated text",
            ),
            (
                "return self.token_ids[row, : self.lengths[row]]",
                "return self.token_ids[row]",
                "padding is history",
            ),
        ),
    ),
)

GPU = Group(
    "gpu",
    ("tests/property/triton/test_equals_reference.py",),
    (
        *_in(
            "kernels/gpu/truncations.py",
            (
                "return (eligible & (keys > cut)) | tied, certain",
                "return (eligible & (keys >= cut)) | tied, certain",
                "all ties stay",
            ),
            (
                "target = tl.where(by_count, first, first * total)",
                "target = tl.where(by_count, first, first)",
                "top-p forgets to normalise",
            ),
        ),
        *_in(
            "kernels/gpu/edits.py",
            (
                "tl.where(value < 0, value * first, value / first)",
                "tl.where(value < 0, value / first, value * first)",
                "repetition penalty rewards",
            ),
            (
                "value - first * (tally >> 1).to(tl.float64)",
                "value - first",
                "frequency penalty counts once",
            ),
            (
                "generated = place >= prompt_length",
                "generated = place > prompt_length",
                "the first generated token is not counted",
            ),
        ),
    ),
    marks="not model and not nightly",
    lane="triton",
)

COMPILED = Group(
    "compiled",
    (
        "tests/property/kernels/test_compiled_equals_numpy.py",
        "tests/property/kernels/test_compiled_equals_reference.py",
    ),
    _in(
        "kernels/compiled/truncation.py",
        (
            "+ sparse[entry + 2].value * entropy",
            "- sparse[entry + 2].value * entropy",
            "eta falls with the entropy",
        ),
        (
            "entropy, log_squares = log_total - moment / total,",
            "entropy, log_squares = log_total + moment / total,",
            "the entropy has the wrong sign",
        ),
        (
            "least = min(least, term)",
            "least = max(least, term)",
            "the highest of several cuts counts",
        ),
    ),
    marks="not slow and not model and not nightly",
    lane="compiled",
)

GROUPS = (
    REFERENCE,
    PROCESSORS,
    VECTOR,
    SEQUENCES,
    NOISE,
    TENSOR,
    TEXT,
    DETAILS,
    ENGINE,
    WAITS,
    WIRE,
    WATERMARK,
    MASKS,
    KIT,
    AUDIT,
    GPU,
    COMPILED,
)
"""All mutants, by the tests that kill them."""
