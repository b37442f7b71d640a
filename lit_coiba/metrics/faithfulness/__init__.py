"""Does the model depend on what a map calls important?"""
