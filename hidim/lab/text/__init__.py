"""From files to batches: which text, which tokens, which windows at which step."""
