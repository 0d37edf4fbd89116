"""Are activities scheduled, tried again, timed out, paused and changed as their options say?"""
