"""Do clients find the executions that they ask for?"""
