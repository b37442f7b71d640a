"""What is put in the place of pixels, and which pixels: baselines, masks, segments."""
