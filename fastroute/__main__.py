"""`python -m fastroute`."""

from fastroute.cli import main

main()
