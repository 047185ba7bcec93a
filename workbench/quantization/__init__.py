"""Fewer bits for each number: grids, what chooses them, and ways to round onto them, one file per idea."""
