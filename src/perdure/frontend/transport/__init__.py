"""Bytes come in and go out.

http2/           HTTP/2 for gRPC calls: a pure machine
grpc/            gRPC over sockets, on that machine
status.py        what gRPC sends for a refusal
http/            HTTP with JSON
tls.py           TLS of both
metrics_page.py  the page that Prometheus reads
"""
