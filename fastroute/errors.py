"""Errors that end a command or a task, with a message that tells the user what to do.

Mistakes in manifests are problems on a node (graph/), and mistakes of peers are answered (ext/). The errors here mean
that something cannot be started, read or reached.
"""


class FastrouteError(Exception):
    """An error that the user can fix. `str()` is one or two sentences: what, where, and the solution."""


class SettingError(FastrouteError):
    """An option or environment variable has an invalid value; exit code 2."""


class SourceError(FastrouteError):
    """Manifests are missing or unreadable; exit code 2."""
