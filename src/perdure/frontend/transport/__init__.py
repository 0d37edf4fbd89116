"""Bytes come and go: gRPC, HTTP and the metrics page."""
