"""Does the HTTP/2 machine keep the rules, whatever bytes come?"""
