"""gRPC over sockets: HTTP/2's pure machine (`http2/`) on the event loop, and gRPC's own services.

server.py      the port: it listens, drains and stops
socket.py      the connection of one client, with a task for each call
methods.py     all methods by their paths
ends.py        how a call of the API ends: refusals and trailers
health.py      grpc.health.v1: Check and Watch
reflection.py  grpc.reflection.v1 and v1alpha
described.py   their messages, from descriptors of our own
"""
