"""One browser for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .browser import Browser


@pytest.fixture(scope="session")
def running_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    try:
        with Browser(tmp_path_factory.mktemp("profile")) as one:
            yield one
    except (TimeoutError, BrokenPipeError) as error:
        pytest.skip(f"chromium does not start here: {error}")


@pytest.fixture
def browser(running_browser: Browser) -> Browser:
    """The browser as a reader has it who prefers nothing."""
    running_browser.prefer()
    return running_browser
