"""Do workers of the Go, Java, TypeScript and Python SDKs work against perdure, and what do they send by default?

Run: `make test ARGS=tests/workers`; it needs each SDK's tools. `make captures` records again what they send, see README.md.
"""
