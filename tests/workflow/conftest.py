"""Fixtures of the workflow tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.toy import Project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project with three papers, none of which has run."""
    return make_project(tmp_path / "project")
