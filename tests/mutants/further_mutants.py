"""Mutants of grammars, of the audit and of the kit itself; `table` has the others."""

from __future__ import annotations

from mutant_shapes import Group, mutants_in

MASKS = Group(
    "masks",
    (
        "tests/unit/grammar/regular/test_counted.py",
        "tests/unit/grammar/numbers/test_number_sets.py",
        "tests/unit/grammar/schema/test_keywords.py",
        "tests/unit/grammar/masking/test_masks.py",
        "tests/unit/testing/test_finite_schemas.py",
    ),
    (
        *mutants_in(
            "decoding/grammar/schema/scalar_sets.py",
            (
                'is_open = keyword != "minimum" or',
                'is_open = keyword == "minimum" or',
                "minimum is exclusive",
            ),
            (
                'is_open = keyword != "maximum" or',
                'is_open = keyword == "maximum" or',
                "maximum is exclusive",
            ),
            (
                'low = whole(schema, "minLength", pointer) if',
                'low = whole(schema, "minLength", pointer) + 1 if',
                "minLength is one more",
            ),
            (
                "true=any(value is True for value in values)",
                "true=any(value == True for value in values)",
                "1 in an enumeration allows true",
            ),
            (
                "        not scalars.null,\n",
                "        scalars.null,\n",
                "not keeps null",
            ),
            (
                "        left.null or right.null,\n",
                "        left.null and right.null,\n",
                "a union drops null",
            ),
        ),
        *mutants_in(
            "decoding/grammar/numbers/number_sets.py",
            (
                "first = floor(low / step) + 1 if low_open else ceil(low / step)",
                "first = floor(low / step) + 1 if low_open else floor(low / step)",
                "a lower bound is rounded down to the step",
            ),
            (
                "last = ceil(high / step) - 1 if high_open else floor(high / step)",
                "last = ceil(high / step) - 1 if high_open else ceil(high / step)",
                "an upper bound is rounded up to the step",
            ),
            (
                "yield NumberRange(high=part.low, high_open=not part.low_open)",
                "yield NumberRange(high=part.low, high_open=part.low_open)",
                "a complement keeps the bound",
            ),
        ),
        *mutants_in(
            "decoding/grammar/regular/lazy_dfa.py",
            (
                "order = sorted(range(len(parts)), key=lambda place: bounds[place] is None)",
                "order = list(range(len(parts)))",
                "characters are counted by an automaton that counts none",
            ),
        ),
        *mutants_in(
            "decoding/grammar/masking/matcher.py",
            (
                "            del self._states[-count:]\n",
                "            del self._states[-count - 1 :]\n",
                "rollback takes one token too many",
            ),
            (
                "        if following == REJECTED:\n            return False\n        self._states.append(following)\n        self._taken.append(token_id)",
                "        self._states.append(following)\n        self._taken.append(token_id)",
                "a refused token is taken",
            ),
        ),
    ),
)

KIT = Group(
    "kit",
    (
        "tests/unit/testing/test_processor_check.py",
        "tests/unit/testing/test_held_faults.py",
        "tests/unit/testing/test_stream_check.py",
        "tests/unit/testing/test_grammar_check.py",
        "tests/unit/testing/test_sampler_check.py",
        "tests/unit/testing/test_statistics.py",
    ),
    (
        *mutants_in(
            "decoding/testing/processor_check.py",
            (
                "        if answer.written and not self._in_place:\n",
                "        if False:\n",
                "a written input is not seen",
            ),
            (
                "        if answer.changed:\n",
                "        if False:\n",
                "written token ids are not seen",
            ),
            (
                "            if verdict.outcome is Outcome.WRONG:\n",
                "            if False:\n",
                "no verdict counts",
            ),
        ),
        *mutants_in(
            "decoding/testing/address_laws.py",
            (
                "            if compared.agree((seeds, positions), (seeds ^ (1 << bit), positions)):\n",
                "            if compared.agree((seeds, positions), (seeds ^ 1, positions)):\n",
                "lost bits of seeds are not seen",
            ),
        ),
        *mutants_in(
            "decoding/testing/sampler_check.py",
            (
                "            if distance > error:\n",
                "            if distance > 0.1 + error:\n",
                "a computed law may be off by a tenth",
            ),
        ),
        *mutants_in(
            "decoding/testing/statistics.py",
            (
                "expected = counts.sum() * probs",
                "expected = 0.99 * counts.sum() * probs",
                "χ² expects one draw in a hundred less",
            ),
        ),
    ),
)

AUDIT = Group(
    "audit",
    (
        "tests/unit/audit/test_evidence.py",
        "tests/unit/audit/test_verify.py",
        "tests/unit/audit/test_scores.py",
        "tests/unit/audit/test_replay.py",
    ),
    (
        *mutants_in(
            "decoding/audit/evidence.py",
            (
                "return -math.log(self.alpha)",
                "return -2.0 * math.log(self.alpha)",
                "α is squared",
            ),
            (
                "        self.unexplained += not explained\n",
                "        self.unexplained += explained\n",
                "explained tokens are evidence",
            ),
            (
                "self.log_value = max(self.log_value, log_value)",
                "self.log_value = log_value",
                "the e-value is the last, not the largest",
            ),
        ),
        *mutants_in(
            "decoding/audit/transcript.py",
            (
                "            seed=sequence.seed,\n",
                "            seed=response.seed,\n",
                "what best-of did not choose has the winner's seed",
            ),
        ),
        *mutants_in(
            "decoding/audit/scores.py",
            (
                "alive & ~after)\n            alive = after",
                "alive & ~after)",
                "a later processor removes again what an earlier one did",
            ),
            (
                "        if gone[row, token_id]:\n                return name",
                "        if not gone[row, token_id]:\n                return name",
                "who kept a token is said to have removed it",
            ),
        ),
        *mutants_in(
            "decoding/audit/positions.py",
            (
                "lengths = len(prompt) + seen + np.arange(count, dtype=np.int64)",
                "lengths = len(prompt) + seen + 1 + np.arange(count, dtype=np.int64)",
                "positions are off by one",
            ),
        ),
    ),
)
