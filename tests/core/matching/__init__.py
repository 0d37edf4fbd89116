"""Does each task go to the right poller, in the right order, and no faster than its queue allows?"""
