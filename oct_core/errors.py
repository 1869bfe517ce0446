"""Everything oct_core raises on purpose.

OctError
├── ScanError              a picture that cannot be read or is refused
├── DataError              a folder, manifest or pack that cannot be used
├── CheckpointError        a run folder that is missing, incomplete or damaged
│   └── RunExistsError     a new run under a name that is taken
├── TrainingError          a training that cannot start or go on
├── ExplanationError       a layer, class or input that cannot be explained
├── MetricError            labels or scores of a wrong shape, range or content
├── ReportError            a report on maps that is damaged or of another version
├── ExportError            a run that cannot be written in another form
└── UnknownNameError       a name that no registry entry has (says the near ones)

Each message says what was expected, what came, and the way out.
"""

from __future__ import annotations

from typing import Any

from oct_core.words import Note, note, say


class OctError(Exception):
    """Base of every error a user of this library can cause or mend.

    message : English, with ``{placeholders}``. values : what fills them in. ``str`` gives the
    sentence in the language of the moment.
    """

    def __init__(self, message: str, **values: Any) -> None:
        super().__init__(message)
        self.message, self.values = message, values

    def __str__(self) -> str:
        return say(self.message, **self.values)

    def as_note(self) -> Note:
        """The sentence, to be kept without the error and said in any language."""
        return note(self.message, **self.values)


class ScanError(OctError):
    """The picture cannot be read, or is refused for its size or kind."""


class DataError(OctError):
    """A folder, manifest or pack cannot be used for training."""


class CheckpointError(OctError):
    """A run folder is missing, incomplete, damaged or of another version."""


class RunExistsError(CheckpointError):
    """A new run was asked for under a name that is taken."""


class TrainingError(OctError):
    """A training cannot start or go on."""


class ExplanationError(OctError):
    """A layer, target class or input cannot be explained."""


class MetricError(OctError):
    """Labels, scores or groups of a wrong shape, range or content."""


class ReportError(OctError):
    """A report on maps is damaged or of another version."""


class ExportError(OctError):
    """A run cannot be written in another form."""


class UnknownNameError(OctError):
    """A name that no registry entry has."""
