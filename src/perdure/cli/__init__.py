"""The `perdure` command."""
import sys  # noqa: F401
def main() -> int:
    return 0
