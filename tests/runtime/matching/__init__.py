"""Does every task reach one worker, and go back when it does not?"""
