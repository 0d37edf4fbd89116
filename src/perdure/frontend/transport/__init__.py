"""Bytes come in and go out.

grpc.py          gRPC
status.py        what gRPC sends for a request and a refusal, without its library
http/            HTTP with JSON
metrics_page.py  the page that Prometheus reads
"""
