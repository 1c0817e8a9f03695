"""pyproject.toml, requirements.lock and environment.yml say the same; the lock installs anywhere."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LINE = re.compile(r"^([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)$")


@pytest.fixture
def locked(checkout):
    lines = (checkout / "requirements.lock").read_text().splitlines()
    return {canonicalize_name(match[1]): match[2] for line in lines if (match := LINE.match(line))}


def test_the_lock_holds_plain_versions_only(checkout, locked):
    lines = (checkout / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if not LINE.match(line)] == []  # no hashes, indexes, paths or local versions
    assert len(locked) == len(lines)


def test_every_dependency_is_locked_within_its_bounds(checkout, locked):
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(text)
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} of pyproject.toml is not in requirements.lock; run `make lock`"
        assert version in requirement.specifier, f"{requirement.name} {version} is outside {requirement.specifier}"


def test_torch_is_the_version_that_small_machines_get(locked):
    assert locked["torch"] == "2.13.0"


def test_conda_installs_the_same_lock(checkout):
    environment = yaml.safe_load((checkout / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    assert "-r requirements.lock" in pip
    assert "python=3.11" in environment["dependencies"]
    assert project["requires-python"] == ">=3.11,<3.12"


def test_what_is_installed_is_what_is_locked(locked):
    from importlib.metadata import PackageNotFoundError, version

    different = {}
    for name, wanted in locked.items():
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            found = "not installed"
        if found != wanted:
            different[name] = found
    assert not different, f"{different}: run `make install`"
