"""The workflows in .github: what they name is there, and they may do no more than they have to."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def workflow(name: str) -> dict[str, Any]:
    """Return a workflow. YAML takes the key `on` for a truth value."""
    found: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text())
    return {"on" if key is True else str(key): value for key, value in found.items()}


def steps(name: str) -> list[dict[str, Any]]:
    """Return the steps of all jobs of a workflow."""
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def test_there_is_one_for_tests_and_one_for_releases() -> None:
    """Each name says which."""
    assert NAMES == ["ci.yml", "release.yml"]


def test_the_tests_run_on_every_version_that_is_promised() -> None:
    """Those are the versions in the classifiers of pyproject.toml, the oldest of which is required."""
    job = workflow("ci.yml")["jobs"]["test"]
    promised = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
    assert job["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"
    assert "${{ matrix.python }}" in job["container"]
    commands = [shlex.split(step["run"])[0] for step in steps("ci.yml") if "run" in step]
    assert commands[-1] == ".ci/run"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_by_major_version(name: str) -> None:
    """A new major version may need a change here; a new minor one may not."""
    used = [step["uses"] for step in steps(name) if "uses" in step]
    assert used
    for each in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@(release/)?v\d+", each), each


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_has_no_secrets_and_few_permissions(name: str) -> None:
    """Only the release writes anything: attestations, and its identity towards the index."""
    text = (FOLDER / name).read_text()
    assert not re.search(r"\bsecrets\s*[.\[]\s*\w", text)
    assert "pull_request_target" not in text
    found = workflow(name)
    granted = [found["permissions"], *(job.get("permissions", {}) for job in found["jobs"].values())]
    writable = {kind for each in granted for kind, access in each.items() if access == "write"}
    assert writable == ({"id-token", "attestations"} if name == "release.yml" else set())
    for job in found["jobs"].values():
        assert job["timeout-minutes"] <= 60
    for step in steps(name):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_a_release_is_built_attested_and_published_by_its_tag_alone() -> None:
    """What is published is what was attested, in a job that runs no code of the project."""
    found = workflow("release.yml")
    assert found["on"] == {"push": {"tags": ["v*"]}}
    build, publish = (found["jobs"][name] for name in ("build", "publish"))
    runs = "\n".join(step["run"] for step in build["steps"] if "run" in step)
    assert "SOURCE_DATE_EPOCH" in runs
    assert "python -m build" in runs
    actions = [step["uses"].partition("@")[0] for step in build["steps"] if "uses" in step]
    assert actions.index("actions/attest-build-provenance") < actions.index("actions/upload-artifact")
    assert (publish["needs"], publish["environment"]) == ("build", "pypi")
    assert publish["permissions"] == {"id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
