"""Figures: functions that take curves and an optional ax, and return the ax."""
