"""From Spectrum and algorithm to Curve: the engines and the entry points that choose among them."""
