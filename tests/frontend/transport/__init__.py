"""Do calls come in and answers go out whole, and does nothing stay of a client that is gone?"""
