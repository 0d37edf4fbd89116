"""Does the text of a list filter mean here what it means on the real server?"""
