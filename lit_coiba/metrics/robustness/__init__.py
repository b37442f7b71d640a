"""Does a map stay when the image changes a little?"""
