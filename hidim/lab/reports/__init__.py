"""What a folder of runs measured: groups, comparisons, frontiers, figures, tails."""
