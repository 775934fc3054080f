"""Tell who waits what is being done."""

import sys
import time


def say(text: str) -> None:
    """Write a line to stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
