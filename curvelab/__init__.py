"""curvelab reads training runs after the fact.

    import curvelab

    run = curvelab.load("outputs/my-run")        # trainer_state.json, event files, offline W&B
    run.frame                                    # every logged value, a pandas DataFrame
    result = curvelab.diagnose(run)              # what went wrong, since which step, what to change
    result.verdict, result.findings
    both = curvelab.compare([run, other])        # which is better, is it real, where did they part
    both.table, both.settings, both.curves
    night = curvelab.audit("outputs")            # all runs of a project: what is new since the last time
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curvelab.comparison import compare
    from curvelab.diagnosis import diagnose
    from curvelab.ingest import discover, load
    from curvelab.model.audit import AuditResult
    from curvelab.model.comparison import Comparison
    from curvelab.model.errors import CurvelabError, UnreadableError, UsageError
    from curvelab.model.finding import Change, Finding, Fix
    from curvelab.model.options import Options
    from curvelab.model.result import Diagnosis, Outcome
    from curvelab.model.run import Curve, Run
    from curvelab.nightly import audit

    __version__: str

_HOMES = {
    "audit": "curvelab.nightly",
    "AuditResult": "curvelab.model.audit",
    "compare": "curvelab.comparison",
    "Comparison": "curvelab.model.comparison",
    "diagnose": "curvelab.diagnosis",
    "load": "curvelab.ingest",
    "discover": "curvelab.ingest",
    "CurvelabError": "curvelab.model.errors",
    "UnreadableError": "curvelab.model.errors",
    "UsageError": "curvelab.model.errors",
    "Change": "curvelab.model.finding",
    "Finding": "curvelab.model.finding",
    "Fix": "curvelab.model.finding",
    "Options": "curvelab.model.options",
    "Diagnosis": "curvelab.model.result",
    "Outcome": "curvelab.model.result",
    "Curve": "curvelab.model.run",
    "Run": "curvelab.model.run",
}

# Public name -> the result that it makes: its module, its class, and the module that shows it in a notebook.
_SHOWN = {
    **dict.fromkeys(("diagnose", "Diagnosis"), ("curvelab.model.result", "Diagnosis", "curvelab.report.notebook")),
    **dict.fromkeys(
        ("compare", "Comparison"), ("curvelab.model.comparison", "Comparison", "curvelab.report.compared.notebook")
    ),
}

__all__ = [
    "AuditResult", "Change", "Comparison", "Curve", "CurvelabError", "Diagnosis", "Finding", "Fix", "Options", "Outcome", "Run", "UnreadableError",
    "UsageError", "__version__", "audit", "compare", "diagnose", "discover", "load",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `curvelab --help` needs none of them."""
    if name in _HOMES:
        from importlib import import_module

        if name in _SHOWN:
            _show_in_notebooks(*_SHOWN[name])
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        return _version()
    raise AttributeError(f"module 'curvelab' has no attribute {name!r}")


def _show_in_notebooks(home: str, kind: str, view: str) -> None:
    """Give a result its view in a notebook. The model imports nothing of ours, so model and report meet up here."""
    from importlib import import_module

    def _repr_html_(result: Any) -> str:
        text: str = import_module(view).notebook(result)
        return text

    getattr(import_module(home), kind)._repr_html_ = _repr_html_


def __dir__() -> list[str]:
    """The public names, imported or not, for completion in a shell."""
    return sorted({*globals(), *__all__})


def _version() -> str:
    # On first use only: importlib.metadata takes as long to import as the whole command line.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("curvelab")
    except PackageNotFoundError:  # a source tree that was not installed
        return "0+source"
