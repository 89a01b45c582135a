"""The published figures and tables again: `python -m papers` writes docs/papers.md."""
