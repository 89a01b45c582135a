"""What an engine reads of a theory: how its moments move, and when they grow."""
