"""What was measured: from log files and columns to checked runs."""
