"""The two loops of a prediction that C runs faster: small systems of a block, and single steps.

NumPy does the same where the package came without its library; numbers differ by rounding alone.
"""
