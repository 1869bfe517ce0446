"""python -m oct_core: prepare, audit, train, gate, evaluate, predict, explain, report,
explain-report, runs, phantom, export.
"""

from __future__ import annotations

import sys

import typer

from oct_core.cli import (
    audit,
    evaluate,
    explain,
    explain_report,
    export,
    gate,
    phantom,
    predict,
    prepare,
    report,
    runs,
    train,
)
from oct_core.cli.app import err, tell_error
from oct_core.system import yield_when_waiting

_STOPPED = 130
"""The exit status of Ctrl-C, which typer gives too."""

program = typer.Typer(
    name="oct_core",
    help="Train CNNs on retinal OCT B-scans, measure them, and show where they look. For research, "
    "not a medical device. "
    "With --debug an error shows its traceback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# In the order in which the help shows them; a command is one file and one line here.
program.command()(prepare.prepare)
program.command()(audit.audit)
program.command()(train.train)
program.command()(gate.gate)
program.command()(evaluate.evaluate)
program.command()(predict.predict)
program.command()(explain.explain)
program.command()(report.report)
program.command("explain-report")(explain_report.explain_report)
program.command()(runs.runs)
program.command()(phantom.phantom)
program.command()(export.export)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; one readable line for an error, a traceback only with --debug, which
    may stand anywhere. Returns the exit status.
    """
    yield_when_waiting()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        status = int(program(words, standalone_mode=False) or 0)
    except typer.Exit as stop:
        status = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = _STOPPED
    except Exception as error:
        if debug:
            raise
        return tell_error(error)
    if status == _STOPPED:
        err.print(
            "stopped; the last finished epoch is kept, and --resume goes on from it"
            if words[:1] == ["train"]
            else "stopped"
        )
    return status
