"""The `decoding` command: output, exit codes, stdout and stderr."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from speaker import EOS, ByteTokenizer, Speaker, code_of, model_of

from decoding import GenerationParameters, LanguageModel, __version__, generate
from decoding.cli import main as cli
from decoding.errors import FetchError, MissingDependencyError, ModelFormatError, ParameterError

SCHEMA_PATH = Path(__file__).parents[2] / "golden" / "response.schema.json"
SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def set_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))


class TestGenerate:
    def test_prints_the_text_and_nothing_else(
        self, speaker: Speaker, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["generate", "Hi"]) == 0
        assert capsys.readouterr() == ("Bonjour, ça va?\n", "")
        assert speaker.prompt == "Hi"

    def test_json_is_the_body_of_generate_with_details(
        self, speaker: Speaker, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["generate", "Hi", "--json", "--top-n-tokens", "2"]) == 0
        parameters = GenerationParameters(details=True, top_n_tokens=2, max_new_tokens=128)
        printed = capsys.readouterr().out
        assert printed == generate(model_of(speaker), "Hi", parameters).to_json() + "\n"
        jsonschema.validate(json.loads(printed), SCHEMA)
        assert json.loads(printed)["details"]["finish_reason"] == "eos_token"

    def test_an_adapter_that_the_model_does_not_have_is_an_error(
        self, speaker: Speaker, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["generate", "Hi", "--adapter-id", "mine"]) != 0
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "adapter_id cannot be used: the model has no adapters" in printed.err

    def test_details_can_be_left_out_of_the_json(
        self, speaker: Speaker, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["generate", "Hi", "--json", "--no-details"]) == 0
        assert capsys.readouterr().out == '{"generated_text":"Bonjour, ça va?"}\n'

    def test_chat_renders_the_messages(self, speaker: Speaker) -> None:
        assert cli.main(["generate", "Hi", "--chat", "--system", "Be brief."]) == 0
        assert speaker.prompt == "<system>Be brief.<user>Hi>"

    def test_a_chat_begins_as_its_template_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        forward = Speaker("Hello")
        begun = model_of(forward, tokenizer=ByteTokenizer(begin=ord("^")))
        monkeypatch.setattr(cli, "load", lambda source: begun)
        assert cli.main(["generate", "Hi"]) == 0
        assert forward.prompt == "^Hi"
        forward.prompt = None
        assert cli.main(["generate", "Hi", "--chat"]) == 0
        assert forward.prompt == "<user>Hi>"

    def test_a_chat_has_variables_tools_documents_and_a_beginning(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        template = (
            "{{ enable_thinking is false }}|{{ style }}|{{ tools[0].name }}"
            "|{{ documents[0].title }}|"
            "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
            "{{ '?' if add_generation_prompt else '!' }}"
        )
        (tmp_path / "tools.json").write_text('[{"name": "f"}]', encoding="utf-8")
        (tmp_path / "documents.json").write_text('[{"title": "é"}]', encoding="utf-8")
        forward = Speaker("Hello")
        monkeypatch.setattr(cli, "load", lambda source: model_of(forward, chat_template=template))
        flags = ["--template-variable", "enable_thinking=false", "--template-variable", "style=a=b"]
        files = [
            *("--tools", str(tmp_path / "tools.json")),
            *("--documents", str(tmp_path / "documents.json")),
        ]
        assert cli.main(["generate", "Hi", "--chat", *flags, *files]) == 0
        assert forward.prompt == "True|a=b|f|é|<user>Hi?"
        forward.prompt = None
        assert cli.main(["generate", "Hi", "--chat", *flags, *files, "--continue", "Well,"]) == 0
        assert forward.prompt == "True|a=b|f|é|<user>Hi<assistant>Well,"

    def test_a_chat_names_its_template(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "tools.json").write_text('[{"name": "f"}]', encoding="utf-8")
        named = {"tool_use": "tools {{ tools[0].name }}", "rag": "rag {{ messages[0].content }}"}
        forward = Speaker("Hello")
        monkeypatch.setattr(
            cli,
            "load",
            lambda source: model_of(forward, chat_template="plain", chat_templates=named),
        )
        tools = ["--tools", str(tmp_path / "tools.json")]
        for flags, prompt in (
            ([], "plain"),
            (tools, "tools f"),
            ([*tools, "--chat-template", "default"], "plain"),
            (["--chat-template", "rag"], "rag Hi"),
        ):
            forward.prompt = None
            assert cli.main(["generate", "Hi", "--chat", *flags]) == 0
            assert forward.prompt == prompt
        assert cli.main(["generate", "Hi", "--chat", "--chat-template", "x"]) == 2

    @pytest.mark.parametrize(
        "flags",
        [
            ["--system", "a"],
            ["--chat-template", "rag"],
            ["--template-variable", "a=1"],
            ["--template-variable", "a", "--chat"],
            ["--template-variable", "=1", "--chat"],
            ["--tools", "tools.json"],
            ["--documents", "documents.json"],
            ["--continue", "a"],
        ],
    )
    def test_flags_of_chats_that_say_nothing(
        self, speaker: Speaker, capsys: pytest.CaptureFixture[str], flags: list[str]
    ) -> None:
        assert code_of(["generate", "Hi", *flags]) == cli.WRONG_INPUT
        assert "used with --chat" in (said := capsys.readouterr().err) or "NAME=VALUE" in said

    @pytest.mark.parametrize("text", ["{", "{}", "[1]", "[" * 9_999])
    def test_tools_are_a_list_of_objects(
        self, speaker: Speaker, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
    ) -> None:
        (tmp_path / "tools.json").write_text(text, encoding="utf-8")
        flags = ["--chat", "--tools", str(tmp_path / "tools.json")]
        assert cli.main(["generate", "Hi", *flags]) == cli.WRONG_INPUT
        assert "--tools must be a file" in capsys.readouterr().err

    def test_control_tokens_in_the_prompt_are_text_where_that_is_asked_or_in_a_chat(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Matching(ByteTokenizer):
            def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
                first, *others = text.split("<end>")
                ids = list(first.encode())
                return ids + [item for other in others for item in (EOS, *other.encode())]

        prompts: list[list[int]] = []

        def forward(rows: list[list[int]]) -> np.ndarray:
            prompts.append(rows[0])
            logits = np.zeros((1, 257), np.float32)
            logits[0, EOS] = 9
            return logits

        model = model_of(forward, tokenizer=Matching())
        monkeypatch.setattr(cli, "load", lambda source: model)
        sanitize, keep = ["--sanitize-control-tokens"], ["--no-sanitize-control-tokens"]
        for flags in ([], sanitize, ["--chat"], ["--chat", *keep]):
            assert cli.main(["generate", "a<end>", *flags]) == 0
        assert [EOS in prompt for prompt in prompts] == [True, False, False, True]
        assert bytes(prompts[1]) == b"a<end>"

    @pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
    def test_a_dash_reads_utf8_from_stdin_whatever_the_locale(
        self, speaker: Speaker, monkeypatch: pytest.MonkeyPatch, ending: bytes
    ) -> None:
        set_stdin(monkeypatch, "Ça va?\n".encode() + ending)
        assert cli.main(["generate", "-"]) == 0
        assert speaker.prompt == ("Ça va?\n" if ending else "Ça va?")

    def test_the_model_flag_reaches_the_loader(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sources = []
        monkeypatch.setattr(
            cli, "load", lambda source: sources.append(source) or model_of(Speaker(""))
        )
        cli.main(["generate", "Hi", "--model", "some/folder"])
        cli.main(["generate", "Hi"])
        assert sources == ["some/folder", None]

    @pytest.mark.parametrize(
        ("flags", "room", "expected"),
        [([], 4096, 128), ([], 100, 90), (["--truncate", "4"], 100, 96)],
    )
    def test_the_default_length_fits_the_context(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        flags: list[str],
        room: int,
        expected: int,
    ) -> None:
        endless = model_of(Speaker("x" * 500), context_length=room)
        monkeypatch.setattr(cli, "load", lambda source: endless)
        assert cli.main(["generate", "0123456789", *flags]) == 0
        assert len(capsys.readouterr().out) in (expected, expected + 1)

    def test_a_flag_is_known_by_its_whole_name_only(self, speaker: Speaker) -> None:
        assert code_of(["generate", "Hi", "--max-new", "3"]) == cli.WRONG_INPUT


class TestStream:
    def test_prints_what_generate_prints(
        self, speaker: Speaker, capsys: pytest.CaptureFixture[str]
    ) -> None:
        full = ["--return-full-text"]
        for flags in ([], full, [*full, "--chat"], ["--stop", "va", "--max-new-tokens", "20"]):
            speaker.prompt = None
            assert cli.main(["generate", "Hi ", *flags]) == 0
            whole = capsys.readouterr().out
            assert cli.main(["generate", "Hi ", "--stream", *flags]) == 0
            assert capsys.readouterr().out == whole

    def test_every_piece_is_flushed(
        self, speaker: Speaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[str] = []

        class Recorder(io.StringIO):
            def write(self, text: str) -> int:
                calls.append(text)
                return len(text)

            def flush(self) -> None:
                calls.append("<flush>")

        monkeypatch.setattr(sys, "stdout", Recorder())
        assert cli.main(["generate", "Hi", "--stream", "--max-new-tokens", "2"]) == 0
        flushed = [piece + "<flush>" for piece in ("", "B", "o", "\n")]
        assert "".join(calls) == "".join(flushed)

    def test_json_is_an_event_a_line(
        self, speaker: Speaker, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["generate", "Hi", "--stream", "--json", "--max-new-tokens", "3"]) == 0
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        for event in events:
            jsonschema.validate(event, SCHEMA)
        assert [event["index"] for event in events] == [1, 2, 3]
        assert events[-1]["generated_text"] == "Bon"
        assert events[-1]["details"]["finish_reason"] == "length"

    def test_an_error_begins_on_its_own_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        speak = Speaker("Bonjour")

        def fail_later(sequences: list[list[int]]) -> np.ndarray:
            if len(sequences[0]) == 4:
                raise RuntimeError("out\nof memory")
            return speak(sequences)

        monkeypatch.setattr(cli, "load", lambda source: model_of(fail_later))
        assert cli.main(["generate", "Hi", "--stream"]) == cli.FAILED
        out, err = capsys.readouterr()
        assert out == "Bo\n"
        assert err.startswith(
            "decoding: error: the model's forward function raised RuntimeError: out of"
        )
        assert err.count("\n") == 1


class TestErrors:
    @pytest.mark.parametrize("prompt", ["", "-"])
    def test_an_empty_prompt_is_wrong_input(
        self,
        speaker: Speaker,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        prompt: str,
    ) -> None:
        set_stdin(monkeypatch, b"\n")
        assert cli.main(["generate", prompt]) == cli.WRONG_INPUT
        assert capsys.readouterr().err == (
            "decoding: error: PROMPT must be at least one character, got ''\n"
        )

    def test_stdin_that_is_no_utf8_is_wrong_input(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_stdin(monkeypatch, b"caf\xe9")
        assert cli.main(["generate", "-"]) == cli.WRONG_INPUT
        assert "stdin must be UTF-8" in capsys.readouterr().err

    def test_chat_needs_a_template(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        plain = model_of(Speaker(""), chat_template=None, name="plain")
        monkeypatch.setattr(cli, "load", lambda source: plain)
        assert cli.main(["generate", "Hi", "--chat"]) == cli.WRONG_INPUT
        assert "model must be one with a tokenizer and a chat template" in capsys.readouterr().err

    def test_a_prompt_longer_than_the_context_is_wrong_input(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(cli, "load", lambda source: model_of(Speaker(""), context_length=4))
        assert cli.main(["generate", "Hello"]) == cli.WRONG_INPUT
        assert "fewer than 4 tokens" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ParameterError("source", "gpt9", "a known model"), cli.WRONG_INPUT),
            (ModelFormatError("a.gguf", "truncated"), cli.FAILED),
            (FetchError("no network"), cli.FAILED),
            (MissingDependencyError("torch", "torch"), cli.FAILED),
            (PermissionError(13, "Permission denied", "a.gguf"), cli.FAILED),
        ],
    )
    def test_a_model_that_cannot_be_loaded(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        error: Exception,
        code: int,
    ) -> None:
        def refuse(source: object) -> LanguageModel:
            raise error

        monkeypatch.setattr(cli, "load", refuse)
        assert cli.main(["generate", "Hi"]) == code
        assert capsys.readouterr() == ("", f"decoding: error: {error}\n")

    def test_a_model_that_does_not_exist(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["generate", "Hi", "--model", "no-such-model"]) == cli.WRONG_INPUT
        assert "'no-such-model'" in capsys.readouterr().err

    def test_ctrl_c_is_quiet(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupt(source: object) -> LanguageModel:
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "load", interrupt)
        assert cli.main(["generate", "Hi"]) == 130
        assert capsys.readouterr() == ("", "")

    def test_a_reader_that_leaves_is_quiet(self) -> None:
        # Larger than a pipe's buffer, so that the write meets the closed end.
        program = (
            "import sys\n"
            "from decoding.cli import main as cli\n"
            "cli._fetch = lambda asked: ('x' * 100 + '\\n' for _ in range(10_000))\n"
            "sys.exit(cli.main(['fetch']))\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            child.stdout.readline()
            child.stdout.close()
            assert child.stderr.read() == b""
        assert child.returncode == 141

    @pytest.mark.parametrize(
        ("closed", "code"), [("<&-", 0), (">&-", 141), ("2>&-", 0), ("<&- >&- 2>&-", 141)]
    )
    def test_a_standard_stream_may_be_closed(self, closed: str, code: int) -> None:
        run = f"exec {sys.executable} -c 'import sys; from decoding.cli.main import main; sys.exit(main())'"
        ended = subprocess.run(
            ["/bin/sh", "-c", f"{run} info {closed}"], capture_output=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (code, b"")

    @pytest.mark.parametrize("closed", ["<&-", "2>&-"])
    def test_wrong_input_is_told_without_a_stream(self, closed: str) -> None:
        run = f"exec {sys.executable} -c 'import sys; from decoding.cli.main import main; sys.exit(main())'"
        arguments = "grammar check --regex '(' --text a"
        ended = subprocess.run(
            ["/bin/sh", "-c", f"{run} {arguments} {closed}"], capture_output=True, check=False
        )
        assert ended.returncode == 2
        assert b"Traceback" not in ended.stderr


class TestOtherCommands:
    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code_of(["--version"]) == 0
        assert capsys.readouterr() == (f"decoding {__version__}\n", "")

    def test_no_command_is_wrong_input(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code_of([]) == cli.WRONG_INPUT
        assert capsys.readouterr().err.count("\n") == 1

    @pytest.mark.parametrize("command", [[], ["generate"], ["fetch"], ["info"]])
    def test_help(self, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
        assert code_of([*command, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: {' '.join(['decoding', *command])}")

    def test_fetch_prints_the_path(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(cli, "fetch", lambda name: Path("cache") / name)
        assert cli.main(["fetch"]) == 0
        assert cli.main(["fetch", "other"]) == 0
        assert capsys.readouterr() == (
            f"{Path('cache/smollm2')}\n{Path('cache/other')}\n",
            "",
        )

    def test_fetch_knows_its_models(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["fetch", "gpt9"]) == cli.WRONG_INPUT
        assert "name must be one of smollm2, got 'gpt9'" in capsys.readouterr().err

    def test_info_as_json(
        self,
        speaker: Speaker,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("DECODING_CACHE", str(tmp_path))
        assert cli.main(["info", "--json", "--model", "any"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["version"] == __version__
        assert facts["packages"]["numpy"] == np.__version__
        assert facts["cache"] == str(tmp_path)
        assert facts["known_models"] == {"smollm2": None}
        assert facts["model"] == {
            "name": "model",
            "vocabulary_size": 257,
            "context_length": 4096,
            "eos_token_ids": [EOS],
            "chat_template": True,
        }

    def test_info_for_people(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("DECODING_CACHE", str(tmp_path))
        assert cli.main(["info"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"version: {__version__}"
        assert f"  numpy: {np.__version__}" in lines
        assert "  smollm2: -" in lines


@pytest.mark.model
class TestWithTheModel:
    """The acceptance of the command, with real weights, through its installed entry point."""

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        command = [
            sys.executable,
            "-c",
            "import sys; from decoding.cli.main import main; sys.exit(main())",
        ]
        return subprocess.run(
            [*command, *arguments],
            check=True,
            capture_output=True,
            encoding="utf-8",
            input=stdin,
            env={**os.environ, "PYTHONUTF8": "0"},
        ).stdout

    def test_the_capital_of_france(self) -> None:
        question = "What is the capital of France?"
        flags = ["--chat", "--max-new-tokens", "20", "--json"]
        printed = self.run("generate", question, *flags)
        response = json.loads(printed)
        jsonschema.validate(response, SCHEMA)
        assert "Paris" in response["generated_text"]
        assert response["details"]["generated_tokens"] <= 20
        again = json.loads(self.run("generate", "-", *flags, stdin=question + "\n"))
        assert again["generated_text"] == response["generated_text"]
        # The step at which the compiled kernels take over differs, and with it the last digits.
        tokens, others = response["details"]["tokens"], again["details"]["tokens"]
        assert [token["id"] for token in others] == [token["id"] for token in tokens]
        assert [token["logprob"] for token in others] == pytest.approx(
            [token["logprob"] for token in tokens], abs=1e-5
        )
