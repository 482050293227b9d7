"""The stack as a commit would have it, read by the real Compose from a real repository; the tree is not touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opsconsole.config import Config
from opsconsole.model import SourceError
from opsconsole.operations import next_version
from opsconsole.operations.facts import Look
from opsconsole.operations.ground import Ground
from opsconsole.operations.next_version import NextVersion
from opsconsole.stack import compose
from opsconsole.stack.compose import ComposeFiles
from opsconsole.stack.git_program import Git
from opsconsole.stack.git_version import GitVersion
from tests.git_trees import Trees, git

pytestmark = pytest.mark.usefixtures("engine")  # Compose finds its way there

WEB = """
services:
  web:
    image: shop/web:1
    environment: {LOG_LEVEL: "${LOG_LEVEL:-info}", DB_PASSWORD: "${DB_PASSWORD}"}
    env_file: [app.env]
    volumes: ["./uploads:/app/uploads", "data:/data"]
volumes: {data: {}}
"""


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    made = Trees(tmp_path / "it's a place", {"compose.yaml": WEB, "app.env": "COLOUR=red\n"})
    (made.tree / ".env").write_text("DB_PASSWORD=canary-pa$$word\n")
    return made


def today(trees: Trees, *env_files: str, carried: dict[str, frozenset[str]] | None = None) -> Look:
    file = str(trees.tree / "compose.yaml")
    wanted = ComposeFiles(directory=str(trees.tree), files=(file,), project="shop", env_files=env_files)
    command = compose.find()
    assert command is not None
    rendered = compose.render(command, wanted, carried=carried, keep_raw=True)
    return Look(name="shop", directory=str(trees.tree), compose_files=(file,), env_files=env_files, rendered=rendered)


def ahead(trees: Trees, *env_files: str, config: Config | None = None) -> NextVersion:
    program = Git(trees.tree)
    program.ask("fetch", "--quiet", "origin")
    return next_version.read(GitVersion(program, "origin/main"), today(trees, *env_files), config or Config())


def words(version: NextVersion) -> list[str]:
    return [one.words() for one in version.changes]


def test_changed_keys_are_told_masked_and_the_tree_is_as_it_was(trees: Trees) -> None:
    before = git(trees.tree, "status", "--porcelain", "--ignored")
    trees.push({"compose.yaml": WEB.replace("web:1", "web:2").replace("/app/uploads", "/srv/uploads")})
    trees.push({"app.env": "COLOUR=blue\n"})
    version = ahead(trees)
    told = words(version)
    assert "~ service web: image: shop/web:1 -> shop/web:2" in told
    assert "~ service web: environment.COLOUR: red -> blue" in told
    assert any("/srv/uploads" in line for line in told)
    assert "canary" not in "\n".join(told)
    # Paths are those of the tree, and the fingerprint is what it will be there.
    web = version.look.rendered.services["web"]
    assert {mount.source for mount in web.mounts} == {str(trees.tree / "uploads"), ""}
    assert version.lacking == ()
    left = [entry.name for entry in (trees.tree / ".opsconsole").iterdir()]
    assert left == [], "the copy is gone"
    (trees.tree / ".opsconsole").rmdir()
    assert git(trees.tree, "status", "--porcelain", "--ignored") == before
    hashes = version.look.rendered.hashes
    git(trees.tree, "merge", "--quiet", "--ff-only", "origin/main")
    # Asked as for a container that carries another one: `config --hash` alone leaves the env file out.
    assert today(trees, carried={"web": frozenset({"another"})}).rendered.hashes == hashes


def test_variables_that_the_new_version_needs(trees: Trees) -> None:
    more = 'environment: {API_KEY: "${API_KEY}", MODE: "${MODE:-a}", TLS: "${TLS_KEY}", '
    trees.push({"compose.yaml": WEB.replace("environment: {", more)})
    (trees.tree / ".env").write_text("DB_PASSWORD=x\nTLS_KEY=there\n")
    version = ahead(trees)
    assert version.lacking == ("API_KEY",)
    with pytest.raises(SourceError) as raised:
        next_version.refuse_lacking(version)
    assert "API_KEY" in raised.value.problem and "Add them to .env" in raised.value.hint


def test_variables_that_must_not_be_empty_are_all_named_at_once(trees: Trees) -> None:
    more = 'environment: {A: "${FIRST:?say it}", B: "${SECOND:?}", C: "${THIRD?}", '
    trees.push({"compose.yaml": WEB.replace("environment: {", more)})
    (trees.tree / ".env").write_text("DB_PASSWORD=x\nSECOND=\nTHIRD=\n")
    with pytest.raises(SourceError) as raised:
        ahead(trees)
    assert "FIRST, SECOND" in raised.value.problem and "THIRD" not in raised.value.problem


def test_names_that_come_into_the_example_of_the_env_file(trees: Trees) -> None:
    trees.push({".env.example": "DB_PASSWORD=\nOLD=\n"})
    git(trees.tree, "pull", "--quiet")
    trees.push({".env.example": "DB_PASSWORD=\nOLD=\nSMTP_HOST=mail\nPATH=x\n"})
    assert ahead(trees).in_example == ("SMTP_HOST",)


def test_env_files_that_git_does_not_know_are_read_where_they_are(trees: Trees) -> None:
    main = str(trees.tree / ".env.production.local")
    Path(main).write_text("DB_PASSWORD=x\nCOLOUR=green\n")
    trees.push({"compose.yaml": WEB.replace("[app.env]", "[app.env, .env.production.local]")})
    version = ahead(trees, main)
    assert "~ service web: environment.COLOUR: red -> green" in words(version)
    assert version.env_file == ".env.production.local" and version.look.env_files == (main,)
    assert ".env.production.local" in version.look.compose


def test_what_the_commit_brings_lies_where_it_is_mounted(trees: Trees) -> None:
    mounts = '["./uploads:/app/uploads", "./conf:/conf", "./one.txt:/one", "./nothing:/nothing", '
    trees.push({"conf/deep/a.conf": "a\n", "one.txt": "1\n"})
    trees.push({"compose.yaml": WEB.replace('["./uploads:/app/uploads", ', mounts)})
    ground = ahead(trees).look.ground
    found = {name: ground[str(trees.tree / name)] for name in ("conf", "one.txt", "nothing", "uploads")}
    assert found == {
        "conf": Ground.FILLED, "one.txt": Ground.FILE, "nothing": Ground.MISSING, "uploads": Ground.MISSING,
    }  # fmt: skip


def test_included_and_extended_files_of_the_commit_count(trees: Trees) -> None:
    included = 'services: {cache: {image: "redis:7", volumes: ["./cache:/data"]}}\n'
    base = "services: {base: {image: shop/web:9, labels: {team: shop}}}\n"
    new = WEB.replace("image: shop/web:1", "extends: {file: parts/base.yml, service: base}")
    trees.push({"parts/cache.yml": included, "parts/base.yml": base})
    trees.push({"compose.yaml": f"include: [parts/cache.yml]\n{new}"})
    version = ahead(trees)
    assert "+ service cache = redis:7" in words(version)
    assert "~ service web: image: shop/web:1 -> shop/web:9" in words(version)
    cache = version.look.rendered.services["cache"]
    assert [mount.source for mount in cache.mounts] == [str(trees.tree / "parts" / "cache")]


def test_a_stack_below_the_top_of_its_repository(tmp_path: Path) -> None:
    trees = Trees(tmp_path / "mono", {"shop/compose.yaml": WEB.replace("app.env", "../app.env"), "app.env": "C=1\n"})
    trees.tree = trees.tree / "shop"
    (trees.tree / ".env").write_text("DB_PASSWORD=x\n")
    trees.push({"app.env": "C=2\n"})
    assert words(ahead(trees)) == ["~ service web: environment.C: 1 -> 2"]


def test_a_compose_file_that_was_renamed(trees: Trees) -> None:
    git(trees.colleague, "mv", "compose.yaml", "docker-compose.prod.yml")
    trees.push({})
    version = ahead(trees)
    assert version.look.compose_files == (str(trees.tree / "docker-compose.prod.yml"),)
    assert "docker-compose.prod.yml" in version.look.compose and version.changes == ()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"compose.yaml": None}, "no compose file compose.yaml"),
        ({"compose.yaml": "services: [broken\n"}, "cannot be deployed"),
        ({"compose.yaml": "services: {web: {image: a, volumes: [nothing:/x]}}\n"}, "cannot be deployed"),
        ({"app.env": None}, "cannot be deployed"),
    ],
)
def test_a_version_that_cannot_be_deployed_is_refused(trees: Trees, files: dict[str, str | None], told: str) -> None:
    trees.push(files)
    with pytest.raises(SourceError) as raised:
        ahead(trees)
    assert told in raised.value.problem and ".opsconsole" not in raised.value.problem
    assert "Nothing was changed" in raised.value.hint


def test_links_in_a_commit_do_not_lead_out_of_the_copy(trees: Trees, tmp_path: Path) -> None:
    """A commit with a link to a directory outside, and a compose file that names something below it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (trees.tree / "conf").mkdir()
    (trees.tree / "conf" / "local.env").write_text("A=1\n")  # not in git: the way is blocked there, not here
    os.symlink(outside, trees.colleague / "conf")
    git(trees.colleague, "add", "conf")
    trees.push({"compose.yaml": WEB.replace("[app.env]", "[app.env, conf/local.env, {path: conf, required: false}]")})
    with pytest.raises(SourceError):
        ahead(trees)
    assert list(outside.iterdir()) == []
