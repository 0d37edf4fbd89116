"""Does gRPC over sockets answer every call of real clients, and let none go lost?"""
