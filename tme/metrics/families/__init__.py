"""One file per family of metrics; each registers itself in `tme.metrics.family.METRICS`."""
