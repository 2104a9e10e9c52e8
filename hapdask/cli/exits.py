"""Exit codes of the program."""

from __future__ import annotations

#: Everything asked for is there.
DONE = 0
#: Nothing useful was made.
ERROR = 1
#: The command was used wrongly.
USAGE = 2
#: Made, but some inputs were left out.
PARTIAL = 3
#: Ctrl-C.
INTERRUPTED = 130
