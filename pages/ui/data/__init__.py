"""The parts of the page Data and models."""
