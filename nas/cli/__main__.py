"""`python -m nas.cli` is `nas`."""

from nas.cli.main import main

main()
