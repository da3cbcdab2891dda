"""Measurements behind the figures that README and docs/performance.md claim."""
