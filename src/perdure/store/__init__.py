"""Where rows are kept. `port.py` is the contract; the other modules are its implementations."""
