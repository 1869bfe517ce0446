"""What is drawn: charts (plotly) and pictures (numpy and Pillow)."""
