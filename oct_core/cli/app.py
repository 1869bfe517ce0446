"""What every command shares: the two consoles, the bar, the options of run and device, errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from oct_core.errors import OctError, UnknownNameError
from oct_core.models.catalog import ENSEMBLE

# Names of files and runs are printed as they are: no [markup], no :emoji:.
out, err = (
    Console(markup=False, emoji=False, highlight=False, stderr=stderr) for stderr in (False, True)
)

RunName = Annotated[
    str,
    typer.Option(
        "--run", help="Name of the run: a folder in checkpoints/ (or in $OCT_CHECKPOINTS)."
    ),
]
Level = Annotated[
    float,
    typer.Option(
        "--level",
        min=0.001,
        max=0.5,
        help="Share of misses that the sets of possible classes may have, on average.",
    ),
]
Device = Annotated[str, typer.Option(help="cuda, mps or cpu; by default the best there is.")]
Methods = Annotated[
    list[str] | None,
    typer.Option(help="Method, may be repeated; gradcam and the guided pair by default."),
]


def printable(text: str) -> str:
    """The text with bytes of file names that are not UTF-8 spelled out: stdout refuses them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def named_runs(names: Sequence[str] | None) -> list[str]:
    """The runs that were named, [] for all finished ones: none was named, or the ensemble was.
    Raises UnknownNameError for the ensemble beside runs.
    """
    given = list(dict.fromkeys(names or ()))
    if ENSEMBLE not in given:
        return given
    if len(given) > 1:
        raise UnknownNameError(
            "--run {ensemble} is all finished runs together; leave it out to have the ensemble of "
            "the runs that are named",
            ensemble=ENSEMBLE,
        )
    return []


class Bar:
    """One line of progress on stderr; nothing where that is no terminal."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=None)

    def step(self, done: int, total: int, what: str | None = None) -> None:
        """So much is done; ``what`` replaces the text before the bar."""
        self._progress.update(self._task, completed=done, total=total, description=what)

    def describe(self, what: str) -> None:
        """Replace the text before the bar."""
        self._progress.update(self._task, description=what)


@contextmanager
def progress_bar(what: str, shown: bool = True) -> Iterator[Bar]:
    """A bar that is gone when the work inside ends."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=err, transient=True, disable=not (shown and err.is_terminal)
    ) as progress:
        yield Bar(progress, what)


def tell_error(error: Exception) -> int:
    """Print an error as one line; returns the exit status."""
    usage = getattr(error, "format_message", None)
    if usage is not None:
        err.print(f"error: {usage()} (see --help)", soft_wrap=True)
        return 2
    if isinstance(error, OctError | OSError):
        err.print(f"error: {error}", soft_wrap=True)
        return 1
    err.print(
        f"error: {type(error).__name__}: {error} (run again with --debug for the traceback)",
        soft_wrap=True,
    )
    return 1
