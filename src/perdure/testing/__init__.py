"""What perdure is tested with, and what tests of others may use: a simulated world for the server to live in."""
