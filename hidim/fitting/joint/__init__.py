"""One law over sizes and schedules: L(params, steps, learning rate)."""
