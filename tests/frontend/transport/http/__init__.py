"""Does the HTTP API answer every request as the real server's does, and no request hang or break it?

`table.py` and `odd_values.py` are asked of both servers; `make fuzz` sends many more generated requests than `make test`.
"""
