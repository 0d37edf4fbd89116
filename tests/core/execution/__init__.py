"""Do the verbs that the machines of all kinds of executions share do what they say?"""
