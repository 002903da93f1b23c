"""One module for each command of `bgpdrift`, loaded only when that command runs.

A command parses its arguments, calls other packages and prints the result. It makes no decisions.
"""
