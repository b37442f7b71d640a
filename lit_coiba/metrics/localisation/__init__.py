"""Does a map lie on the object?"""
