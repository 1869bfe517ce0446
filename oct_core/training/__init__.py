"""Training: configuration and recipes, augmentation, the loop, resume."""
