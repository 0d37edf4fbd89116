"""Does a run start, go on as the next one, close, pause, reset and vanish as it should?"""
