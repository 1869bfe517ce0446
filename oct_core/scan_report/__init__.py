"""A report of one scan: what is in it (content), and the same drawn as HTML and as PDF."""
