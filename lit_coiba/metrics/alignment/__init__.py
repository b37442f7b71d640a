"""Do maps, and models, agree with where people say the evidence is?"""
