"""The domain. Pure values and functions: no I/O, no clock reading, no framework, no async.

May import the standard library, pydantic, re2 and cel only.
"""
