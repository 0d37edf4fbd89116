"""Does a worker get each workflow task once, and again if it fails or is late?"""
