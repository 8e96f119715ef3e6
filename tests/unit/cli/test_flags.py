"""The flags of `decoding generate`: one for every parameter; wrong values give one-line errors."""

from __future__ import annotations

import argparse
from dataclasses import fields

import numpy as np
import pytest
from speaker import Speaker, code_of, model_of

from decoding import GenerationParameters, Grammar
from decoding.cli import main as cli
from decoding.cli.flags import add_flags, read_flags
from decoding.cli.grammar import add_grammar_flags
from decoding.errors import ParameterError
from decoding.parameters import REQUEST_FIELDS
from decoding.request_fields import BOOLEAN

FLAG_CASES = {
    "adapter_id": (["--adapter-id", "mine"], "mine"),
    "best_of": (["--best-of", "2", "--do-sample"], 2),
    "decoder_input_details": (["--decoder-input-details"], True),
    "details": (["--details"], True),
    "do_sample": (["--do-sample"], True),
    "frequency_penalty": (["--frequency-penalty", "-0.5"], -0.5),
    "grammar": (["--grammar", '{"type": "regex", "value": "a+"}'], Grammar("regex", "a+")),
    "logit_bias": (["--logit-bias", "5=-inf", "--logit-bias", "7=1.5"], {5: -np.inf, 7: 1.5}),
    "max_new_tokens": (["--max-new-tokens", "7"], 7),
    "min_p": (["--min-p", "0.1"], 0.1),
    "presence_penalty": (["--presence-penalty", "1"], 1.0),
    "repetition_penalty": (["--repetition-penalty", "1.1"], 1.1),
    "return_full_text": (["--return-full-text"], True),
    "seed": (["--seed", "18446744073709551615"], 2**64 - 1),
    "stop": (["--stop", "a", "--stop", "b c"], ("a", "b c")),
    "temperature": (["--temperature", "0.7"], 0.7),
    "top_k": (["--top-k", "40"], 40),
    "top_n_tokens": (["--top-n-tokens", "3"], 3),
    "top_p": (["--top-p", "0.9"], 0.9),
    "truncate": (["--truncate", "9"], 9),
    "typical_p": (["--typical-p", "0.8"], 0.8),
    "watermark": (["--watermark"], True),
    "repeat_last_n": (["--repeat-last-n", "64"], 64),
    "min_tokens": (["--min-tokens", "2"], 2),
    "no_repeat_ngram_size": (["--no-repeat-ngram-size", "3"], 3),
    "bad_words_ids": (["--bad-words-ids", "5,6", "--bad-words-ids", "7"], ((5, 6), (7,))),
    "bad_words": (["--bad-words", "a", "--bad-words", "b c"], ("a", "b c")),
    "suppress_tokens": (["--suppress-tokens", "5,6"], (5, 6)),
    "allowed_token_ids": (["--allowed-token-ids", "5"], (5,)),
    "dry_multiplier": (["--dry-multiplier", "0.8"], 0.8),
    "dry_base": (["--dry-base", "2"], 2.0),
    "dry_allowed_length": (["--dry-allowed-length", "3"], 3),
    "dry_penalty_last_n": (["--dry-penalty-last-n", "-1"], -1),
    "dry_sequence_breakers": (
        ["--dry-sequence-breakers", r"\n", "--dry-sequence-breakers", r"a\tb\\n\x"],
        ("\n", "a\tb\\n\\x"),
    ),
    "dynatemp_range": (["--dynatemp-range", "0.5"], 0.5),
    "dynatemp_exponent": (["--dynatemp-exponent", "2"], 2.0),
    "epsilon_cutoff": (["--epsilon-cutoff", "0.1"], 0.1),
    "eta_cutoff": (["--eta-cutoff", "0.1"], 0.1),
    "top_n_sigma": (["--top-n-sigma", "1"], 1.0),
    "top_h": (["--top-h", "0.4"], 0.4),
    "xtc_probability": (["--xtc-probability", "0.5"], 0.5),
    "xtc_threshold": (["--xtc-threshold", "0.2"], 0.2),
    "mirostat": (["--mirostat", "2"], 2),
    "mirostat_tau": (["--mirostat-tau", "3"], 3.0),
    "mirostat_eta": (["--mirostat-eta", "0.2"], 0.2),
    "jump_forward": (["--jump-forward"], True),
}

for NAME, FIELD in REQUEST_FIELDS.items():
    if NAME in FLAG_CASES:
        continue
    # Fields that no one has written an example for are bools or numbers.
    FLAG_NAME = "--" + NAME.replace("_", "-")
    if FIELD.type is BOOLEAN:
        FLAG_CASES[NAME] = ([FLAG_NAME], True)
    else:
        END = FIELD.type.low if FIELD.type.accepts(FIELD.type.low) else FIELD.type.high
        FLAG_CASES[NAME] = ([FLAG_NAME, f"{END:g}"], END)


class TestFlags:
    @pytest.mark.parametrize(
        ("texts", "kept"), [(["none"], ()), (["none", "a"], ("none", "a")), ([""], None)]
    )
    def test_no_breakers_are_asked_for_by_a_word(
        self, texts: list[str], kept: tuple[str, ...] | None
    ) -> None:
        parser = argparse.ArgumentParser()
        add_flags(parser)
        add_grammar_flags(parser)
        words = [word for text in texts for word in ("--dry-sequence-breakers", text)]
        asked = parser.parse_args(words)
        if kept is None:
            with pytest.raises(ParameterError, match="dry_sequence_breakers must be a sequence"):
                read_flags(asked)
        else:
            assert read_flags(asked).dry_sequence_breakers == kept

    @pytest.mark.parametrize("name", [field.name for field in fields(GenerationParameters)])
    def test_every_parameter_has_a_flag_that_reaches_it(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        seen: list[GenerationParameters] = []

        def capture(model: object, inputs: object, parameters: GenerationParameters) -> None:
            seen.append(parameters)
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "load", lambda source: model_of(Speaker("")))
        monkeypatch.setattr(cli, "generate", capture)
        arguments, expected = FLAG_CASES[name]
        assert cli.main(["generate", "Hi", *arguments]) == cli.INTERRUPTED
        assert getattr(seen[0], name) == expected
        spelled = "--" + name.replace("_", "-")
        assert spelled in arguments

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["--top-p", "1.5"], "top_p must be a number in (0, 1], or None, got 1.5"),
            (["--top-p", "much"], "argument --top-p: invalid float value: 'much'"),
            (["--max-new-tokens", "0"], "max_new_tokens must be an integer >= 1"),
            (["--logit-bias", "5:1"], "argument --logit-bias: '5:1' is not ID=VALUE"),
            (["--grammar", "a+"], "argument --grammar: 'a+': Expecting value"),
            (["--grammar", '{"type": "ebnf", "value": ""}'], "grammar.type must be one of"),
            (["--grammar", '{"type": "regex", "value": "("}'], "offset 0: "),
            (["--regex", "a", "--lark", "x"], "argument --lark: not allowed with argument --regex"),
            (["--regex", "a", "--grammar", '{"type": "regex", "value": "a"}'], "--grammar must be"),
            (["--regex", r"(a)\1"], r"offset 3: "),
            (["--jump-forward"], "jump_forward must be False without a grammar"),
            (["--best-of", "2"], "best_of must be 1 where decoding is greedy"),
            (["--no-do-sample", "--seed", "1"], "do_sample must be True or None beside seed=1"),
            (["--best-of", "2", "--do-sample", "--stream"], "best_of must be 1 when streaming"),
            (["--logit-bias", "999=1"], "logit_bias must be below 257"),
            (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
            (["--system", "Be brief."], "--system must be used with --chat"),
        ],
    )
    def test_wrong_input_is_one_line_and_2(
        self,
        speaker: Speaker,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        complaint: str,
    ) -> None:
        assert code_of(["generate", "Hi", *arguments]) == cli.WRONG_INPUT
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("decoding: error: ")
        assert complaint in err
        assert err.count("\n") == 1
