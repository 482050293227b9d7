"""Hooks and the safety backup's place: run by the real runner, on plans that change nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from opsconsole.cli import main
from opsconsole.config import Config
from opsconsole.config.sections import HooksSection
from opsconsole.model import SourceError
from opsconsole.operations import hooks, journal, launch, lock, places, plan_text, unfinished, who
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Basis, IfFails, Kind, Plan, Step
from tests.operation_stack import operation_stack
from tests.parts.engine import Engine
from tests.parts.leftovers import run_name

CANARY = "canary-4711-opensesame"
NOW = datetime(2026, 1, 31, 2, 0, tzinfo=UTC)
TELL = '#!/bin/sh\nenv | grep ^OPSCONSOLE_ | sort > "told-$OPSCONSOLE_HOOK"\necho "$0 says '


@pytest.fixture
def directory(tmp_path: Path, engine: Engine) -> Path:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: nothing}}\n")
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={run_name()}hooks\nAPI_TOKEN={CANARY}\n")
    return tmp_path


def program(directory: Path, name: str, text: str) -> tuple[str, ...]:
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)
    return (f"./{name}", "a word", "$HOME")


def tells(directory: Path, name: str, code: int = 0) -> tuple[str, ...]:
    return program(directory, name, f'{TELL}$1 $2 {CANARY}"\nexit {code}\n')


def command(id: str, *words: str, **fields: object) -> Step:
    return Step(id=id, title=id.capitalize(), commands=(words,), **fields)  # type: ignore[arg-type]


def deploy(directory: Path, config: Config, *steps: Step, **fields: object) -> Plan:
    return Plan(
        kind=Kind.DEPLOY,
        stack="shop",
        directory=str(directory),
        basis=Basis.NAMED,
        steps=(*hooks.before(config, directory), *steps, *hooks.after(config, directory)),
        on_failure=hooks.on_failure(config, directory),
        release="r4",
        **fields,  # type: ignore[arg-type]
    )


def run(directory: Path, made: Plan, **environment: str) -> tuple[int, tuple[journal.Entry, ...]]:
    place = journal.create(directory, places.new_id(made.kind.value), made)
    done = subprocess.run(
        launch.words(directory, place),
        env={**os.environ, **environment}, timeout=60, check=False, capture_output=True,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, journal.read(place)


def with_hooks(**named: tuple[str, ...]) -> Config:
    return Config(hooks=HooksSection(**named))  # type: ignore[arg-type]


def told(directory: Path, name: str) -> dict[str, str]:
    lines = (directory / f"told-{name}").read_text().splitlines()
    return dict(line.removeprefix("OPSCONSOLE_").split("=", 1) for line in lines)


def test_hooks_learn_what_happens_and_no_secret(directory: Path) -> None:
    config = with_hooks(
        before_deploy=tells(directory, "before"),
        after_deploy=tells(directory, "after"),
        on_failure=tells(directory, "failed"),
    )
    code, records = run(directory, deploy(directory, config, command("work", "true")), SSH_CONNECTION="192.0.2.7 1 2 3")
    assert code == 0 and not (directory / "told-on_failure").exists()
    before, after = told(directory, "before_deploy"), told(directory, "after_deploy")
    place = places.existing_operations(directory)[-1]
    assert before == {
        "HOOK": "before_deploy", "STACK": "shop", "DIRECTORY": str(directory), "OPERATION": place.name,
        "KIND": "deploy", "WHO": records[0].who.login if records[0].who else "", "FROM": "192.0.2.7", "COMMIT": "",
        "RELEASE": "r4", "RETURNS_TO": "", "RESULT": "", "PROBLEM": "", "PLAN": str(place / "plan.json"),
        "JOURNAL": str(place / "journal.jsonl"),
    }  # fmt: skip
    assert after == {**before, "HOOK": "after_deploy", "RESULT": "done"}
    # Words, not a shell: nothing was expanded, and what they print is kept without its secrets.
    assert "./before says a word $HOME ********" in (place / "output.log").read_text()
    assert CANARY not in "".join(file.read_text() for file in place.iterdir())


def test_a_failing_before_hook_stops_the_plan(directory: Path) -> None:
    config = with_hooks(before_deploy=tells(directory, "before", 7), on_failure=tells(directory, "failed"))
    code, records = run(directory, deploy(directory, config, command("work", "touch", "changed")))
    assert code == 1 and not (directory / "changed").exists()
    assert [one.step for one in records if one.event == "step"] == ["hook:before_deploy", "hook:on_failure"]
    end = records[-1]
    assert end.result is Result.FAILED and "the hook before_deploy failed" in end.problem
    assert "exit code 7" in end.problem and "Mend the hook" in end.hint and "says" in end.last_lines[-1]
    heard = told(directory, "on_failure")
    assert heard["RESULT"] == "failed" and "exit code 7" in heard["PROBLEM"]


def test_a_failing_after_hook_is_told_and_undoes_nothing(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = with_hooks(after_deploy=tells(directory, "after", 9), on_failure=tells(directory, "failed"))
    work = command("work", "true", turns_back=True)
    made = deploy(directory, config, work, way_back=(command("back", "touch", "went-back"),))
    code, records = run(directory, made)
    assert code == 0 and records[-1].result is Result.DONE
    assert not (directory / "went-back").exists() and not (directory / "told-on_failure").exists()
    last = [one for one in records if one.event == "step-end"][-1]
    assert last.step == "hook:after_deploy" and last.result is Result.FAILED
    assert "the hook after_deploy failed: ./after" in records[-1].problem
    assert main(["history", records[0].operation, "--stack", str(directory)]) == 0
    assert "the hook after_deploy failed" in capsys.readouterr().out
    assert unfinished.unfinished(directory) == ()


def test_the_failure_hook_comes_after_the_way_back(directory: Path) -> None:
    config = with_hooks(on_failure=program(directory, "failed", f'{TELL}"\ntest -e went-back && exit 3\nexit 4\n'))
    made = deploy(
        directory, config, command("work", "false", turns_back=True),
        way_back=(command("back", "touch", "went-back"),), returns_to="r3",
    )  # fmt: skip
    code, records = run(directory, made)
    assert code == 3 and records[-1].result is Result.ROLLED_BACK
    heard = told(directory, "on_failure")
    assert (heard["RESULT"], heard["RETURNS_TO"]) == ("rolled-back", "r3") and "false: exit code 1" in heard["PROBLEM"]
    assert "the hook on_failure failed: " in records[-1].problem and "exit code 3" in records[-1].problem
    assert records[-1].problem.startswith("false: exit code 1")
    # Without one, nothing is run; and what was refused has not failed.
    assert run(directory, deploy(directory, Config(), command("work", "false")))[0] == 1


def test_a_hook_that_takes_too_long_and_one_that_leaves_a_program_behind(directory: Path) -> None:
    slow = msgspec.structs.replace(
        with_hooks(before_deploy=("sleep", "60")),
        hooks=HooksSection(before_deploy=("sleep", "60"), timeout_seconds=0.3),
    )
    code, records = run(directory, deploy(directory, slow))
    assert code == 1 and "did not end within" in records[-1].problem
    leaves = with_hooks(before_deploy=program(directory, "leaves", "#!/bin/sh\nsleep 60 & echo $! > left\n"))
    try:
        # Killed right after the hook: nobody unlocks, and the program that was left holds nothing.
        assert run(directory, deploy(directory, leaves), OPS_KILL_AT="O06")[0] == -signal.SIGKILL
        assert lock.holder_of(directory) is None
        with lock.Lock(directory, lock.new_holder(who.current(), "test", "x")):
            assert lock.holder_of(directory) is not None
    finally:
        os.kill(int((directory / "left").read_text()), 9)


def test_a_hook_that_cannot_run_is_found_before_anything_runs(directory: Path) -> None:
    (directory / "plain").write_text("#!/bin/sh\n")
    (directory / "dir").mkdir()
    wrong = {
        ("./gone",): "gone is not there",
        ("./plain",): "plain is not executable",
        ("./dir",): "dir is no file",
        ("plain",): "write ./plain",
        ("no-such-program-here",): "not a program on PATH",
        ("",): "an empty word is not a program",
    }
    for words, said in wrong.items():
        for name in ("before_deploy", "after_deploy", "on_failure"):
            with pytest.raises(SourceError) as error:
                hooks.before(with_hooks(**{name: words}), directory)
            text = f"{error.value.problem} {error.value.hint}"
            assert said in text and f"the hook {name} cannot be run" in text and "Nothing was done" in text
    assert hooks.before(Config(), directory) == () == hooks.after(Config(), directory)
    made = deploy(directory, with_hooks(on_failure=("true",)), command("work", "true"))
    assert "When it has failed, after that:\n  -  Hook on_failure: true\n       $ true" in plan_text.as_text(made)


def test_steps_whose_failure_lets_the_others_have_their_turn(directory: Path) -> None:
    first = command("first", "false", if_fails=IfFails.GOES_ON)
    code, records = run(directory, deploy(directory, Config(), first, command("second", "touch", "second")))
    assert code == 1 and (directory / "second").exists()
    assert records[-1].result is Result.FAILED and "false: exit code 1" in records[-1].problem


# --- around a real deploy --------------------------------------------------------------------------


def test_hooks_around_a_deploy_that_is_stopped_one_that_is_good_and_one_that_goes_back(
    engine: Engine, tmp_path: Path
) -> None:
    with operation_stack(engine, tmp_path) as stack:
        here = ["--stack", str(stack.directory)]
        compose = stack.directory / "compose.yaml"
        tells(stack.directory, "tell")
        settings = stack.directory / "opsconsole.toml"
        hook = '["./tell"]'
        rest = f"after_deploy = {hook}\non_failure = {hook}\n[deploy]\nsoak_seconds = 0.2\ngate_seconds = 30\n"
        settings.write_text(f'[hooks]\nbefore_deploy = ["false"]\n{rest}')
        started = stack.started()
        compose.write_text(compose.read_text().replace("depends_on", "labels: {changed: one}\n    depends_on"))
        assert main(["deploy", "--yes", *here]) == 1
        assert stack.started() == started and told(stack.directory, "on_failure")["RESULT"] == "failed"

        settings.write_text(f"[hooks]\nbefore_deploy = {hook}\n{rest}")
        assert main(["deploy", "--yes", *here]) == 0
        assert stack.started() != started
        after = told(stack.directory, "after_deploy")
        assert told(stack.directory, "before_deploy") == {**after, "HOOK": "before_deploy", "RESULT": ""}
        assert (after["KIND"], after["RELEASE"], after["RETURNS_TO"]) == ("deploy", "r2", "r1")

        compose.write_text(compose.read_text().replace('["sleep", "3600"]', '["false"]'))
        good = stack.running()
        assert main(["deploy", "--yes", *here]) == 3
        failed = told(stack.directory, "on_failure")
        assert (failed["RESULT"], failed["RETURNS_TO"]) == ("rolled-back", "r2") and "store" in failed["PROBLEM"]
        assert stack.running() == good
