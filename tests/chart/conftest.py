"""The profiles of values that most tests of the chart go through, and what they are rendered to."""

from __future__ import annotations

import pytest

from chart.rendering import PROFILES, Object, Pod, pods, render


@pytest.fixture(params=list(PROFILES))
def profile(request: pytest.FixtureRequest) -> str:
    """Name each profile in turn."""
    return str(request.param)


@pytest.fixture
def objects(profile: str) -> list[Object]:
    """Return what the profile is rendered to."""
    return render(profile)


@pytest.fixture
def templates(objects: list[Object]) -> list[Pod]:
    """Return the profile's pods."""
    return pods(objects)
