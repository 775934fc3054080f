"""`python -m kingmaker.cli` is the command `kingmaker`."""

import sys

from kingmaker.cli import main

sys.exit(main())
