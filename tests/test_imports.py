"""The direction of imports: down only, the nouns import nothing of ours, the two shelves are flat."""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("curvelab", cache_dir=None)


def test_layers_of_pyproject(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize("package", ["curvelab.model", "curvelab.knowledge"])
def test_nouns_and_data_import_nothing_of_ours(graph, package):
    inside = {package, *graph.find_descendants(package)}
    foreign = {(one, other) for one in inside for other in graph.find_modules_directly_imported_by(one) - inside}
    assert foreign == set()


@pytest.mark.parametrize("shelf", ["curvelab.detectors", "curvelab.causes", "curvelab.importers", "curvelab.sidecars"])
def test_files_of_a_shelf_do_not_import_each_other(graph, shelf):
    """A file that begins with an underscore is part of those that import it, and imports none of them."""
    below = graph.find_descendants(shelf)
    public = {
        one for one in below if not any(part.startswith("_") for part in one.removeprefix(f"{shelf}.").split("."))
    }
    crossing = {(one, other) for one in below for other in graph.find_modules_directly_imported_by(one) & public}
    assert crossing == set()
