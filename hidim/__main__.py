"""`python -m hidim` is the `hidim` command."""

import sys

from hidim.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
