"""What goes wrong, in words for the user."""


class DemoError(Exception):
    """A step failed: the message says what, and what to do."""
