"""hidim: high-dimensional stochastic optimization and compute-optimal scaling laws."""

__version__ = "0.1.0"
