"""Bytes come in and go out.

grpc.py          gRPC
http/            HTTP with JSON
metrics_page.py  the page that Prometheus reads
"""
