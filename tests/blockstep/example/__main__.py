"""`python -m example`."""

import sys

from example.cli import main

if __name__ == "__main__":
    sys.exit(main())
