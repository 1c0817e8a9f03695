"""The machinery of the book. A notebook needs one name of it: ``from replica.book import open_paper``."""

from replica.book.paper import Paper, open_paper

__all__ = ["Paper", "open_paper"]
