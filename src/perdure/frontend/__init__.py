"""The API as clients see it: validation, error mapping, task tokens and the gRPC transport."""
