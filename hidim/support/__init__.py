"""What every room of hidim may use: checked arguments, safe files, progress, optional extras."""
