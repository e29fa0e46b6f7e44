"""Inputs that nobody thought of: command lines, damaged files and groups, many more than a test draws (`make fuzz`)."""
