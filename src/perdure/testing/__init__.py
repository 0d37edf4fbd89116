"""A world to test in: virtual time, a store that fails, model workers and the simulator."""
