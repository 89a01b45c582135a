"""From Spectrum and algorithm to Curve: the engines and the table that chooses among them."""
