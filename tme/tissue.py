"""Slide -> TissueMask.

In: a `Slide`. Out: a `TissueMask`. Assumes brightfield RGB on white. Fails when nothing is tissue:
the mask is then empty and the pipeline excludes the slide.
"""
