"""What every optimizer here is made of: groups, paths through memory, checkpoints."""
