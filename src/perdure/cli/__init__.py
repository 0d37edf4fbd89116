"""The `perdure` command."""
import sys
def main() -> int:
    return 0
