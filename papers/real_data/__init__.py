"""Predictions on real rows beside runs on them: `python -m papers.real_data` writes the page."""
