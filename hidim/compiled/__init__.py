"""The two loops of a prediction that C runs faster: small systems of a block, and single steps.

NumPy does the same where the package came without its library. Numbers differ by rounding, to
1e-12; where a run rings over hundreds of blocks, what rounding makes of one block's length shows in
the digits that rtol leaves open.
"""
