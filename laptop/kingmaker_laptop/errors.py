"""What the laptop can't do, in words for the person who asked."""


class LocalError(Exception):
    """Something a person has to change; the message says what was found, what was expected and what to do."""
