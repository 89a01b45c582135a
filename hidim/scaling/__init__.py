"""Closed forms: which phase a problem is in, how its loss scales, which size is optimal."""
