"""Does a map depend on what the model has learned, and on the class?"""
