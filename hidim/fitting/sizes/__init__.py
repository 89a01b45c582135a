"""Laws of parameters, tokens and compute, and the sizes they choose."""
