"""What goes wrong in the demo."""


class DemoError(Exception):
    """The demo can't go on; the message says what was seen."""
