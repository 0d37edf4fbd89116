"""Are executions in memory what is stored, however they are loaded, evicted, deleted or hit by a bug?"""
