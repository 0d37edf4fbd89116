"""A run starts, closes and goes on as another one."""
