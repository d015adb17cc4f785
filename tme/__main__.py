"""``python -m tme``."""

from tme.cli import main

main()
