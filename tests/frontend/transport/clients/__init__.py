"""Programs that call a server by the gRPC libraries of four languages: nothing to run here, see README.md."""
