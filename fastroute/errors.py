"""Errors that end a command or a piece of work, with what the user can do about them.

Users' mistakes in manifests are not errors but problems on a node (graph), peers' mistakes are answers (ext); what is
raised from here says: this cannot be started, read or spoken with, and how to get out of it.
"""


class FastrouteError(Exception):
    """Something the user can mend. `str()` is one or two sentences: what, where, the way out."""


class SettingError(FastrouteError):
    """An option or environment variable with a value that cannot be used; exit code 2."""


class SourceError(FastrouteError):
    """Manifests that are missing or unreadable as a whole; exit code 2."""
