"""Simulated worlds that perdure is tested in; tests of other programs may use them, too."""
