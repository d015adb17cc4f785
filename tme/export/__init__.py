"""Cells and vessels for other programs. In: Arrow tables as saved; out: files those programs read."""
