"""Networks: how each is built, and in which precision they multiply."""
