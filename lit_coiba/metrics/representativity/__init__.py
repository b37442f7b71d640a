"""Do models of the same kind explain alike?"""
