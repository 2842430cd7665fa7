"""A study as a page to look at: what was tried, what came out, what matters."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from mnistry.reports import figures, pages
from mnistry.settings import write_atomic
from mnistry.training.search import study
from mnistry.training.search.tune import Tuned, shown

SHOWN = 500  # trials in the table


def write_study_report(tuned: Tuned, folder: Path) -> Path:
    """Write the page NAME.html into the folder and return its path; raises MnistryError."""
    done = sorted(study.finished(tuned.trials), key=lambda trial: trial.number)
    svg = {name: figures.to_svg(figure) for name, figure in draw(done).items()}
    page = render(tuned, done, svg)
    target = folder / f"{tuned.store.name}.html"
    write_atomic(target, page.encode("utf-8"))
    return target


def draw(done: Sequence[FrozenTrial]) -> dict[str, Figure]:
    """The pictures of the page by name: history, importance, and a slice for each setting."""
    complete = [trial for trial in done if trial.state == TrialState.COMPLETE]
    if not complete:
        return {}
    # A pruned trial's value is that of an early epoch.
    drawn = {"history": figures.search([trial.value if trial in complete else None for trial in done])}
    if len(complete[0].params) > 1 and (shares := importance(complete)):
        drawn["importance"] = figures.importance(shares)
    for key in complete[0].params:
        values = [trial.params[key] for trial in complete]
        domain = complete[0].distributions[key]
        log, choices = bool(getattr(domain, "log", False)), tuple(getattr(domain, "choices", ()))
        drawn[f"slice {key}"] = figures.slices(key, values, [trial.value or 0.0 for trial in complete], log, choices)
    return drawn


def importance(complete: Sequence[FrozenTrial]) -> dict[str, float]:
    """How much each setting matters among the complete trials, the most important first; empty if nobody can tell.

    Source: Watanabe, Bansal and Hutter, PED-ANOVA, 2023, as Optuna has it.
    """
    if len(complete) < 4 or len({trial.value for trial in complete}) == 1:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copy = optuna.create_study(direction="maximize")
        copy.add_trials(list(complete))
        try:
            return optuna.importance.get_param_importances(copy)
        except (ValueError, RuntimeError):
            return {}


def render(tuned: Tuned, done: Sequence[FrozenTrial], svg: Mapping[str, str]) -> str:
    """The page as HTML."""
    ordered = sorted(done, key=_rank)
    return pages.render(
        "study",
        store=tuned.store,
        summary=tuned.summary(),
        keys=list(tuned.info["space"]),
        trials=[_row(trial) for trial in ordered[:SHOWN]],
        left_out=max(0, len(ordered) - SHOWN),
        svg=svg,
    )


def _rank(trial: FrozenTrial) -> tuple[int, float, float, int]:
    complete = trial.state == TrialState.COMPLETE
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    return (
        states.index(trial.state),
        -(trial.value or 0.0) if complete else 0.0,
        trial.user_attrs["nll"] if complete else 0.0,
        trial.number,
    )


def _row(trial: FrozenTrial) -> dict[str, Any]:
    complete = trial.state == TrialState.COMPLETE
    ended = {TrialState.PRUNED: f"pruned after epoch {max(trial.intermediate_values, default=0) + 1}"}
    return {
        "number": trial.number,
        "params": trial.params,
        "shown": {key: shown(value) for key, value in trial.params.items()},
        "accuracy": trial.value if complete else None,
        "nll": trial.user_attrs.get("nll"),
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        "note": "" if complete else ended.get(trial.state, trial.user_attrs.get("reason", "")),
    }
