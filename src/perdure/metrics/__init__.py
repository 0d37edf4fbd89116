"""Metrics: what a server counts and measures, and the text in which Prometheus reads it.

registry.py    counters, gauges, histograms, and the registry of them
exposition.py  Prometheus' text format
"""
