"""Durable functions for Python on serverless platforms."""
