"""Runs over many data sets and methods: recorded as they end, gone on with where they stopped."""
