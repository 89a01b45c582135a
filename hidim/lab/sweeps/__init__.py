"""Many runs: presets, the queue that trains each once, and where its workers run."""
