"""Entry point of python -m oct_core."""

import sys

from oct_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
